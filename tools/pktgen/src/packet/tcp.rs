//! The client's half of TCP (RFC 9293), without what only a server needs.

use std::hash::BuildHasher;
use std::net::SocketAddrV4;

use hioload_net::{FramePort, PortFrame, TxChecksum};

use super::client::{State, WINDOW_SCALE, is_before};
use super::outbox::{Outgoing, Place};
use super::segment::{
    ACK, ETHERNET_BYTES, FIN, HEADER_BYTES, PSH, RST, SYN, SYN_OPTIONS_BYTES, Segment, Words,
    write_syn_options,
};
use super::{AckPolicy, Arrival, PORT_WAITING_MAX, PacketTransport};
use crate::transport::Event;

/// RFC 9293 section 3.8.6.3 allows half a second; systems wait so long.
const ACK_DELAY_NS: u64 = 40_000_000;
/// After so many timeouts in a row, the next hop is asked for: it may be another station now, or was
/// taken from a damaged frame, whose link header no checksum covers here.
const EXPIRED_BEFORE_ARP: u32 = 2;
/// As many duplicates mean that a segment is lost (RFC 5681 section 3.2).
const DUPLICATES_OF_A_LOSS: u8 = 3;

impl<P: FramePort> PacketTransport<P> {
    /// Begins a connection.
    pub(super) fn open(&mut self, client: u32) {
        let place = self.outbox.take();
        let sequence = self.first_number(client);
        let it = &mut self.clients[client as usize];
        it.begin(sequence, place);
        if let Some(outgoing) = self.outbox.get_mut(place) {
            outgoing.sent_max = it.next;
            outgoing.timed = Some((sequence, self.now_ns));
        }
        self.wait_for_acknowledgement(client);
        if self.port.waiting() < PORT_WAITING_MAX {
            self.send_syn(client);
        } else {
            self.wait_for_port(client);
        }
    }

    /// RFC 6528: a clock, and a hash of the addresses and ports that nobody else can compute. So the
    /// numbers of a port that is used again go on from where they were.
    #[expect(clippy::cast_possible_truncation, reason = "numbers wrap around")]
    fn first_number(&self, client: u32) -> u32 {
        const NS_PER_STEP: u64 = 4_000;
        let connection = self.clients[client as usize].connection.wrapping_add(1);
        let turn = self.options.addresses.turn(connection);
        let hash = self.secret.hash_one((client, turn)) as u32;
        hash.wrapping_add((self.now_ns / NS_PER_STEP) as u32)
    }

    /// Takes a segment of a client's connection.
    pub(super) fn take(
        &mut self,
        client: u32,
        frame: usize,
        segment: &Segment,
        events: &mut Vec<Event>,
    ) {
        self.counts.segments_in += 1;
        let it = &mut self.clients[client as usize];
        if it.state == State::SynSent {
            return self.take_syn_sent(client, frame, segment, events);
        }
        let ahead = segment.sequence.wrapping_sub(it.expected).cast_signed();
        if segment.has(RST) {
            self.counts.resets_in += 1;
            if ahead == 0 {
                return self.lost(client, "the server reset the connection", events);
            }
            // RFC 5961 section 3.2: one in the window may be a forgery.
            let room = it.edge.wrapping_sub(it.expected);
            if ahead > 0 && ahead.cast_unsigned() < room {
                self.acknowledge(client);
            }
            return;
        }
        if segment.has(SYN) {
            // The answer to our SYN, again; or a stranger's (RFC 5961 section 4.2).
            return self.acknowledge(client);
        }
        if !segment.has(ACK) {
            return;
        }
        if self.frames[frame][6..12] != self.template.next_hop() {
            let mac = self.frames[frame].get(6..12).and_then(|mac| mac.try_into().ok());
            self.template.set_next_hop(mac.unwrap_or_default());
        }
        if !self.take_acknowledgement(client, segment, events) {
            return;
        }
        if segment.len() > 0 {
            self.take_payload(client, frame, segment, events);
        }
    }

    fn take_syn_sent(
        &mut self,
        client: u32,
        frame: usize,
        segment: &Segment,
        events: &mut Vec<Event>,
    ) {
        let it = &mut self.clients[client as usize];
        if segment.has(ACK) && segment.acknowledged != it.next {
            // Of a connection from the same port that the server takes for open, or has in
            // TIME-WAIT (RFC 9293 section 3.10.7.3): without it, our next SYN will be heard.
            if !segment.has(RST) {
                self.reset_stranger(segment);
            }
            return;
        }
        if segment.has(RST) {
            if segment.has(ACK) {
                self.counts.resets_in += 1;
                self.lost(client, "the server refused the connection", events);
            }
            return;
        }
        if !segment.has(SYN) || !segment.has(ACK) {
            return;
        }
        let (mss, scale) = segment.syn_options(&self.frames[frame]);
        it.state = State::Established;
        it.mss = mss.unwrap_or(536).clamp(48, self.mss);
        it.window_scale = scale;
        // The window of a SYN is not scaled (RFC 7323 section 2.2).
        it.window = u32::from(segment.window);
        it.unacknowledged = segment.acknowledged;
        it.expected = segment.sequence.wrapping_add(1);
        it.edge = it.expected;
        let place = it.outgoing;
        if let Some((_, since_ns)) = self.outbox.get(place).and_then(|outgoing| outgoing.timed) {
            it.measured(self.now_ns - since_ns);
        }
        self.give_back(client);
        self.acknowledge(client);
        events.push(Event::Connected(client as usize));
    }

    /// Whether the segment is worth a further look.
    fn take_acknowledgement(
        &mut self,
        client: u32,
        segment: &Segment,
        events: &mut Vec<Event>,
    ) -> bool {
        let it = &mut self.clients[client as usize];
        let window = u32::from(segment.window) << it.window_scale;
        let acknowledged = segment.acknowledged.wrapping_sub(it.unacknowledged);
        let Some(outgoing) = self.outbox.get_mut(it.outgoing) else {
            // Nothing is under way. What was overtaken tells of a window that is no more.
            if acknowledged == 0 {
                it.window = window;
            }
            if acknowledged.cast_signed() > 0 {
                self.acknowledge(client);
                return false;
            }
            return true;
        };
        let sent = outgoing.sent_max.wrapping_sub(it.unacknowledged);
        if acknowledged.cast_signed() < 0 {
            return true;
        }
        if acknowledged > sent {
            self.acknowledge(client);
            return false;
        }
        let was_window = std::mem::replace(&mut it.window, window);
        if acknowledged == 0 {
            let is_duplicate = segment.len() == 0 && sent > 0 && was_window == window;
            if is_duplicate {
                it.duplicate_acks = it.duplicate_acks.saturating_add(1);
            }
            if is_duplicate && it.duplicate_acks == DUPLICATES_OF_A_LOSS && !outgoing.recovering {
                outgoing.recovering = true;
                self.send_again(client);
            }
            if window > was_window {
                self.push(client);
                self.tell_of_room(client, events);
            }
            return true;
        }
        it.duplicate_acks = 0;
        it.unacknowledged = segment.acknowledged;
        if is_before(it.next, it.unacknowledged) {
            it.next = it.unacknowledged;
        }
        outgoing.recovering = false;
        outgoing.expired = 0;
        if let Some((number, since_ns)) = outgoing.timed
            && is_before(number, segment.acknowledged)
        {
            outgoing.timed = None;
            it.measured(self.now_ns - since_ns);
        }
        let bytes = outgoing.bytes().len();
        outgoing.advance(acknowledged as usize);
        let is_all = it.unacknowledged == outgoing.sent_max;
        if is_all && acknowledged as usize > bytes && outgoing.fin {
            return self.fin_is_acknowledged(client, events);
        }
        if is_all && outgoing.bytes().is_empty() && !outgoing.fin {
            self.give_back(client);
            // Whoever had to send again was short of room meanwhile.
            self.tell_of_room(client, events);
            return true;
        }
        self.wait_for_acknowledgement(client);
        self.push(client);
        self.tell_of_room(client, events);
        true
    }

    /// Whether the connection goes on.
    fn fin_is_acknowledged(&mut self, client: u32, events: &mut Vec<Event>) -> bool {
        let it = &mut self.clients[client as usize];
        match it.state {
            State::FinWait1 => {
                it.state = State::FinWait2;
                let place = it.outgoing;
                if let Some(outgoing) = self.outbox.get_mut(place) {
                    outgoing.fin = false;
                }
                // The server has a while to end its half.
                let timeout_ns = u64::try_from(self.options.timeout.as_nanos()).unwrap_or(u64::MAX);
                self.set_deadline(client, self.now_ns.saturating_add(timeout_ns));
                true
            }
            State::Closing | State::LastAck => {
                self.gone(client, events);
                false
            }
            _ => true,
        }
    }

    fn take_payload(
        &mut self,
        client: u32,
        frame: usize,
        segment: &Segment,
        events: &mut Vec<Event>,
    ) {
        let it = &mut self.clients[client as usize];
        let had = it.expected.wrapping_sub(segment.sequence).cast_signed();
        if had < 0 {
            self.counts.out_of_order += 1;
            return self.acknowledge(client);
        }
        let (had, bytes) = (had.cast_unsigned(), segment.payload_bytes());
        if had >= segment.len() {
            self.counts.duplicates_in += 1;
            return self.acknowledge(client);
        }
        let room = it.edge.wrapping_sub(it.expected);
        let fresh = bytes.saturating_sub(had);
        let taken = fresh.min(room);
        it.expected = it.expected.wrapping_add(taken);
        let is_whole = taken == fresh;
        let (is_wanted, had_fin) = match it.state {
            State::Established => (true, false),
            State::FinWait1 | State::FinWait2 => (false, false),
            _ => (false, true),
        };
        if taken > 0 && is_wanted {
            let begin = segment.payload.start + had as usize;
            let payload = begin..begin + taken as usize;
            self.arrivals.push_back(Arrival { client, frame, payload });
            events.push(Event::Readable(client as usize));
        }
        if !segment.has(FIN) || !is_whole || had_fin {
            // What does not fit is asked for again, when there is room.
            return if is_whole { self.owe(client) } else { self.acknowledge(client) };
        }
        let it = &mut self.clients[client as usize];
        it.expected = it.expected.wrapping_add(1);
        match it.state {
            State::Established => {
                it.state = State::CloseWait;
                self.acknowledge(client);
                let reason = "the server ended the connection".to_owned();
                events.push(Event::Ended(client as usize, reason));
            }
            State::FinWait1 => {
                it.state = State::Closing;
                self.acknowledge(client);
            }
            _ => {
                self.acknowledge(client);
                self.gone(client, events);
            }
        }
    }

    /// A segment came that an acknowledgement is owed for.
    fn owe(&mut self, client: u32) {
        if self.options.acks == AckPolicy::Each {
            return self.acknowledge(client);
        }
        let it = &mut self.clients[client as usize];
        it.owed += 1;
        if it.owed >= 2 {
            self.acknowledge(client);
        } else {
            self.delayed.push_back((self.now_ns + ACK_DELAY_NS, client));
        }
    }

    /// Appends bytes to what a client sends, and sends what may be sent.
    pub(super) fn append(&mut self, client: u32, bytes: &[u8]) {
        let it = &mut self.clients[client as usize];
        if !matches!(it.state, State::Established | State::CloseWait) {
            return;
        }
        if it.outgoing == Place::NONE {
            it.outgoing = self.outbox.take();
        }
        let Some(outgoing) = self.outbox.get_mut(it.outgoing) else { return };
        if outgoing.bytes().is_empty() {
            outgoing.sent_max = it.next;
        }
        outgoing.append(bytes);
        self.push(client);
        if self.clients[client as usize].in_flight() == 0 {
            // A window of nothing has to be asked about.
            self.wait_for_acknowledgement(client);
        }
    }

    pub(super) fn has_unsent(&self, it: &super::Client) -> bool {
        let bytes = self.outbox.get(it.outgoing).map_or(0, |outgoing| outgoing.bytes().len());
        bytes > it.in_flight() as usize
    }

    fn tell_of_room(&self, client: u32, events: &mut Vec<Event>) {
        let it = &self.clients[client as usize];
        if it.state == State::Established && !self.has_unsent(it) {
            events.push(Event::Writable(client as usize));
        }
    }

    /// Sends what the server's window and the port have room for.
    pub(super) fn push(&mut self, client: u32) {
        loop {
            let it = &self.clients[client as usize];
            if matches!(it.state, State::Closed | State::SynSent) {
                return;
            }
            let Some(outgoing) = self.outbox.get(it.outgoing) else { return };
            let (bytes, in_flight) = (outgoing.bytes().len(), it.in_flight());
            let unsent = bytes.saturating_sub(in_flight as usize);
            let fin = outgoing.fin && in_flight as usize <= bytes;
            if unsent == 0 && !fin {
                return;
            }
            let room = it.window.saturating_sub(in_flight);
            let len = unsent.min(room as usize).min(usize::from(it.mss));
            // RFC 9293 section 3.8.6.2.1: small pieces of a small window are not worth a segment.
            let is_silly = len < unsent
                && in_flight > 0
                && len < usize::from(it.mss).min(it.window as usize / 2);
            if unsent > 0 && (len == 0 || is_silly) {
                return;
            }
            if self.port.waiting() >= PORT_WAITING_MAX {
                return self.wait_for_port(client);
            }
            let fin = fin && len == unsent;
            self.send_bytes(client, in_flight as usize, len, fin);
            let it = &mut self.clients[client as usize];
            let number = it.next;
            #[expect(clippy::cast_possible_truncation, reason = "at most the segment size")]
            let end = number.wrapping_add(len as u32 + u32::from(fin));
            it.next = end;
            let place = it.outgoing;
            let now_ns = self.now_ns;
            if let Some(outgoing) = self.outbox.get_mut(place) {
                if is_before(outgoing.sent_max, end) {
                    outgoing.sent_max = end;
                    if outgoing.timed.is_none() {
                        outgoing.timed = Some((number, now_ns));
                    }
                } else {
                    self.counts.retransmitted += 1;
                }
                if in_flight == 0 {
                    self.wait_for_acknowledgement(client);
                }
            }
        }
    }

    /// Ends a client's half of the connection behind what it has sent; whether there is none.
    pub(super) fn end(&mut self, client: u32) -> bool {
        let it = &mut self.clients[client as usize];
        it.state = match it.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            State::SynSent => {
                self.abort(client);
                return true;
            }
            State::Closed => return true,
            _ => return false,
        };
        if it.outgoing == Place::NONE {
            it.outgoing = self.outbox.take();
        }
        if let Some(outgoing) = self.outbox.get_mut(it.outgoing) {
            if outgoing.bytes().is_empty() {
                outgoing.sent_max = it.next;
            }
            outgoing.fin = true;
        }
        self.push(client);
        false
    }

    /// Ends the connection by a reset.
    pub(super) fn abort(&mut self, client: u32) {
        let it = &mut self.clients[client as usize];
        if it.state == State::Closed {
            return;
        }
        let is_known = it.state != State::SynSent;
        let words = Words {
            source: self.options.addresses.of(client, it.connection),
            sequence: it.next,
            acknowledged: if is_known { it.expected } else { 0 },
            flags: if is_known { RST | ACK } else { RST },
            window: 0,
        };
        self.send_bare(&words);
        self.counts.resets_out += 1;
        self.close(client);
    }

    /// The connection is lost.
    fn lost(&mut self, client: u32, reason: &str, events: &mut Vec<Event>) {
        let has_ended = self.has_ended(client);
        self.close(client);
        events.push(if has_ended {
            Event::Gone(client as usize)
        } else {
            Event::Ended(client as usize, reason.to_owned())
        });
    }

    /// Whether the client has said that it wants no more of it.
    fn has_ended(&self, client: u32) -> bool {
        use State::{Closing, FinWait1, FinWait2, LastAck};
        matches!(self.clients[client as usize].state, FinWait1 | FinWait2 | Closing | LastAck)
    }

    fn gone(&mut self, client: u32, events: &mut Vec<Event>) {
        self.close(client);
        events.push(Event::Gone(client as usize));
    }

    fn close(&mut self, client: u32) {
        let it = &mut self.clients[client as usize];
        it.state = State::Closed;
        it.owed = 0;
        self.give_back(client);
    }

    fn give_back(&mut self, client: u32) {
        self.outbox.give_back(&mut self.clients[client as usize].outgoing);
    }

    /// Answers a segment of no connection (RFC 9293 section 3.10.7.1), or of one that has just
    /// ended: in TIME-WAIT a FIN that comes again is acknowledged.
    pub(super) fn answer_stranger(&mut self, segment: &Segment) {
        if segment.has(RST) {
            return;
        }
        let owner = self.options.addresses.owner(segment.destination, segment.destination_port);
        let Some(owner) = owner else { return };
        let is_plain = segment.has(ACK) && !segment.has(SYN);
        if !is_plain || (segment.len() > 0 && !segment.has(FIN)) {
            return self.reset_stranger(segment);
        }
        let was_ours = self.clients[owner.client as usize].connection > 0;
        if segment.has(FIN) {
            let source = SocketAddrV4::new(segment.destination.into(), segment.destination_port);
            let acknowledged = segment.sequence.wrapping_add(segment.len());
            let sequence = segment.acknowledged;
            self.send_bare(&Words { source, sequence, acknowledged, flags: ACK, window: 0 });
        } else if !was_ours {
            // What is empty and of a port that was ours crossed with the end, most likely.
            self.reset_stranger(segment);
        }
    }

    fn reset_stranger(&mut self, segment: &Segment) {
        let source = SocketAddrV4::new(segment.destination.into(), segment.destination_port);
        let end = segment.sequence.wrapping_add(segment.len());
        let (sequence, acknowledged, flags) =
            if segment.has(ACK) { (segment.acknowledged, 0, RST) } else { (0, end, RST | ACK) };
        self.counts.resets_out += 1;
        self.send_bare(&Words { source, sequence, acknowledged, flags, window: 0 });
    }

    /// Sends again what was lost first.
    fn send_again(&mut self, client: u32) {
        let it = &self.clients[client as usize];
        if it.state == State::SynSent {
            self.counts.retransmitted += 1;
            return self.send_syn(client);
        }
        let Some(outgoing) = self.outbox.get_mut(it.outgoing) else { return };
        outgoing.timed = None;
        let bytes = outgoing.bytes().len();
        // A window of nothing is asked about by a byte (RFC 9293 section 3.8.6.1).
        let room = (it.window as usize).max(1);
        let len = bytes.min(room).min(usize::from(it.mss));
        let fin = outgoing.fin && len == bytes;
        #[expect(clippy::cast_possible_truncation, reason = "at most the segment size")]
        let end = it.unacknowledged.wrapping_add(len as u32 + u32::from(fin));
        if is_before(outgoing.sent_max, end) {
            outgoing.sent_max = end;
        }
        self.counts.retransmitted += 1;
        self.send_bytes(client, 0, len, fin);
        let it = &mut self.clients[client as usize];
        if is_before(it.next, end) {
            it.next = end;
        }
    }

    /// Does what is due: sends again, acknowledges, gives up.
    pub(super) fn look_after_timers(&mut self, events: &mut Vec<Event>) {
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(self.now_ns, &mut due);
        for client in due.drain(..) {
            let it = &mut self.clients[client as usize];
            it.is_filed = false;
            let deadline_ns =
                self.outbox.get(it.outgoing).map_or(0, |outgoing| outgoing.deadline_ns);
            if deadline_ns == 0 {
                continue;
            }
            if deadline_ns > self.now_ns {
                self.file(client, deadline_ns);
            } else {
                self.expired(client, events);
            }
        }
        self.due = due;
        if std::mem::take(&mut self.look_for_next_hop) && self.may_ask() {
            self.ask_for_next_hop();
        }
        while let Some((until_ns, client)) = self.delayed.front().copied() {
            if until_ns > self.now_ns {
                break;
            }
            self.delayed.pop_front();
            if self.clients[client as usize].owed > 0 {
                self.acknowledge(client);
            }
        }
    }

    fn expired(&mut self, client: u32, events: &mut Vec<Event>) {
        let it = &mut self.clients[client as usize];
        if it.state == State::FinWait2 {
            self.abort(client);
            events.push(Event::Gone(client as usize));
            return;
        }
        if it.is_pending {
            // It has not been sent yet.
            return self.wait_for_acknowledgement(client);
        }
        let Some(outgoing) = self.outbox.get_mut(it.outgoing) else { return };
        outgoing.expired += 1;
        outgoing.recovering = false;
        it.duplicate_acks = 0;
        if outgoing.expired >= EXPIRED_BEFORE_ARP {
            self.look_for_next_hop = true;
        }
        if it.state != State::SynSent {
            // All of it goes out again as acknowledgements come (RFC 5681 section 3.1).
            it.next = it.unacknowledged;
        }
        self.wait_for_acknowledgement(client);
        if self.port.waiting() < PORT_WAITING_MAX {
            self.send_again(client);
        } else {
            self.wait_for_port(client);
        }
    }

    fn wait_for_acknowledgement(&mut self, client: u32) {
        let it = &self.clients[client as usize];
        let Some(outgoing) = self.outbox.get(it.outgoing) else { return };
        let deadline_ns = self.now_ns + it.timeout_ns(outgoing.expired);
        self.set_deadline(client, deadline_ns);
    }

    fn set_deadline(&mut self, client: u32, deadline_ns: u64) {
        let place = self.clients[client as usize].outgoing;
        if let Some(outgoing) = self.outbox.get_mut(place) {
            outgoing.deadline_ns = deadline_ns;
            if !self.clients[client as usize].is_filed {
                self.file(client, deadline_ns);
            }
        }
    }

    fn file(&mut self, client: u32, deadline_ns: u64) {
        self.clients[client as usize].is_filed = true;
        self.timers.file(client, deadline_ns);
    }

    fn wait_for_port(&mut self, client: u32) {
        if !std::mem::replace(&mut self.clients[client as usize].is_pending, true) {
            self.pending.push_back(client);
        }
    }

    /// Goes on for those who waited for the port.
    pub(super) fn send_pending(&mut self, events: &mut Vec<Event>) {
        if self.pending.is_empty() {
            return;
        }
        self.port.flush(self.now);
        for _ in 0..self.pending.len() {
            if self.port.waiting() >= PORT_WAITING_MAX {
                return;
            }
            let Some(client) = self.pending.pop_front() else { return };
            let it = &mut self.clients[client as usize];
            it.is_pending = false;
            if it.state == State::SynSent {
                self.send_syn(client);
                continue;
            }
            if it.owed > 0 {
                self.acknowledge(client);
            }
            self.push(client);
            self.tell_of_room(client, events);
        }
    }

    /// Acknowledges what has come.
    pub(super) fn acknowledge(&mut self, client: u32) {
        if self.port.waiting() >= PORT_WAITING_MAX {
            let it = &mut self.clients[client as usize];
            it.owed = it.owed.max(1);
            return self.wait_for_port(client);
        }
        let words = self.words(client, ACK, 0);
        self.send_bare(&words);
    }

    /// What a segment says that begins `ahead` bytes behind what is acknowledged.
    #[inline]
    fn words(&mut self, client: u32, flags: u8, ahead: usize) -> Words {
        let it = &mut self.clients[client as usize];
        it.owed = 0;
        let sequence = if ahead == 0 && flags & (PSH | FIN) == 0 {
            // Nothing in it; RFC 9293 section 3.10.7.4 wants the next number.
            it.next
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "within the window")]
            it.unacknowledged.wrapping_add(ahead as u32)
        };
        Words {
            source: self.options.addresses.of(client, it.connection),
            sequence,
            acknowledged: it.expected,
            flags,
            window: it.offer(),
        }
    }

    fn send_syn(&mut self, client: u32) {
        let it = &self.clients[client as usize];
        let words = Words {
            source: self.options.addresses.of(client, it.connection),
            sequence: it.unacknowledged,
            acknowledged: 0,
            flags: SYN,
            window: u16::MAX,
        };
        let mss = self.mss;
        self.send_segment(&words, SYN_OPTIONS_BYTES, 0, |_, bytes| {
            write_syn_options(bytes, mss, WINDOW_SCALE);
        });
    }

    fn send_bare(&mut self, words: &Words) {
        self.send_segment(words, 0, 0, |_, _| {});
    }

    /// Sends `len` of the bytes that are not acknowledged, from the `ahead`th on.
    fn send_bytes(&mut self, client: u32, ahead: usize, len: usize, fin: bool) {
        let flags = ACK | if len > 0 { PSH } else { 0 } | if fin { FIN } else { 0 };
        let words = self.words(client, flags, ahead);
        let place = self.clients[client as usize].outgoing;
        self.send_segment(&words, 0, len, |outbox, payload| {
            let outgoing = outbox.get(place).map(Outgoing::bytes);
            if let Some(bytes) = outgoing.and_then(|bytes| bytes.get(ahead..ahead + len)) {
                payload.copy_from_slice(bytes);
            }
        });
    }

    /// Sends a frame with so many bytes of options, or of payload, which `fill` writes.
    #[inline]
    pub(super) fn send_segment(
        &mut self,
        words: &Words,
        options_bytes: usize,
        payload_bytes: usize,
        fill: impl FnOnce(&super::Outbox, &mut [u8]),
    ) {
        // The port counts what it has no memory for. Whatever it was, it will be sent again.
        let Some(mut frame) = self.port.frame() else { return };
        if !frame.resize(HEADER_BYTES + options_bytes + payload_bytes) {
            return;
        }
        fill(&self.outbox, &mut frame[HEADER_BYTES..]);
        self.template.write(&mut frame, words, options_bytes);
        let (ip, tcp) = self.template.offloads;
        #[expect(clippy::cast_possible_truncation, reason = "14 and 20")]
        let checksum = (ip || tcp).then_some(TxChecksum {
            link_header_bytes: ETHERNET_BYTES as u8,
            ip_header_bytes: 20,
            ipv6: false,
        });
        self.counts.segments_out += 1;
        self.port.send(self.now, frame, checksum);
    }
}
