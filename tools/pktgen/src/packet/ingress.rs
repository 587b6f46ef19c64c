//! What a client makes of the segments that come (RFC 9293 section 3.10.7).

use std::net::SocketAddrV4;

use hioload_net::FramePort;

use super::client::{State, WINDOW_SCALE, is_before};
use super::segment::{ACK, FIN, RST, SYN, Segment, Words};
use super::{AckPolicy, Arrival, PacketTransport};
use crate::transport::Event;

/// RFC 9293 section 3.8.6.3 allows half a second; systems wait so long.
const ACK_DELAY_NS: u64 = 40_000_000;
/// As many duplicates mean that a segment is lost (RFC 5681 section 3.2).
const DUPLICATES_OF_A_LOSS: u8 = 3;

impl<P: FramePort> PacketTransport<P> {
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
            if ahead > 0 && it.accepts(ahead, 0) {
                self.acknowledge(client);
            }
            return;
        }
        if segment.has(SYN) {
            // The answer to our SYN, again; or a stranger's (RFC 5961 section 4.2).
            return self.acknowledge(client);
        }
        if !it.accepts(ahead, segment.len()) {
            return self.refuse(client, ahead, segment);
        }
        if !segment.has(ACK) {
            return;
        }
        if self.frames[frame][6..12] != self.template.next_hop() {
            let mac = self.frames[frame].get(6..12).and_then(|mac| mac.try_into().ok());
            self.template.set_next_hop(mac.unwrap_or_default());
        }
        if !self.take_acknowledgement(client, ahead, segment, events) {
            return;
        }
        if segment.len() > 0 {
            self.take_payload(client, frame, segment, events);
        }
    }

    /// Says where the connection stands to whoever sent what has no place in it: what had come
    /// before, a sign of life, or a probe of the window (RFC 9293 sections 3.8.4 and 3.10.7.4).
    #[cold]
    fn refuse(&mut self, client: u32, ahead: i32, segment: &Segment) {
        if segment.len() > 0 {
            let count = if ahead < 0 {
                &mut self.counts.duplicates_in
            } else {
                &mut self.counts.out_of_order
            };
            *count += 1;
        }
        self.acknowledge(client);
    }

    pub(super) fn take_syn_sent(
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
        // RFC 7323 section 2.2: both sides scale, or none does.
        it.window_scale = scale.unwrap_or(0);
        it.own_scale = scale.map_or(0, |_| WINDOW_SCALE);
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
    ///
    /// The window is that of a segment which acknowledges something new, or begins at what is to
    /// come: all that is ahead will come again in order, so no segment that counts is newer (it
    /// takes the place of SND.WL1 and SND.WL2, RFC 9293 section 3.10.7.4).
    pub(super) fn take_acknowledgement(
        &mut self,
        client: u32,
        ahead: i32,
        segment: &Segment,
        events: &mut Vec<Event>,
    ) -> bool {
        let it = &mut self.clients[client as usize];
        let window = u32::from(segment.window) << it.window_scale;
        let acknowledged = segment.acknowledged.wrapping_sub(it.unacknowledged);
        let Some(outgoing) = self.outbox.get_mut(it.outgoing) else {
            // Nothing is under way.
            if acknowledged == 0 && ahead <= 0 {
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
        let was_window = it.window;
        if acknowledged > 0 || ahead <= 0 {
            it.window = window;
        }
        if acknowledged == 0 {
            let is_duplicate = segment.len() == 0 && sent > 0 && was_window == window;
            if is_duplicate {
                it.duplicate_acks = it.duplicate_acks.saturating_add(1);
            }
            if is_duplicate && it.duplicate_acks == DUPLICATES_OF_A_LOSS && !outgoing.recovering {
                outgoing.recovering = true;
                self.send_again(client);
            }
            let it = &mut self.clients[client as usize];
            if it.window > was_window {
                if was_window == 0
                    && let Some(outgoing) = self.outbox.get_mut(it.outgoing)
                {
                    // The byte that the window was asked about by was not taken.
                    it.next = it.unacknowledged;
                    outgoing.expired = 0;
                }
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
    pub(super) fn fin_is_acknowledged(&mut self, client: u32, events: &mut Vec<Event>) -> bool {
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

    pub(super) fn take_payload(
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
        let fresh = bytes.saturating_sub(had);
        let taken = fresh.min(it.room());
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
        if is_before(it.edge, it.expected) {
            it.edge = it.expected;
        }
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
    pub(super) fn owe(&mut self, client: u32) {
        if self.options.acks == AckPolicy::Each {
            return self.acknowledge(client);
        }
        let it = &mut self.clients[client as usize];
        // There may be more while the port is full.
        it.owed = it.owed.saturating_add(1);
        if it.owed >= 2 {
            self.acknowledge(client);
        } else {
            self.delayed.push_back((self.now_ns + ACK_DELAY_NS, client));
        }
    }

    /// Answers a segment of no connection (RFC 9293 section 3.10.7.1), or of one that has just
    /// ended: in TIME-WAIT a FIN that comes again is acknowledged.
    pub(super) fn answer_stranger(&mut self, segment: &Segment) {
        if segment.has(RST) || segment.source != u32::from(*self.options.server.ip()) {
            return;
        }
        let owner = self.options.addresses.owner(segment.destination, segment.destination_port);
        let Some(owner) = owner else { return };
        let is_plain = segment.has(ACK) && !segment.has(SYN);
        if !is_plain || (segment.len() > 0 && !segment.has(FIN)) {
            return self.reset_stranger(segment);
        }
        let connections = self.clients[owner.client as usize].connection;
        if !self.options.addresses.was_used(owner.turn, connections) {
            self.reset_stranger(segment);
        } else if segment.has(FIN) {
            // Without one, it crossed with the end, most likely.
            let source = SocketAddrV4::new(segment.destination.into(), segment.destination_port);
            let acknowledged = segment.sequence.wrapping_add(segment.len());
            let sequence = segment.acknowledged;
            self.send_bare(&Words { source, sequence, acknowledged, flags: ACK, window: 0 });
        }
    }

    pub(super) fn reset_stranger(&mut self, segment: &Segment) {
        let source = SocketAddrV4::new(segment.destination.into(), segment.destination_port);
        let end = segment.sequence.wrapping_add(segment.len());
        let (sequence, acknowledged, flags) =
            if segment.has(ACK) { (segment.acknowledged, 0, RST) } else { (0, end, RST | ACK) };
        self.counts.resets_out += 1;
        self.send_bare(&Words { source, sequence, acknowledged, flags, window: 0 });
    }
}
