//! How clients come by their connections.

use std::time::Instant;

use mio::Token;

use super::Driver;
use crate::check::Offence;
use crate::kernel::client::{Client, Connection};
use crate::kernel::handshake::{Handshake, Opened, Progress};
use crate::plan::ClosedBy;

/// In connect mode single failures are counted; with so many per thread there is no point.
const FAILURES_MAX: u64 = 1000;

impl Driver {
    /// Begins as many handshakes as may be under way.
    pub(super) fn connect_more(&mut self) {
        let plan = &self.shared.plan;
        let at_a_time = (plan.connecting / plan.threads).max(1);
        while self.connecting < at_a_time && !self.absent.is_empty() {
            if plan.is_connect() && !self.shared.take_ticket() {
                return;
            }
            let Some(client) = self.absent.pop() else { return };
            let token = Token(client);
            let source = self.number + client * plan.threads;
            match Handshake::start(&self.endpoint, source, self.poll.registry(), token) {
                Ok(handshake) => {
                    self.connecting += 1;
                    self.deadlines.push_back((handshake.began + plan.timeout, client));
                    self.clients[client] = Client::Connecting(Box::new(handshake));
                }
                Err(reason) => return self.failed_to_connect(client, &reason),
            }
        }
    }

    /// Ends the handshakes that have waited for too long. They began in the order of their
    /// deadlines.
    pub(super) fn give_up_handshakes(&mut self) {
        if self.deadlines.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some((deadline, client)) = self.deadlines.front().copied() {
            let waits_for = match &self.clients[client] {
                Client::Connecting(it) if it.began + self.shared.plan.timeout == deadline => {
                    it.waits_for()
                }
                _ => {
                    self.deadlines.pop_front();
                    continue;
                }
            };
            if now < deadline {
                return;
            }
            self.deadlines.pop_front();
            self.connecting -= 1;
            let reason = format!("{waits_for} within {:?}", self.shared.plan.timeout);
            self.failed_to_connect(client, &reason);
        }
    }

    /// Goes on with a handshake.
    pub(super) fn advance(&mut self, client: usize) {
        let Client::Connecting(handshake) = &mut self.clients[client] else { return };
        match handshake.advance(&self.endpoint) {
            Ok(Progress::Pending) => {}
            Ok(Progress::Open(opened)) => self.opened(client, &opened),
            Err(reason) => {
                self.connecting -= 1;
                self.failed_to_connect(client, &reason);
            }
        }
    }

    fn opened(&mut self, client: usize, opened: &Opened) {
        let state = std::mem::replace(&mut self.clients[client], Client::Absent);
        let Client::Connecting(handshake) = state else { return };
        self.connecting -= 1;
        self.open += 1;
        self.handshakes += 1;
        let is_connect = self.shared.plan.is_connect();
        let is_measured = self.shared.measuring();
        if !is_connect || is_measured {
            self.connect.record(opened.connect_ns);
            self.upgrade.record(opened.upgrade_ns);
        }
        let mut connection = Connection::new(handshake.into_socket());
        if self.is_slow(client) {
            self.clients[client] = Client::Open(connection);
            return;
        }
        let reader = &mut connection.reader;
        let now_ns = self.shared.now_ns();
        let read = self.inbox.take(&self.shared, client, reader, &opened.tail, now_ns);
        self.clients[client] = Client::Open(connection);
        self.react(client, read);
        if is_connect {
            self.inbox.measured += u64::from(is_measured);
            if let (ClosedBy::Reset, Client::Open(connection)) =
                (self.closed_by(), &self.clients[client])
            {
                connection.reset_when_dropped();
                return self.leave(client);
            }
            self.close(client);
        }
        // What came behind the answer came without an event of its own.
        self.receive(client, true);
    }

    fn failed_to_connect(&mut self, client: usize, reason: &str) {
        self.clients[client] = Client::Absent;
        let number = self.inbox.checker.number(client);
        let describe = || format!("client {number} cannot connect: {reason}");
        let offences = &mut self.inbox.checker.offences;
        offences.add(Offence::Disconnected, 1, describe);
        let failures = offences.count(Offence::Disconnected);
        if self.shared.plan.is_connect() && failures < FAILURES_MAX {
            self.absent.push(client);
        } else {
            self.shared.fail(describe);
        }
    }
}
