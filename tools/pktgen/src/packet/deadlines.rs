//! What a client does when nothing comes for too long (RFC 6298).

use hioload_net::FramePort;

use super::client::State;
use super::timers::Slot;
use super::{PORT_WAITING_MAX, PacketTransport};
use crate::transport::Event;

/// After so many timeouts in a row, the next hop is asked for: it may be another station now, or was
/// taken from a damaged frame, whose link header no checksum covers here.
const EXPIRED_BEFORE_ARP: u32 = 2;

impl<P: FramePort> PacketTransport<P> {
    /// Does what is due: sends again, acknowledges, gives up.
    pub(super) fn look_after_timers(&mut self, events: &mut Vec<Event>) {
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(self.now_ns, &mut due);
        for (slot, client) in due.drain(..) {
            let it = &mut self.clients[client as usize];
            if it.filed != slot {
                // It was filed again since, for an earlier deadline.
                continue;
            }
            it.filed = Slot::NONE;
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

    pub(super) fn expired(&mut self, client: u32, events: &mut Vec<Event>) {
        let it = &mut self.clients[client as usize];
        if it.state == State::FinWait2 {
            self.abort(client);
            events.push(Event::HalfOpen(client as usize));
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
        // Whatever is acknowledged now may have been sent again.
        outgoing.timed = None;
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

    pub(super) fn wait_for_acknowledgement(&mut self, client: u32) {
        let it = &self.clients[client as usize];
        let Some(outgoing) = self.outbox.get(it.outgoing) else { return };
        let deadline_ns = self.now_ns + it.timeout_ns(outgoing.expired);
        self.set_deadline(client, deadline_ns);
    }

    pub(super) fn set_deadline(&mut self, client: u32, deadline_ns: u64) {
        let place = self.clients[client as usize].outgoing;
        if let Some(outgoing) = self.outbox.get_mut(place) {
            outgoing.deadline_ns = deadline_ns;
            self.file(client, deadline_ns);
        }
    }

    pub(super) fn file(&mut self, client: u32, deadline_ns: u64) {
        self.timers.file(client, deadline_ns, &mut self.clients[client as usize].filed);
    }
}
