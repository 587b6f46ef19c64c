//! How clients end their connections: by a Close, which the server has to answer (RFC 6455 section
//! 5.5.1).

use super::Driver;
use super::client::Client;
use crate::check::Offence;
use crate::outgoing::Opcode;
use crate::transport::Transport;

impl<T: Transport> Driver<T> {
    /// The run is over for all.
    pub(super) fn close_all(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            self.settle_up();
            for client in 0..self.clients.len() {
                if self.is_slow(client) {
                    // It would have to read all that it left unread to see the server's Close.
                    self.leave(client);
                } else {
                    self.close(client);
                }
            }
        }
    }

    pub(super) fn close(&mut self, client: usize) {
        if let Client::Open(session) = &mut self.clients[client]
            && !std::mem::replace(&mut session.closing, true)
        {
            session.closing_ns = self.shared.now_ns();
            // At the end of the run it is one patience for all of them.
            let plan = &self.shared.plan;
            if !self.closing && (plan.is_connect() || plan.mix.is_some()) {
                self.closes.push_back((session.closing_ns, client));
            }
            self.control(client, Opcode::Close, &1000_u16.to_be_bytes());
        }
    }

    /// Ends the connections whose Close was not answered in time, while others are made.
    pub(super) fn give_up_closes(&mut self) {
        let timeout = self.shared.plan.timeout;
        let now_ns = self.shared.now_ns();
        while let Some((closing_ns, client)) = self.closes.front().copied() {
            let what = match &self.clients[client] {
                Client::Open(session) if session.closing && session.closing_ns == closing_ns => {
                    Some(session.unanswered())
                }
                _ => None,
            };
            let is_early = u128::from(now_ns.saturating_sub(closing_ns)) < timeout.as_nanos();
            if what.is_some() && is_early {
                return;
            }
            self.closes.pop_front();
            if let Some(what) = what {
                self.broken(client, Offence::Protocol, &format!("{what} within {timeout:?}"));
            }
        }
    }

    /// The server has not ended its half of a connection that was ended in order. One that has broken
    /// a rule before counts once.
    pub(super) fn half_open(&mut self, client: usize) {
        if matches!(self.clients[client], Client::Leaving { is_broken: true }) {
            return;
        }
        let number = self.inbox.checker.number(client);
        let timeout = self.shared.plan.timeout;
        self.inbox.checker.offences.add(Offence::Protocol, 1, || {
            format!("client {number}: the server did not end the TCP connection within {timeout:?}")
        });
    }

    /// At the end of a run that went well so far: who has not answered a Close by now never will.
    /// That is how a server that hangs is told from one that has nothing to say.
    pub(super) fn complain_of_closes(&mut self) {
        if self.shared.failure().is_some() {
            return;
        }
        let timeout = self.shared.plan.timeout;
        for client in 0..self.clients.len() {
            let Client::Open(session) = &self.clients[client] else { continue };
            if session.closing && !self.is_slow(client) {
                let what = session.unanswered();
                let number = self.inbox.checker.number(client);
                self.inbox.checker.offences.add(Offence::Protocol, 1, || {
                    format!("client {number}: {what} within {timeout:?}")
                });
            }
        }
    }
}
