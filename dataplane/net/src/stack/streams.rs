//! The seam, over the flows of the stack.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_buffer::{Frame, FrameId};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};

use super::StackStreams;
use super::device::Sent;
use super::egress::send_new;
use super::flow::{Finish, Flow, Stage};
use crate::queue::Outbound;
use crate::{
    Backlog, BacklogMax, Event, FlowId, FlushState, Flushed, FramePort, Held, Place, Polled,
    ReadState, StreamCounters, Streams, Wake,
};

impl<'a, P: FramePort> StackStreams<'a, P> {
    /// A flow that is known above.
    fn open_flow(&self, id: FlowId) -> Option<&Flow<'a>> {
        self.flows.get(id).filter(|flow| flow.stage == Stage::Open)
    }

    fn open_flow_mut(&mut self, id: FlowId) -> Option<&mut Flow<'a>> {
        self.flows.get_mut(id).filter(|flow| flow.stage == Stage::Open)
    }

    /// Ends our direction once all is in the send ring.
    fn finish_when_empty(&mut self, id: FlowId) {
        let Some(flow) = self.open_flow_mut(id) else { return };
        if flow.finish == Finish::Asked && flow.queue.is_empty() {
            flow.finish = Finish::Done;
            flow.socket_mut().close();
            self.advance(id);
        }
    }
}

impl<P: FramePort> Streams for StackStreams<'_, P> {
    fn waker(&self) -> Arc<dyn Wake> {
        self.idler.waker()
    }

    fn poll(
        &mut self,
        now: Instant,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<Polled> {
        (self.now, self.at) = self.clock.look(now);
        let found = self.turn()? || !self.events.is_empty();
        self.gauges().fill(&mut self.stack_counters);
        let Self { stats, stack_counters, ports, .. } = self;
        let ports = ports.iter().map(|port| port.output.port.counters());
        stats.publish(stack_counters, ports);
        events.append(&mut self.events);
        if found {
            self.idler.found_work();
            return Ok(Polled::Worked);
        }
        if timeout == Some(Duration::ZERO) {
            return Ok(Polled::Waited);
        }
        let until_due = self.timers.next().map(|at| at.saturating_duration_since(self.now));
        let rest = [timeout, until_due].into_iter().flatten().min().unwrap_or(Duration::MAX);
        if rest > Duration::ZERO {
            self.idler.rest(rest);
        }
        Ok(Polled::Waited)
    }

    fn has_more(&self) -> bool {
        self.came
    }

    fn read(&mut self, id: FlowId, mut sink: impl FnMut(&mut [u8])) -> ReadState {
        let Some(flow) = self.open_flow_mut(id) else { return ReadState::Drained };
        let mut bytes = 0;
        // What is there may wrap around the end of the ring.
        for _ in 0..2 {
            if !flow.socket().can_recv() {
                break;
            }
            let read = flow.socket_mut().recv(|received| {
                sink(received);
                (received.len(), received.len())
            });
            bytes += read.unwrap_or(0);
        }
        // A ring holds no more than 32 bits can say.
        flow.read_until = flow.read_until.wrapping_add(u32::try_from(bytes).unwrap_or(0));
        let state = flow.read_state();
        self.counters.bytes_in += bytes as u64;
        if bytes > 0 {
            // The window has grown.
            self.touch(id);
        }
        state
    }

    fn hold(&mut self, frame: Frame, stamp: u64) -> FrameId {
        self.outbound.hold(frame, stamp)
    }

    fn release(&mut self, frame: FrameId) {
        self.outbound.release(frame);
    }

    fn enqueue(&mut self, id: FlowId, frame: FrameId) {
        let Self { flows, outbound, .. } = self;
        if let Some(flow) = flows.get_mut(id).filter(|flow| flow.stage == Stage::Open) {
            outbound.push(&mut flow.queue, frame);
        }
    }

    fn enqueue_within(
        &mut self,
        id: FlowId,
        frame: FrameId,
        length: usize,
        limits: &BacklogMax,
    ) -> bool {
        let Self { flows, outbound, .. } = self;
        match flows.get_mut(id).filter(|flow| flow.stage == Stage::Open) {
            Some(flow) => outbound.push_within(&mut flow.queue, frame, length, limits),
            None => true,
        }
    }

    fn enqueue_control(&mut self, id: FlowId, frame: FrameId, place: Place) {
        let Self { flows, outbound, .. } = self;
        if let Some(flow) = flows.get_mut(id).filter(|flow| flow.stage == Stage::Open) {
            outbound.push_control(&mut flow.queue, frame, place);
        }
    }

    fn drop_oldest_unsent(&mut self, id: FlowId) -> Option<usize> {
        let Self { flows, outbound, .. } = self;
        let flow = flows.get_mut(id).filter(|flow| flow.stage == Stage::Open)?;
        outbound.drop_oldest_unsent(&mut flow.queue)
    }

    fn backlog(&self, id: FlowId) -> Backlog {
        self.open_flow(id).map_or_else(Backlog::default, |flow| flow.queue.backlog())
    }

    fn messages_sent(&self, id: FlowId) -> u64 {
        self.open_flow(id).map_or(0, |flow| flow.queue.messages_sent())
    }

    fn held(&self) -> Held {
        self.outbound.held()
    }

    fn prefetch(&self, id: FlowId) {
        self.flows.prefetch(id);
    }

    fn prefetch_flush(&self, id: FlowId, bytes: usize) {
        if let Some(flow) = self.flows.get(id) {
            flow.prefetch_flush(bytes);
        }
    }

    fn deliver_bytes_max(&self) -> usize {
        self.options.send_ring_bytes
    }

    fn deliver(&mut self, id: FlowId, messages: u32, bytes: &[u8]) -> bool {
        let Self { flows, ports, now, at, .. } = self;
        let Some(flow) = flows.get_mut(id) else { return false };
        if !flow.put(bytes) {
            return false;
        }
        flow.queue.count_sent(messages, bytes.len());
        flow.unsent += u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (sent, is_due) = send_new(flow, &mut ports[flow.key.port()], (*now, *at));
        self.counters.bytes_out += bytes.len() as u64;
        self.count_sent(sent);
        if is_due {
            self.look_after_delivery(id);
        }
        true
    }

    fn bytes_sent(&self, id: FlowId) -> u64 {
        self.open_flow(id).map_or(0, |flow| flow.queue.bytes_sent())
    }

    fn flush(&mut self, id: FlowId) -> Flushed {
        let mut flushed = Flushed { messages: 0, bytes: 0, state: FlushState::Drained };
        let Self { flows, outbound, ports, now, at, .. } = self;
        let Some(flow) = flows.get_mut(id).filter(|flow| flow.stage == Stage::Open) else {
            return flushed;
        };
        if let ReadState::Lost(kind) = flow.read_state() {
            flushed.state = FlushState::Lost(kind);
            return flushed;
        }
        (flushed.messages, flushed.bytes) = fill(flow, outbound);
        let (mut sent, mut is_due) = (Sent::default(), false);
        if flushed.bytes > 0 {
            (sent, is_due) = send_new(flow, &mut ports[flow.key.port()], (*now, *at));
        }
        if !flow.socket().is_open() {
            // It has given its peer up at this moment, and nothing else tells of that.
            flow.timed_out = true;
            flushed.state = FlushState::Lost(io::ErrorKind::TimedOut);
            return flushed;
        }
        flow.blocked = !flow.queue.is_empty();
        flushed.state = flow.flush_state();
        let ends = flow.finish == Finish::Asked;

        self.counters.bytes_out += flushed.bytes as u64;
        self.count_sent(sent);
        if is_due {
            self.schedule(id);
        }
        if ends {
            self.finish_when_empty(id);
            flushed.state = self.open_flow(id).map_or(flushed.state, Flow::flush_state);
        }
        flushed
    }

    #[inline]
    fn take_sent(&mut self, sink: impl FnMut(u64, u32)) {
        self.outbound.take_sent(sink);
    }

    fn finish(&mut self, id: FlowId) {
        let Some(flow) = self.open_flow_mut(id) else { return };
        if flow.finish == Finish::NotAsked {
            flow.finish = Finish::Asked;
        }
        self.finish_when_empty(id);
    }

    fn close(&mut self, id: FlowId) -> Backlog {
        let Self { flows, outbound, .. } = self;
        let Some(flow) = flows.get_mut(id).filter(|flow| flow.stage == Stage::Open) else {
            return Backlog::default();
        };
        let backlog = outbound.clear(&mut flow.queue);
        match flow.state() {
            State::Closed | State::Listen => self.free(id),
            // A peer that does not read must not take what it got for all.
            _ if backlog != Backlog::default() => self.reset(id),
            _ => self.close_in_order(id),
        }
        backlog
    }

    fn stop_accepting(&mut self) {
        self.accepting = false;
    }

    fn is_ending(&self) -> bool {
        let mut flows = self.flows.iter();
        flows.any(|(_, flow)| {
            let state = flow.state();
            flow.stage == Stage::Closing
                && matches!(state, State::FinWait1 | State::Closing | State::LastAck)
        })
    }

    fn counters(&self) -> StreamCounters {
        self.counters
    }
}

/// Copies what is queued into the send ring, as far as there is room; returns the messages that
/// were completed, and the bytes.
fn fill(flow: &mut Flow<'_>, outbound: &mut Outbound) -> (u32, usize) {
    let (mut messages, mut bytes) = (0, 0);
    // The room may wrap around the end of the ring.
    for _ in 0..2 {
        if flow.queue.backlog().bytes == 0 {
            break;
        }
        let pending = outbound.pending(&flow.queue);
        let socket: &mut Socket<'_> = flow.set.get_mut(SocketHandle::default());
        let copied = socket.send(|room| {
            let mut end = 0;
            for frame in pending {
                let len = frame.len().min(room.len() - end);
                room[end..end + len].copy_from_slice(&frame[..len]);
                end += len;
                if end == room.len() {
                    break;
                }
            }
            (end, end)
        });
        let Ok(copied) = copied else { break };
        if copied == 0 {
            break;
        }
        messages += outbound.advance(&mut flow.queue, copied);
        bytes += copied;
    }
    // Frames without bytes may be left.
    if flow.queue.backlog().bytes == 0 && !flow.queue.is_empty() {
        messages += outbound.advance(&mut flow.queue, 0);
    }
    flow.unsent += u32::try_from(bytes).unwrap_or(u32::MAX);
    (messages, bytes)
}
