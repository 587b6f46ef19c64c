//! What a client sends, and when there is room for it (RFC 9293 sections 3.8.3 and 3.8.6).

use hioload_net::{FramePort, PortFrame, TxChecksum};

use super::client::{State, WINDOW_SCALE, is_before};
use super::outbox::{Outgoing, Place};
use super::segment::{
    ACK, ETHERNET_BYTES, FIN, HEADER_BYTES, PSH, SYN, SYN_OPTIONS_BYTES, Words, write_syn_options,
};
use super::{PORT_WAITING_MAX, PacketTransport};
use crate::transport::Event;

impl<P: FramePort> PacketTransport<P> {
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

    pub(super) fn tell_of_room(&self, client: u32, events: &mut Vec<Event>) {
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
                    if outgoing.timed.is_none() && outgoing.sent_max == number {
                        outgoing.timed = Some((number, now_ns));
                    }
                    outgoing.sent_max = end;
                } else {
                    self.counts.retransmitted += 1;
                }
                if in_flight == 0 {
                    self.wait_for_acknowledgement(client);
                }
            }
        }
    }

    /// Sends again what was lost first.
    pub(super) fn send_again(&mut self, client: u32) {
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

    pub(super) fn wait_for_port(&mut self, client: u32) {
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
    pub(super) fn words(&mut self, client: u32, flags: u8, ahead: usize) -> Words {
        let it = &mut self.clients[client as usize];
        it.owed = 0;
        let sequence = if ahead == 0 && flags & (PSH | FIN) == 0 {
            // Nothing in it; RFC 9293 section 3.10.7.4 wants the number behind all that was sent,
            // though some of it may go out again. A window of nothing lets its own beginning in.
            match self.outbox.get(it.outgoing) {
                Some(_) if it.window == 0 => it.unacknowledged,
                Some(outgoing) if is_before(it.next, outgoing.sent_max) => outgoing.sent_max,
                _ => it.next,
            }
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

    pub(super) fn send_syn(&mut self, client: u32) {
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

    pub(super) fn send_bare(&mut self, words: &Words) {
        self.send_segment(words, 0, 0, |_, _| {});
    }

    /// Sends `len` of the bytes that are not acknowledged, from the `ahead`th on.
    pub(super) fn send_bytes(&mut self, client: u32, ahead: usize, len: usize, fin: bool) {
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

    /// Sends a frame with so many bytes of options, or of payload, which `fill` writes. Whether
    /// there was memory for it; the port counts where there was none.
    #[inline]
    pub(super) fn send_segment(
        &mut self,
        words: &Words,
        options_bytes: usize,
        payload_bytes: usize,
        fill: impl FnOnce(&super::Outbox, &mut [u8]),
    ) -> bool {
        // Whatever it is of a client's, it will be sent again.
        let Some(mut frame) = self.port.frame() else { return false };
        if !frame.resize(HEADER_BYTES + options_bytes + payload_bytes) {
            return false;
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
        self.is_busy = true;
        self.port.send(self.now, frame, checksum);
        true
    }
}
