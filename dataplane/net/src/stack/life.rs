//! How connections begin and end.

use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{IpAddress, IpListenEndpoint};
use std::hash::{BuildHasher, Hasher};

use super::StackStreams;
use super::counters::DropReason;
use super::device::{IpDevice, Sent};
use super::flow::{Flow, NEVER, Stage};
use super::link::Link;
use super::packet::Segment;
use super::rings::{Wired, duration};
use super::table::{Entry, FlowKey};
use super::time_wait::Remains;
use crate::{Event, Flow as NewFlow, FlowId, FramePort};

/// A handshake that takes longer is not completed. The SYN-ACK has been repeated twice by then.
const HALF_OPEN_TIME: Duration = Duration::from_secs(7);
/// As long as Linux waits for the peer's FIN, and for its last acknowledgement.
const CLOSING_TIME: Duration = Duration::from_secs(60);

impl<P: FramePort> StackStreams<'_, P> {
    /// Begins a connection with its first segment.
    pub(super) fn open(
        &mut self,
        port: usize,
        link: Link,
        packet: &[u8],
        key: FlowKey,
        syn: &Segment,
    ) -> Result<(), DropReason> {
        if self.is_crowded() && !(self.options.admit)(key.remote().ip()) {
            return Err(DropReason::NotAdmitted);
        }
        while self.half_open_len >= self.options.half_open_max.max(1) {
            self.evict_half_open();
        }
        if self.live >= self.options.flows_max || !self.options.flows_in_all.take() {
            return Err(DropReason::FlowsFull);
        }
        let begun = self.begin(port, link, packet, key, syn);
        if begun.is_err() {
            self.options.flows_in_all.give_back(1);
        }
        begun
    }

    /// Makes the socket of a connection that there is room for, and answers.
    fn begin(
        &mut self,
        port: usize,
        link: Link,
        packet: &[u8],
        key: FlowKey,
        syn: &Segment,
    ) -> Result<(), DropReason> {
        let address = self.ports[port].address(key.address()).map(IpAddress::from);
        let endpoint = IpListenEndpoint { addr: address, port: key.local_port() };
        let mut wired = self.rings.take(endpoint).map_err(|_| DropReason::NoMemory)?;

        let seed = self.initial_sequence(&key);
        let attached = &mut self.ports[port];
        let mut first = attached.interface(seed);
        attached.aim(self.now, link, None);
        let mut device = IpDevice { output: &mut attached.output, packet: Some(packet) };
        first.poll_ingress_single(self.at, &mut device, &mut wired.set);
        if wired.set.get::<tcp::Socket<'_>>(SocketHandle::default()).state() != State::SynReceived {
            self.rings.give_back(wired);
            return Err(DropReason::Nonsense);
        }
        let router = attached.router_of(key.remote().ip(), link);
        let mut flow = Flow::new(wired, key, link, router, syn);
        flow.deadline = self.at + duration(HALF_OPEN_TIME);
        let id = self.flows.insert(flow);
        self.map.insert(&key, Entry::Flow(id.index));
        if self.half_open.len() > 2 * self.options.half_open_max.max(1) {
            // Those that were reset within the handshake: at least every other one.
            let flows = &self.flows;
            let waits = |id: &FlowId| flows.get(*id).is_some_and(|it| it.stage == Stage::HalfOpen);
            self.half_open.retain(waits);
        }
        self.half_open.push_back(id);
        self.half_open_len += 1;
        self.live += 1;
        self.advance(id);
        Ok(())
    }

    /// Whether there are so many connections that those who have had their share are not let in at
    /// all. Otherwise they are told so by an answer.
    fn is_crowded(&self) -> bool {
        self.half_open_len >= self.options.half_open_max / 2
            || self.live >= self.options.flows_max / 4 * 3
            || self.options.flows_in_all.is_crowded()
    }

    /// The handshake has gone on, or was broken off.
    pub(super) fn advance_half_open(&mut self, id: FlowId, state: State) {
        match state {
            State::SynReceived => return,
            // A reset has returned it to where it began.
            State::Listen | State::Closed => return self.free(id),
            _ => {}
        }
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.stage = Stage::Open;
        flow.deadline = NEVER;
        let peer = flow.key.remote();
        self.half_open_len -= 1;
        // Most leave in the order in which they came.
        while let Some(front) = self.half_open.front() {
            if self.flows.get(*front).is_some_and(|flow| flow.stage == Stage::HalfOpen) {
                break;
            }
            self.half_open.pop_front();
        }
        self.counters.accepted += 1;
        self.events.push(Event::Opened(NewFlow { id, peer }));
    }

    /// Gives a connection up above; TCP goes on to end it in order.
    pub(super) fn close_in_order(&mut self, id: FlowId) {
        let deadline = self.at + duration(CLOSING_TIME);
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.stage = Stage::Closing;
        flow.deadline = deadline;
        // Nobody reads what has come or comes now; a peer that goes on is to know (RFC 2525
        // section 2.17).
        if flow.socket().recv_queue() > 0 {
            return self.reset(id);
        }
        flow.socket_mut().close();
        self.advance(id);
        self.settle(id);
    }

    /// Ends a connection by a reset.
    pub(super) fn reset(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.socket_mut().abort();
        self.advance(id);
        self.free(id);
    }

    /// The time of a flow is over.
    pub(super) fn give_up(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get(id) else { return };
        match flow.stage {
            Stage::HalfOpen => {
                self.stack_counters.half_open_expired += 1;
                self.free(id);
            }
            Stage::Closing => {
                self.stack_counters.closing_expired += 1;
                self.reset(id);
            }
            Stage::Open => {}
        }
    }

    /// Looks whether a flow that was given up above has come to its end.
    pub(super) fn settle(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get(id) else { return };
        match flow.stage {
            Stage::Closing => {
                let state = flow.state();
                self.has_ended(id, state);
            }
            Stage::HalfOpen if !flow.socket().is_open() => self.free(id),
            Stage::HalfOpen | Stage::Open => {}
        }
    }

    /// Ends what is open by resets, as a kernel does for a process that goes away.
    pub(super) fn reset_all(&mut self) {
        let is_open = |(id, flow): (FlowId, &Flow<'_>)| (flow.stage == Stage::Open).then_some(id);
        let open: Vec<FlowId> = self.flows.iter().filter_map(is_open).collect();
        for id in open {
            self.reset(id);
        }
        for port in &mut self.ports {
            port.output.port.flush(self.now);
        }
    }

    /// Frees a flow that was given up above once TCP is done with it, and says whether it was.
    pub(super) fn has_ended(&mut self, id: FlowId, state: State) -> bool {
        let Some(flow) = self.flows.get(id) else { return true };
        if flow.socket().recv_queue() > 0 {
            self.reset(id);
            return true;
        }
        match state {
            State::Closed | State::Listen => self.free(id),
            State::TimeWait => self.remember(id),
            _ => return false,
        }
        true
    }

    /// Keeps of a connection what late segments are answered with.
    fn remember(&mut self, id: FlowId) {
        // Its last acknowledgement, unless it has gone out.
        self.advance_now(id);
        let Some(flow) = self.flows.get(id) else { return };
        let (key, sent_until, received_until) = (flow.key, flow.sent_until, flow.acknowledged);
        self.free(id);
        let Self { time_waits, map, at, .. } = self;
        let remains = Remains { key, sent_until, received_until };
        let gone = |place, gone: Remains| map.remove(&gone.key, Entry::TimeWait(place));
        let place = time_waits.insert(remains, *at, gone);
        map.insert(&key, Entry::TimeWait(place));
    }

    /// Has a flow that is about to be forgotten say its last word.
    fn advance_now(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        let received_until = flow.acknowledged;
        // It would wait for more to acknowledge.
        flow.socket_mut().set_ack_delay(None);
        let attached = &mut self.ports[flow.key.port()];
        attached.aim(self.now, flow.link, flow.router);
        attached.output.sent = Sent::default();
        let mut device = IpDevice { output: &mut attached.output, packet: None };
        attached.ip.poll_egress(self.at, &mut device, &mut flow.set);
        let sent = attached.output.sent;
        if sent.segments > 0 {
            flow.sent_until = sent.until;
        }
        flow.acknowledged = received_until;
    }

    /// Makes room for a handshake.
    fn evict_half_open(&mut self) {
        while let Some(oldest) = self.half_open.pop_front() {
            if self.flows.get(oldest).is_some_and(|flow| flow.stage == Stage::HalfOpen) {
                self.stack_counters.half_open_evicted += 1;
                self.free(oldest);
                return;
            }
        }
        // The list holds every one of them.
        self.half_open_len = 0;
    }

    /// Frees the place and the socket of a flow.
    pub(super) fn free(&mut self, id: FlowId) {
        let Some(mut flow) = self.flows.remove(id) else { return };
        self.map.remove(&flow.key, Entry::Flow(id.index));
        self.outbound.clear(&mut flow.queue);
        self.rings.give_back(Wired { set: flow.set, ring: flow.ring });
        self.live -= 1;
        self.options.flows_in_all.give_back(1);
        if flow.stage == Stage::HalfOpen {
            self.half_open_len -= 1;
        }
    }

    /// A number that nobody can guess who does not see the connection (RFC 6528).
    fn initial_sequence(&self, key: &FlowKey) -> u64 {
        let mut hasher = self.options.seed.build_hasher();
        std::hash::Hash::hash(key, &mut hasher);
        hasher.write_i64(self.at.total_micros() / 4);
        // Apart from the table's hashes, which the same key makes.
        hasher.write_u8(1);
        hasher.finish()
    }
}
