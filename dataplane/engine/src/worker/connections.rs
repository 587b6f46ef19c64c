//! The life of single connections: opened, read, obeyed, timed, given up.

use std::mem;

use hioload_buffer::Frame;
use hioload_net::{Flow, FlowId, Place, ReadState, Streams};
use hioload_protocol::http::response;
use hioload_protocol::ws::CloseCode;
use tracing::debug;

use super::{Clock, Worker};
use crate::admission::Limit;
use crate::connection::Connection;
use crate::connection_log::EndedConnection;
use crate::drain::{EndCause, Intake};
use crate::handler::Handler;
use crate::hub::{Delivery, queue};
use crate::moment::Moment;
use crate::outbox::Effect;

/// Answers to pings that may wait for a flow; RFC 6455 section 5.5.3 lets the others go.
const CONTROLS_MAX: u32 = 64;
/// Bytes of HTTP responses that may wait for a flow. Who asks for more without reading is cut off.
const RESPONSE_BYTES_MAX: usize = 512 << 10;

impl<S: Streams, H: Handler, C: Clock> Worker<S, H, C> {
    pub(super) fn open(&mut self, flow: Flow) {
        if let Err(limit) = self.cx.connect(flow.peer.ip()) {
            return self.turn_away(flow, limit);
        }
        let connection = Connection::new(flow.id, flow.peer, &self.cx);
        self.connections.insert(flow.id, connection);
        self.readable.insert(flow.id);
        self.rearm(flow.id);
    }

    /// Answers a connection that is one too many, as far as can be done at once: waiting for its
    /// request, or for its end, would let it stay.
    fn turn_away(&mut self, flow: Flow, limit: Limit) {
        let refusal = limit.refuse(&self.cx.counters);
        debug!(peer = %flow.peer, why = refusal.detail(), "turned away");
        let frame = response::refusal(&refusal, false, false, &mut self.cx.pool);
        // What is not read when a connection is closed resets it, perhaps under the answer.
        self.streams.read(flow.id, |_| {});
        let put = |streams: &mut S, id| streams.enqueue_control(flow.id, id, Place::Behind);
        queue(&mut self.streams, frame, Moment::NEVER, put);
        self.streams.flush(flow.id);
        self.streams.close(flow.id);
    }

    pub(super) fn read(&mut self, flow: FlowId) {
        let Self { streams, connections, cx, .. } = self;
        let Some(connection) = connections.get_mut(flow) else { return };
        let state = streams.read(flow, |bytes| connection.receive(bytes, cx));
        match state {
            ReadState::Drained => {}
            ReadState::More => self.readable.insert(flow),
            ReadState::Ended => connection.end(cx),
            ReadState::Lost(_) => return self.give_up(flow, EndCause::Transport),
        }
        if mem::take(&mut connection.overdue) && connection.is_due(cx) {
            connection.expire(cx);
        }
        self.carry_out(flow);
        self.settle(flow);
    }

    /// Does what a connection has asked for; of one that is gone, publishes what it has said.
    pub(super) fn carry_out(&mut self, flow: FlowId) {
        let mut effects = mem::take(&mut self.cx.effects);
        let mut abandoned = false;
        let gone = !self.connections.contains(flow);
        for effect in effects.drain(..) {
            match effect {
                _ if gone && !matches!(effect, Effect::Publish(_)) => {}
                Effect::Join => self.hub.push(Delivery::Join { flow }),
                // Publishing has ended, and the other workers were told so.
                Effect::Publish(_) if self.cx.intake == Intake::Ended => {}
                Effect::Publish(frame) => {
                    let except = (!self.cx.settings.include_sender).then_some(flow);
                    let message = self.cx.publication(frame);
                    self.publish(message, except);
                }
                Effect::Send(frame) => {
                    let message = self.cx.publication(frame);
                    self.hub.push(Delivery::One { flow, message });
                }
                Effect::Control(frame) => {
                    if self.streams.backlog(flow).controls < CONTROLS_MAX {
                        self.queue_control(flow, frame, Place::Ahead);
                    }
                }
                Effect::Respond(frame) => {
                    abandoned |= self.streams.backlog(flow).bytes > RESPONSE_BYTES_MAX;
                    if !abandoned {
                        self.queue_control(flow, frame, Place::Behind);
                    }
                }
                Effect::Close(frame) => self.hub.push(Delivery::Close { flow, frame }),
                Effect::Leave => self.hub.push(Delivery::Leave { flow }),
                Effect::Finish => self.hub.push(Delivery::Finish { flow }),
                Effect::Abandon => abandoned = true,
            }
        }
        self.cx.effects = effects;
        if abandoned {
            self.give_up(flow, EndCause::Deadline);
        } else {
            self.rearm(flow);
        }
    }

    pub(super) fn queue_control(&mut self, flow: FlowId, frame: Frame, place: Place) {
        let put = |streams: &mut S, id| streams.enqueue_control(flow, id, place);
        queue(&mut self.streams, frame, Moment::NEVER, put);
        self.dirty.insert(flow);
    }

    /// Frees a connection whose directions have both ended.
    pub(super) fn settle(&mut self, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(flow) else { return };
        if connection.is_over() && self.streams.backlog(flow).bytes == 0 {
            self.give_up(flow, EndCause::Transport);
        }
    }

    pub(super) fn expire(&mut self) {
        let mut expired = mem::take(&mut self.expired);
        self.timers.expire(self.cx.now, &mut expired);
        for flow in expired.drain(..) {
            let Some(connection) = self.connections.get_mut(flow) else { continue };
            connection.armed = Moment::NEVER;
            if !connection.is_due(&self.cx) {
                self.rearm(flow);
            } else if self.readable.contains(flow) {
                // It may have said in time what the deadline is for: clients are not read while
                // the worker is congested. The next read decides.
                connection.overdue = true;
            } else {
                connection.expire(&mut self.cx);
                self.carry_out(flow);
            }
        }
        self.expired = expired;
    }

    /// Sees to it that the timers have an entry no later than the connection's deadline.
    pub(super) fn rearm(&mut self, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(flow) else { return };
        if connection.deadline < connection.armed
            && let Some(deadline) = self.cx.epoch.instant(connection.deadline)
        {
            connection.armed = connection.deadline;
            self.timers.schedule(flow, deadline);
        }
    }

    /// Closes a session that was too slow: it gets a Close, if it reads at all, and some time.
    pub(super) fn evict(&mut self, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(flow) else { return };
        let deadline = self.cx.now + self.cx.settings.close_timeout;
        let reason = "too slow: its backlog was full";
        connection.close(CloseCode::POLICY_VIOLATION, reason, deadline, &mut self.cx);
        self.carry_out(flow);
    }

    /// Ends a connection here and now, in whatever state it is.
    pub(super) fn give_up(&mut self, flow: FlowId, cause: EndCause) {
        let Some(mut connection) = self.connections.remove(flow) else { return };
        self.cx.disconnect(connection.peer().ip());
        let was_open = connection.is_open();
        connection.lose(&mut self.cx);
        self.hub.forget(flow);
        if let Some(session) = connection.ended_session() {
            let ended = EndedConnection {
                client: connection.client(),
                duration: self.cx.epoch.since(session.opened, self.cx.now),
                bytes_received: connection.bytes_received,
                messages_sent: self.streams.messages_sent(flow),
                bytes_sent: self.streams.bytes_sent(flow),
            };
            self.log.session(self.cx.now, session, ended, &self.cx.counters);
        }
        let left = self.streams.close(flow);
        self.cx.counters.deliveries_dropped_closed.add(u64::from(left.messages));
        self.readable.forget(flow);
        self.dirty.forget(flow);
        if let Some(drain) = &mut self.drain
            && connection.was_upgraded()
        {
            drain.count_end(!was_open && left.bytes == 0, cause);
        }
        // What the handler has broadcast on the close.
        self.carry_out(flow);
    }
}
