//! How a client's connections begin, and how they end (RFC 9293 sections 3.5 and 3.6).

use std::hash::BuildHasher;

use hioload_net::FramePort;

use super::client::State;
use super::outbox::Place;
use super::segment::{ACK, RST, Words};
use super::{PORT_WAITING_MAX, PacketTransport};
use crate::transport::Event;

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
    pub(super) fn first_number(&self, client: u32) -> u32 {
        const NS_PER_STEP: u64 = 4_000;
        let connection = self.clients[client as usize].connection.wrapping_add(1);
        let turn = self.options.addresses.turn(connection);
        let hash = self.secret.hash_one((client, turn)) as u32;
        hash.wrapping_add((self.now_ns / NS_PER_STEP) as u32)
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
        // What still comes is dropped, and the server can end its half only behind it.
        it.is_held = false;
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
            // A window of nothing lets no number in but this one, whatever it was asked about by.
            sequence: if is_known && it.window == 0 { it.unacknowledged } else { it.next },
            acknowledged: if is_known { it.expected } else { 0 },
            flags: if is_known { RST | ACK } else { RST },
            window: 0,
        };
        self.send_bare(&words);
        self.counts.resets_out += 1;
        self.close(client);
    }

    /// The connection is lost.
    pub(super) fn lost(&mut self, client: u32, reason: &str, events: &mut Vec<Event>) {
        let has_ended = self.has_ended(client);
        self.close(client);
        events.push(if has_ended {
            Event::Gone(client as usize)
        } else {
            Event::Ended(client as usize, reason.to_owned())
        });
    }

    /// Whether the client has said that it wants no more of it.
    pub(super) fn has_ended(&self, client: u32) -> bool {
        use State::{Closing, FinWait1, FinWait2, LastAck};
        matches!(self.clients[client as usize].state, FinWait1 | FinWait2 | Closing | LastAck)
    }

    pub(super) fn gone(&mut self, client: u32, events: &mut Vec<Event>) {
        self.close(client);
        events.push(Event::Gone(client as usize));
    }

    pub(super) fn close(&mut self, client: u32) {
        let it = &mut self.clients[client as usize];
        it.state = State::Closed;
        it.owed = 0;
        self.give_back(client);
    }

    pub(super) fn give_back(&mut self, client: u32) {
        self.outbox.give_back(&mut self.clients[client as usize].outgoing);
    }
}
