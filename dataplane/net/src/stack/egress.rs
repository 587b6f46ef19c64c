//! From what sockets have to say to frames, now or when it is due.

use std::time::Instant;

use smoltcp::time::Instant as StackInstant;

use super::StackStreams;
use super::attached::Attached;
use super::device::{IpDevice, Sent};
use super::flow::{Flow, NEVER, Stage};
use super::table::Entry;
use crate::{Event, FlowId, FramePort, TimerWheel};

/// Segments that one look at a flow sends at most: more than any ring holds, of ordinary ones.
const SEGMENTS_PER_LOOK: usize = 64;

/// Flows of a port that go on in a turn behind a full interface, however fast that empties itself.
const RESUMED_PER_TURN: usize = 1024;

/// Flows ahead of the one in hand whose places are fetched into the caches, and whose sockets are.
const SLOTS_AHEAD: usize = 16;
const SOCKETS_AHEAD: usize = 8;

impl<P: FramePort> StackStreams<'_, P> {
    /// Has a flow say all that it has to say at this moment, and notes when it will have more.
    pub(super) fn advance(&mut self, id: FlowId) {
        if self.due_at(id).is_some_and(|due| due <= self.at) {
            self.emit(id);
        }
        self.schedule(id);
    }

    /// Notes when a flow has something to say next.
    pub(super) fn schedule(&mut self, id: FlowId) {
        let mut due = self.due_at(id).unwrap_or(NEVER);
        let Some(flow) = self.flows.get_mut(id) else { return };
        if due <= self.at {
            let attached = &mut self.ports[flow.key.port()];
            if !attached.output.has_room() {
                if !std::mem::replace(&mut flow.stalled, true) {
                    attached.stalled.push_back(id);
                }
                due = NEVER;
            }
        }
        let due = due.min(flow.deadline);
        if due < flow.wake_at {
            flow.wake_later = flow.wake_at;
            flow.wake_at = due;
            // What could not be sent now, for lack of memory, is tried at the next tick.
            let micros = u64::try_from(due.max(self.at).total_micros()).unwrap_or(0);
            self.timers.schedule(id, self.origin + std::time::Duration::from_micros(micros));
        }
    }

    /// Has the flows go on that waited for their port's interface, as far as that has room again.
    /// Says whether any has waited.
    pub(super) fn resume_stalled(&mut self) -> bool {
        let mut found = false;
        for port in 0..self.ports.len() {
            if self.ports[port].stalled.is_empty() {
                continue;
            }
            found = true;
            self.ports[port].output.port.flush(self.now);
            for _ in 0..RESUMED_PER_TURN {
                if !self.ports[port].output.has_room() {
                    break;
                }
                let Some(id) = self.ports[port].stalled.pop_front() else { break };
                if let Some(flow) = self.flows.get_mut(id) {
                    flow.stalled = false;
                    self.advance(id);
                    self.settle(id);
                }
            }
        }
        found
    }

    /// Looks at the flows that were touched since the last turn.
    pub(super) fn look_at_touched(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            if let Some(flow) = self.flows.get_mut(id) {
                flow.touched = false;
                self.advance(id);
                self.settle(id);
            }
        }
        self.touched = touched;
    }

    /// Notes that a flow may have something to say at the next turn.
    pub(super) fn touch(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(id)
            && !flow.touched
        {
            flow.touched = true;
            self.touched.push(id);
        }
    }

    /// Has the flows go on whose time has come, and says whether there were any.
    pub(super) fn expire(&mut self) -> bool {
        let mut expired = std::mem::take(&mut self.expired);
        self.timers.expire(self.now, &mut expired);
        let found = !expired.is_empty();
        for place in 0..expired.len() {
            let id = expired[place];
            if let Some(next) = expired.get(place + SLOTS_AHEAD) {
                self.flows.prefetch(*next);
            }
            if let Some(next) = expired.get(place + SOCKETS_AHEAD)
                && let Some(flow) = self.flows.get(*next)
            {
                flow.prefetch_socket();
            }
            let Some(flow) = self.flows.get_mut(id) else { continue };
            flow.wake(self.at);
            if flow.deadline <= self.at {
                self.give_up(id);
                continue;
            }
            self.advance(id);
            self.settle(id);
        }
        expired.clear();
        self.expired = expired;
        for _ in 0..TimerWheel::EXPIRED_PER_CALL_MAX {
            let Some((place, remains)) = self.time_waits.expire(self.at) else { break };
            self.map.remove(&remains.key, Entry::TimeWait(place));
        }
        found
    }

    /// When the socket of a flow has something to say, by its own account.
    fn due_at(&mut self, id: FlowId) -> Option<StackInstant> {
        let flow = self.flows.get(id)?;
        let attached = &mut self.ports[flow.key.port()];
        attached.ip.poll_at(self.at, &flow.set)
    }

    /// Has a flow send all that it has to send now.
    fn emit(&mut self, id: FlowId) {
        let Self { flows, ports, now, at, .. } = self;
        let Some(flow) = flows.get_mut(id) else { return };
        let was_open = flow.socket().is_open();
        let sent = emit(flow, &mut ports[flow.key.port()], (*now, *at));
        let is_given_up = was_open && !flow.socket().is_open();
        self.count_sent(sent);
        if is_given_up {
            self.note_silence(id);
        }
    }

    /// Looks after a flow that was delivered to, of which not all could be sent, or a deadline is to
    /// be noted.
    #[inline(never)]
    pub(super) fn look_after_delivery(&mut self, id: FlowId) {
        if self.flows.get(id).is_some_and(|flow| flow.socket().is_open()) {
            self.schedule(id);
        } else {
            // It has given its peer up at this moment. The end is read.
            self.note_silence(id);
        }
    }

    /// A socket has given up its peer, which has said nothing for too long.
    #[cold]
    pub(super) fn note_silence(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.timed_out = true;
        match flow.stage {
            Stage::HalfOpen => self.stack_counters.half_open_expired += 1,
            Stage::Open => self.events.push(Event::Readable(id)),
            Stage::Closing => self.stack_counters.closing_expired += 1,
        }
    }

    #[inline]
    pub(super) fn count_sent(&mut self, sent: Sent) {
        self.counters.writes += u64::from(sent.segments);
    }
}

/// Has a flow send what is new in its ring. Says what it sent, and whether a look at its deadlines
/// is due: those of what is sent are a round trip or more away, and one is known already most
/// times.
#[inline]
pub(super) fn send_new<P: FramePort>(
    flow: &mut Flow<'_>,
    attached: &mut Attached<P>,
    (now, at): (Instant, StackInstant),
) -> (Sent, bool) {
    let wanted = flow.unsent;
    attached.aim(now, flow.link, flow.router);
    let mut sent = emit_one(flow, attached, at);
    if flow.unsent > 0 && sent.segments > 0 {
        sent = emit_rest(flow, attached, at, sent, |rest| rest > 0);
    }
    let is_known = flow.wake_at <= at + RETRANSMISSION_TIMEOUT_MIN;
    (sent, sent.payload_bytes < wanted || !is_known)
}

/// Has a flow send all that it has to send.
fn emit<P: FramePort>(
    flow: &mut Flow<'_>,
    attached: &mut Attached<P>,
    (now, at): (Instant, StackInstant),
) -> Sent {
    attached.aim(now, flow.link, flow.router);
    emit_rest(flow, attached, at, Sent::default(), |_| true)
}

/// Sends segments of a flow behind what was `sent`, as long as it has some and `go_on` says so of the
/// new bytes that are left.
fn emit_rest<P: FramePort>(
    flow: &mut Flow<'_>,
    attached: &mut Attached<P>,
    at: StackInstant,
    mut sent: Sent,
    go_on: impl Fn(u32) -> bool,
) -> Sent {
    for _ in 0..SEGMENTS_PER_LOOK {
        let one = emit_one(flow, attached, at);
        if one.segments == 0 {
            break;
        }
        sent.segments += one.segments;
        sent.payload_bytes += one.payload_bytes;
        if !go_on(flow.unsent) {
            break;
        }
    }
    sent
}

/// Sends a segment of a flow, if it has one, to where its port is aimed at.
#[inline]
fn emit_one<P: FramePort>(
    flow: &mut Flow<'_>,
    attached: &mut Attached<P>,
    at: StackInstant,
) -> Sent {
    attached.output.sent = Sent::default();
    let mut device = IpDevice { output: &mut attached.output, packet: None };
    attached.ip.poll_egress(at, &mut device, &mut flow.set);
    let sent = attached.output.sent;
    if sent.segments > 0 {
        flow.unsent = flow.unsent.saturating_sub(sent.payload_bytes);
        flow.sent_until = sent.until;
        flow.acknowledged = sent.acknowledged;
    }
    sent
}

/// No timer of data that was just sent fires before (RFC 6298 section 2.4).
const RETRANSMISSION_TIMEOUT_MIN: smoltcp::time::Duration =
    smoltcp::time::Duration::from_millis(1000);
