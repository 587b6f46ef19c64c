//! What the control plane asks about single sessions; see [`Controls`](crate::Controls).

use hioload_net::{FlowId, Streams};
use hioload_protocol::ws::CloseCode;

use super::commands::next;
use super::{Clock, Worker};
use crate::SessionId;
use crate::controls::{DIRECTED_MAX, Directed, SessionInfo};
use crate::handler::Handler;
use crate::hub::Delivery;
use crate::latency::Publication;

/// Sessions that are written to, closed or described in one turn; one request may exceed it.
const DIRECTED_PER_TURN: usize = 256;

impl<S: Streams, H: Handler, C: Clock> Worker<S, H, C> {
    pub(super) fn obey_directed(&mut self) {
        let mut sessions = 0;
        // What is sent here waits like what clients publish. Nothing of it goes to other workers,
        // so their back-pressure does not hold it up.
        while sessions < DIRECTED_PER_TURN && !self.hub.is_full() {
            let Some(request) = next(&self.directed) else { return };
            sessions += self.direct(request);
        }
    }

    /// Takes all that was sent before the drain, of which nothing may be left out.
    pub(super) fn obey_all_directed(&mut self) {
        for _ in 0..DIRECTED_MAX {
            let Ok(request) = self.directed.try_recv() else { return };
            self.direct(request);
        }
    }

    /// Does what is asked and says how many sessions it was about.
    fn direct(&mut self, request: Directed) -> usize {
        match request {
            Directed::Send { session, flow, message } => self.send_to(session, flow, message),
            Directed::Close { session, flow, code, reason } => {
                self.kick(session, flow, code, &reason);
            }
            Directed::Describe { sessions, answers } => {
                let found =
                    sessions.iter().filter_map(|&(session, flow)| self.describe(session, flow));
                // Nobody may be waiting any more.
                let _ = answers.send(found.collect());
                return sessions.len();
            }
        }
        1
    }

    fn send_to(&mut self, session: SessionId, flow: FlowId, message: Publication) {
        let connection = self.connections.get_mut(flow);
        if connection.is_some_and(|connection| connection.may_send_to(session)) {
            self.cx.counters.directed_sent.add(1);
            self.hub.push(Delivery::One { flow, message });
        } else {
            self.cx.counters.directed_missed.add(1);
        }
    }

    fn kick(&mut self, session: SessionId, flow: FlowId, code: CloseCode, reason: &str) {
        let connection = self.connections.get_mut(flow);
        let Some(connection) = connection.filter(|connection| connection.may_send_to(session))
        else {
            self.cx.counters.directed_missed.add(1);
            return;
        };
        self.cx.counters.sessions_kicked.add(1);
        let deadline = self.cx.now + self.cx.settings.close_timeout;
        connection.close(code, reason, deadline, &mut self.cx);
        self.carry_out(flow);
    }

    fn describe(&self, session: SessionId, flow: FlowId) -> Option<SessionInfo> {
        let open = self.connections.get(flow)?.session(session)?;
        let backlog = self.streams.backlog(flow);
        Some(SessionInfo {
            id: session,
            peer: open.addresses().client(),
            age: self.cx.epoch.since(open.opened, self.cx.now),
            messages_received: open.messages_received,
            messages_delivered: self.streams.messages_sent(flow),
            backlog_messages: backlog.messages,
            backlog_bytes: backlog.bytes,
            worker: usize::from(self.cx.worker),
        })
    }
}
