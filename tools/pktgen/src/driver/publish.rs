//! What clients send: messages when they are due, and the roll call before them.

use std::time::{Duration, Instant};

use super::Driver;
use super::client::Client;
use crate::message::{HEADER_BYTES, ROLL_CALL, Stamp};
use crate::outgoing::Opcode;
use crate::pace::Turn;
use crate::transport::Transport;

/// Messages of one publisher before the others get their turn.
const MESSAGES_PER_TURN: usize = 256;
/// Bytes that are encoded before they are handed to the system.
const WIRE_BYTES: usize = 64 * 1024;
/// A call reaches all who are subscribed. Those that follow are for the ones who were not yet, and
/// come ever more seldom: calls to very many clients that a server cannot keep up with would fill
/// its queues. The first interval is this, and as much again for so many clients.
const ROLL_CALL_INTERVAL: Duration = Duration::from_millis(20);
const CLIENTS_PER_ROLL_CALL_INTERVAL: u32 = 10_000;

impl<T: Transport> Driver<T> {
    /// Sends what is due.
    pub(super) fn publish(&mut self) {
        self.agenda.begin(&self.shared);
        self.send_due();
    }

    /// The measurement is over: what was due in it is sent all the same, late as it is. Else the
    /// slowest messages would be left out.
    pub(super) fn send_rest(&mut self) {
        if self.is_drained {
            return;
        }
        self.send_due();
        self.is_drained = !self.agenda.owes(self.shared.due_until_ns());
    }

    pub(super) fn send_due(&mut self) {
        let mut turns = std::mem::take(&mut self.turns);
        self.agenda.turns(self.shared.now_ns(), &mut turns);
        for publisher in turns.drain(..) {
            let turn = self.publish_as(publisher);
            self.agenda.after(publisher, turn);
        }
        self.turns = turns;
    }

    /// Sends what one publisher has to send, together.
    fn publish_as(&mut self, client: usize) -> Turn {
        self.wire.clear();
        let mut turn = Turn::Interrupted;
        for _ in 0..MESSAGES_PER_TURN {
            if !self.takes_more(client) {
                return Turn::Blocked;
            }
            let now_ns = self.shared.now_ns();
            let Some(due) = self.agenda.next(client, &self.shared, now_ns) else {
                turn = Turn::Done;
                break;
            };
            let stamp = Stamp {
                run: self.shared.run,
                publisher: u32::try_from(due.publisher).unwrap_or(ROLL_CALL),
                sequence: due.sequence,
                sent_ns: due.at_ns,
            };
            let len = self.mix.message_len(&self.shared).unwrap_or(self.message.len());
            let message = &mut self.message[..len];
            stamp.write(message);
            self.encoder.frame(&mut self.wire, Opcode::Binary, message);
            self.traffic.messages_sent += 1;
            if self.wire.len() >= WIRE_BYTES {
                self.send_wire(client);
                self.wire.clear();
            }
        }
        self.send_wire(client);
        if self.takes_more(client) { turn } else { Turn::Blocked }
    }

    fn takes_more(&self, client: usize) -> bool {
        matches!(self.clients[client], Client::Open(_)) && !self.transport.is_blocked(client)
    }

    /// The first time between two calls.
    pub(super) fn roll_call_interval(clients: usize) -> Duration {
        let clients = u32::try_from(clients).unwrap_or(u32::MAX);
        ROLL_CALL_INTERVAL * (1 + clients / CLIENTS_PER_ROLL_CALL_INTERVAL)
    }

    /// The first client speaks now and then until all have heard it; the second one, too, where
    /// the first does not hear itself.
    pub(super) fn call_roll(&mut self) {
        let now = Instant::now();
        if self.next_roll_call.is_some_and(|next| now < next) {
            return;
        }
        self.next_roll_call = Some(now + self.roll_call_interval);
        self.roll_call_interval *= 2;
        let callers = if self.shared.plan.sender_excluded() { 2 } else { 1 };
        let threads = self.shared.plan.threads;
        for caller in (self.number..callers).step_by(threads) {
            let sent_ns = self.shared.now_ns();
            let stamp = Stamp { run: self.shared.run, publisher: ROLL_CALL, sequence: 0, sent_ns };
            // Where messages are of any size, a short one will do.
            let is_mix = self.shared.plan.mix.is_some();
            let len = if is_mix { HEADER_BYTES } else { self.message.len() };
            let message = &mut self.message[..len];
            stamp.write(message);
            self.wire.clear();
            self.encoder.frame(&mut self.wire, Opcode::Binary, message);
            self.traffic.messages_sent += 1;
            self.send_wire(caller / threads);
        }
    }

    /// Sends a control frame.
    pub(super) fn control(&mut self, client: usize, opcode: Opcode, payload: &[u8]) {
        self.wire.clear();
        self.encoder.frame(&mut self.wire, opcode, payload);
        self.send_wire(client);
    }

    fn send_wire(&mut self, client: usize) {
        if let (Client::Open(_), false) = (&self.clients[client], self.wire.is_empty()) {
            let result = self.transport.send(client, &self.wire);
            self.unless_broken(client, result);
        }
    }
}
