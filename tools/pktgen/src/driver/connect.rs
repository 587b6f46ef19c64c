//! How clients come by their connections.

use super::Driver;
use super::client::{Client, Session, Upgrading};
use crate::check::Offence;
use crate::plan::ClosedBy;
use crate::shared::Phase;
use crate::transport::Transport;
use crate::upgrade::Upgrade;

/// In connect mode single failures are counted; with so many per thread there is no point.
const FAILURES_MAX: u64 = 1000;

impl<T: Transport> Driver<T> {
    /// Begins as many handshakes as may be under way.
    pub(super) fn connect_more(&mut self) {
        let plan = &self.shared.plan;
        let at_a_time = (plan.connecting / plan.threads).max(1);
        while self.connecting < at_a_time && !self.absent.is_empty() {
            if plan.is_connect() && !self.shared.take_ticket() {
                return;
            }
            let Some(client) = self.absent.pop() else { return };
            let began_ns = self.shared.now_ns();
            self.connecting += 1;
            self.clients[client] = Client::Connecting { began_ns };
            self.handshakes_begun.push_back((began_ns, client));
            if let Err(reason) = self.transport.connect(client) {
                return self.failed_to_connect(client, &reason);
            }
        }
    }

    /// Ends the handshakes that have waited for too long. They began in the order of their
    /// deadlines.
    pub(super) fn give_up_handshakes(&mut self) {
        while let Some((began_ns, client)) = self.handshakes_begun.front().copied() {
            if self.clients[client].began_ns() != Some(began_ns) {
                self.handshakes_begun.pop_front();
                continue;
            }
            let waited_ns = self.shared.now_ns().saturating_sub(began_ns);
            let timeout = self.shared.plan.timeout;
            if u128::from(waited_ns) < timeout.as_nanos() {
                return;
            }
            self.handshakes_begun.pop_front();
            let what = if matches!(self.clients[client], Client::Upgrading(_)) {
                "upgrade"
            } else {
                "TCP connection"
            };
            let reason = format!("the {what} is not answered within {timeout:?}");
            self.failed_to_connect(client, &reason);
        }
    }

    /// The TCP connection is there: the client asks for the upgrade.
    pub(super) fn connected(&mut self, client: usize) {
        let Client::Connecting { began_ns } = self.clients[client] else { return };
        let connected_ns = self.shared.now_ns();
        self.wire.clear();
        let upgrade = Upgrade::ask(&self.request, &mut self.wire);
        let upgrading = Upgrading { began_ns, connected_ns, upgrade };
        self.clients[client] = Client::Upgrading(Box::new(upgrading));
        if let Err(reason) = self.transport.send(client, &self.wire) {
            self.failed_to_connect(client, &reason);
        }
    }

    /// Goes on with an upgrade, of whose answer something has come.
    pub(super) fn advance(&mut self, client: usize) {
        let Client::Upgrading(upgrading) = &self.clients[client] else { return };
        match upgrading.upgrade.tail() {
            Ok(None) => {}
            Ok(Some(_)) => self.opened(client),
            Err(reason) => self.failed_to_connect(client, &reason),
        }
    }

    fn opened(&mut self, client: usize) {
        let state = std::mem::replace(&mut self.clients[client], Client::Absent);
        let Client::Upgrading(upgrading) = state else { return };
        self.connecting -= 1;
        self.open += 1;
        self.traffic.opened += 1;
        let now_ns = self.shared.now_ns();
        let is_connect = self.shared.plan.is_connect();
        let is_measured = self.shared.measuring();
        if !is_connect || is_measured {
            self.connect.record(upgrading.connected_ns - upgrading.began_ns);
            self.upgrade.record(now_ns - upgrading.connected_ns);
        }
        self.clients[client] = Client::Open(Session::default());
        if self.shared.phase() <= Phase::RollCall && !self.is_slow(client) {
            // It is there before the roll call, which nobody speaks ahead of.
            self.inbox.checker.is_first(client);
        }
        if self.is_slow(client) {
            self.traffic.opened_slow += 1;
            return self.transport.hold(client, true);
        }
        if let Ok(Some(tail)) = upgrading.upgrade.tail() {
            self.take_tail(client, tail, now_ns);
        }
        if self.shared.plan.mix.is_some() && !self.mix.wants(client) {
            // Its phase has passed while it was on its way.
            return self.close(client);
        }
        if is_connect {
            self.inbox.measured += u64::from(is_measured);
            if self.closed_by() == ClosedBy::Reset {
                self.open -= 1;
                self.transport.reset(client);
                return self.gone(client);
            }
            self.close(client);
        }
    }

    /// Takes frames that came in one piece with the answer to the upgrade.
    fn take_tail(&mut self, client: usize, tail: &[u8], now_ns: u64) {
        let Self { clients, inbox, shared, .. } = self;
        let Client::Open(session) = &mut clients[client] else { return };
        let mut read = Default::default();
        let taken = inbox.take(shared, client, &mut session.reader, tail, now_ns, &mut read);
        self.react(client, read);
        if let Err(fault) = taken {
            self.broken(client, Offence::Protocol, &fault.to_string());
        }
    }

    pub(super) fn failed_to_connect(&mut self, client: usize, reason: &str) {
        self.connecting -= 1;
        self.transport.reset(client);
        self.clients[client] = Client::Absent;
        let number = self.inbox.checker.number(client);
        let describe = || format!("client {number} cannot connect: {reason}");
        let offences = &mut self.inbox.checker.offences;
        offences.add(Offence::Disconnected, 1, describe);
        let failures = offences.count(Offence::Disconnected);
        // Before the first phase of a mix all have to be there.
        let is_underway = self.shared.phase() >= Phase::Run;
        let is_wanted = self.shared.plan.is_connect() || (is_underway && self.mix.wants(client));
        if is_wanted && failures < FAILURES_MAX {
            self.absent.push(client);
        } else {
            self.shared.fail(describe);
        }
    }
}
