//! Streams without a network, for tests: they say what comes in, and how much may go out.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hioload_buffer::{Frame, FrameId, FrameTable};

use crate::{
    Backlog, Event, Flow, FlowId, FlushState, Flushed, Held, Place, Polled, ReadState,
    StreamCounters, Streams, Wake,
};

/// The connections of one worker, in memory. Clones are the same: one for the worker, one for the
/// test, which plays all peers. [`Streams::poll`] never waits; it notes whether it would have.
#[derive(Clone, Default)]
pub struct MemoryStreams {
    net: Rc<RefCell<Net>>,
}

#[derive(Default)]
struct Net {
    flows: Vec<MemoryFlow>,
    /// What was sent on connections that are closed.
    closed: HashMap<FlowId, Vec<u8>>,
    /// Free places; the last one freed is used first, as on kernel sockets.
    free: Vec<u32>,
    frames: FrameTable,
    events: Vec<Event>,
    counters: StreamCounters,
    waker: Arc<FlagWaker>,
    stopped: bool,
    /// The last poll would have gone on sleeping.
    slept: bool,
    /// For how long, unless for ever.
    sleep: Option<Duration>,
}

#[derive(Default)]
struct MemoryFlow {
    generation: u32,
    open: bool,
    inbound: Vec<u8>,
    end: Option<ReadState>,
    queue: VecDeque<Entry>,
    backlog: Backlog,
    messages_sent: u64,
    bytes_sent: u64,
    blocked: bool,
    finish: bool,
    /// Bytes that the peer still takes.
    window: usize,
    output: Vec<u8>,
}

struct Entry {
    frame: FrameId,
    control: bool,
    sent: usize,
}

#[derive(Default)]
struct FlagWaker(AtomicBool);

impl Wake for FlagWaker {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

const READ_BYTES_MAX: usize = 64 << 10;
/// What is longer goes through the queues.
const DELIVER_BYTES_MAX: usize = 2048;
const UNBOUNDED: usize = usize::MAX >> 1;

/// The side of the peers.
impl MemoryStreams {
    /// A connection of a peer at 127.0.0.1, port 9; see [`connect_from`](Self::connect_from).
    pub fn connect(&self) -> FlowId {
        self.connect_from(SocketAddr::from(([127, 0, 0, 1], 9)))
    }

    /// A connection; closed from the start when the worker accepts no more.
    pub fn connect_from(&self, peer: SocketAddr) -> FlowId {
        let mut net = self.net();
        if net.stopped {
            return FlowId { index: 0, generation: u32::MAX };
        }
        let index = net.free.pop().unwrap_or_else(|| {
            net.flows.push(MemoryFlow::default());
            u32::try_from(net.flows.len() - 1).expect("a few flows")
        });
        let flow = &mut net.flows[index as usize];
        let generation = flow.generation;
        *flow = MemoryFlow { generation, open: true, window: UNBOUNDED, ..MemoryFlow::default() };
        let id = FlowId { index, generation };
        net.counters.accepted += 1;
        net.events.push(Event::Opened(Flow { id, peer }));
        id
    }

    /// The peer sends `bytes`.
    pub fn send(&self, id: FlowId, bytes: &[u8]) {
        self.change(id, |flow| flow.inbound.extend_from_slice(bytes));
        self.tell(Event::Readable(id));
    }

    /// The peer ends its direction behind what it has sent.
    pub fn end(&self, id: FlowId) {
        self.change(id, |flow| flow.end = flow.end.or(Some(ReadState::Ended)));
        self.tell(Event::Readable(id));
    }

    /// The peer resets the connection behind what it has sent.
    pub fn reset(&self, id: FlowId) {
        let lost = ReadState::Lost(io::ErrorKind::ConnectionReset);
        let was_blocked = self.change(id, |flow| {
            flow.end = Some(lost);
            std::mem::take(&mut flow.blocked)
        });
        self.tell(Event::Readable(id));
        if was_blocked == Some(true) {
            self.tell(Event::Writable(id));
        }
    }

    /// The peer takes `bytes` more from here on.
    pub fn set_window(&self, id: FlowId, bytes: usize) {
        let was_blocked = self.change(id, |flow| {
            flow.window = bytes;
            bytes > 0 && std::mem::take(&mut flow.blocked)
        });
        if was_blocked == Some(true) {
            self.tell(Event::Writable(id));
        }
    }

    /// The peer takes whatever comes.
    pub fn open_window(&self, id: FlowId) {
        self.set_window(id, UNBOUNDED);
    }

    /// Everything that was sent to the peer, also after its connection is closed.
    pub fn output(&self, id: FlowId) -> Vec<u8> {
        self.with_output(id, |output| output.clone())
    }

    /// What was sent to the peer since the last call, or since the beginning.
    pub fn take_output(&self, id: FlowId) -> Vec<u8> {
        self.with_output(id, std::mem::take)
    }

    /// Whether the connection is there, on the worker's side.
    pub fn is_open(&self, id: FlowId) -> bool {
        self.change(id, |_| ()).is_some()
    }

    /// Whether the peer has got all that will come: the worker has ended its direction, or the
    /// connection.
    pub fn has_ended(&self, id: FlowId) -> bool {
        self.change(id, |flow| flow.finish && flow.queue.is_empty()).unwrap_or(true)
    }

    /// Connections that are there.
    pub fn open_flows(&self) -> u64 {
        self.net().flows.iter().filter(|flow| flow.open).count() as u64
    }

    /// Messages that wait in all queues.
    pub fn messages_waiting(&self) -> u64 {
        let net = self.net();
        let entries = net.flows.iter().flat_map(|flow| &flow.queue);
        entries.filter(|entry| !entry.control).count() as u64
    }

    /// Flows with something to write, room for it, and nobody who would be told.
    pub fn forgotten(&self) -> Vec<FlowId> {
        let net = self.net();
        let flows = net.flows.iter().zip(0..);
        flows
            .filter(|(flow, _)| !flow.queue.is_empty() && !flow.blocked)
            .map(|(flow, index)| FlowId { index, generation: flow.generation })
            .collect()
    }

    /// Bytes that have come and were not read.
    pub fn bytes_unread(&self) -> usize {
        self.net().flows.iter().filter(|flow| flow.open).map(|flow| flow.inbound.len()).sum()
    }

    /// Asserts that the table holds the frames of the queues and no other.
    pub fn check_frames(&self) {
        let net = self.net();
        let queued = net.flows.iter().flat_map(|flow| &flow.queue);
        let ids: BTreeSet<String> = queued.map(|entry| format!("{:?}", entry.frame)).collect();
        assert_eq!(net.frames.len(), ids.len(), "frames are held that no queue refers to");
    }

    /// Some time has passed, perhaps as much as the worker would have slept for.
    pub fn wake_by_time(&self) {
        self.net().slept = false;
    }

    /// Whether the worker sleeps: it did in its last poll, and nothing has happened since.
    pub fn sleeps(&self) -> bool {
        let net = self.net();
        net.slept && net.events.is_empty() && !net.waker.0.load(Ordering::Acquire)
    }

    /// How long a worker that sleeps would go on, counted from its last poll; `None` for ever.
    pub fn sleeps_for(&self) -> Option<Duration> {
        self.net().sleep
    }

    fn net(&self) -> RefMut<'_, Net> {
        self.net.borrow_mut()
    }

    fn change<T>(&self, id: FlowId, change: impl FnOnce(&mut MemoryFlow) -> T) -> Option<T> {
        self.net().flow(id).map(change)
    }

    fn with_output<T: Default>(&self, id: FlowId, take: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut net = self.net();
        if let Some(flow) = net.flow(id) {
            return take(&mut flow.output);
        }
        net.closed.get_mut(&id).map(take).unwrap_or_default()
    }

    fn tell(&self, event: Event) {
        self.net().events.push(event);
    }
}

impl Net {
    fn flow(&mut self, id: FlowId) -> Option<&mut MemoryFlow> {
        let flow = self.flows.get_mut(id.index as usize)?;
        (flow.open && flow.generation == id.generation).then_some(flow)
    }

    fn enqueue(&mut self, id: FlowId, frame: FrameId, control: bool, ahead: bool) {
        let Some(flow) = self.flow(id) else { return };
        let lead = flow.queue.iter().take_while(|entry| entry.control || entry.sent > 0).count();
        let place = if ahead { lead } else { flow.queue.len() };
        flow.queue.insert(place, Entry { frame, control, sent: 0 });
        *(if control { &mut flow.backlog.controls } else { &mut flow.backlog.messages }) += 1;
        let index = id.index as usize;
        self.flows[index].backlog.bytes += self.frames.get(frame).len();
        self.frames.retain(frame);
    }
}

/// The worker's side.
impl Streams for MemoryStreams {
    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.net().waker) as _
    }

    fn poll(
        &mut self,
        _now: Instant,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<Polled> {
        let mut net = self.net();
        let called = net.waker.0.swap(false, Ordering::Acquire);
        net.sleep = timeout;
        net.slept = !called && net.events.is_empty() && timeout != Some(Duration::ZERO);
        events.append(&mut net.events);
        Ok(Polled::Waited)
    }

    fn read(&mut self, id: FlowId, mut sink: impl FnMut(&mut [u8])) -> ReadState {
        let mut net = self.net();
        let Some(flow) = net.flow(id) else { return ReadState::Drained };
        let end = flow.inbound.len().min(READ_BYTES_MAX);
        let mut bytes: Vec<u8> = flow.inbound.drain(..end).collect();
        let state = match flow.end {
            _ if !flow.inbound.is_empty() => ReadState::More,
            Some(state) => state,
            None => ReadState::Drained,
        };
        net.counters.bytes_in += bytes.len() as u64;
        drop(net);
        if !bytes.is_empty() {
            sink(&mut bytes);
        }
        state
    }

    fn hold(&mut self, frame: Frame, stamp: u64) -> FrameId {
        self.net().frames.insert(frame, stamp)
    }

    fn release(&mut self, frame: FrameId) {
        self.net().frames.release(frame);
    }

    fn enqueue(&mut self, id: FlowId, frame: FrameId) {
        self.net().enqueue(id, frame, false, false);
    }

    fn enqueue_control(&mut self, id: FlowId, frame: FrameId, place: Place) {
        self.net().enqueue(id, frame, true, place == Place::Ahead);
    }

    fn drop_oldest_unsent(&mut self, id: FlowId) -> Option<usize> {
        let mut net = self.net();
        let flow = net.flow(id)?;
        let oldest = flow.queue.iter().position(|entry| !entry.control && entry.sent == 0)?;
        let entry = flow.queue.remove(oldest)?;
        let len = net.frames.get(entry.frame).len();
        net.frames.release(entry.frame);
        let flow = net.flow(id)?;
        flow.backlog.messages -= 1;
        flow.backlog.bytes -= len;
        Some(len)
    }

    fn backlog(&self, id: FlowId) -> Backlog {
        self.change(id, |flow| flow.backlog).unwrap_or_default()
    }

    fn messages_sent(&self, id: FlowId) -> u64 {
        self.change(id, |flow| flow.messages_sent).unwrap_or_default()
    }

    fn held(&self) -> Held {
        let net = self.net();
        let entries = net.flows.iter().map(|flow| flow.queue.len()).sum::<usize>();
        let messages = net.flows.iter().map(|flow| u64::from(flow.backlog.messages)).sum();
        Held { messages, bytes: net.frames.memory_bytes() + 8 * entries }
    }

    fn bytes_sent(&self, id: FlowId) -> u64 {
        self.change(id, |flow| flow.bytes_sent).unwrap_or_default()
    }

    fn flush(&mut self, id: FlowId) -> Flushed {
        let mut net = self.net();
        let mut flushed = Flushed { messages: 0, bytes: 0, state: FlushState::Drained };
        let Net { flows, frames, counters, .. } = &mut *net;
        let Some(flow) = flows.get_mut(id.index as usize) else { return flushed };
        if !flow.open || flow.generation != id.generation {
            return flushed;
        }
        if let Some(ReadState::Lost(kind)) = flow.end {
            flushed.state = FlushState::Lost(kind);
            return flushed;
        }
        counters.writes += u64::from(!flow.queue.is_empty());
        while let Some(entry) = flow.queue.front_mut() {
            let unsent = &frames.get(entry.frame)[entry.sent..];
            let taken = unsent.len().min(flow.window);
            flow.output.extend_from_slice(&unsent[..taken]);
            entry.sent += taken;
            flow.window -= taken;
            flow.bytes_sent += taken as u64;
            flow.backlog.bytes -= taken;
            flushed.bytes += taken;
            counters.bytes_out += taken as u64;
            if taken < unsent.len() {
                flow.blocked = true;
                flushed.state = FlushState::Blocked;
                return flushed;
            }
            if entry.control {
                flow.backlog.controls -= 1;
                frames.release(entry.frame);
            } else {
                flow.backlog.messages -= 1;
                flow.messages_sent += 1;
                flushed.messages += 1;
                frames.release_sent(entry.frame);
            }
            flow.queue.pop_front();
        }
        if flow.finish {
            flushed.state = FlushState::Finished;
        }
        flushed
    }

    fn deliver_bytes_max(&self) -> usize {
        DELIVER_BYTES_MAX
    }

    fn deliver(&mut self, id: FlowId, messages: u32, bytes: &[u8]) -> bool {
        let mut net = self.net();
        let Some(flow) = net.flow(id) else { return false };
        let is_clear = flow.queue.is_empty() && !flow.finish;
        if !is_clear || matches!(flow.end, Some(ReadState::Lost(_))) || flow.window < bytes.len() {
            return false;
        }
        flow.output.extend_from_slice(bytes);
        flow.window -= bytes.len();
        flow.bytes_sent += bytes.len() as u64;
        flow.messages_sent += u64::from(messages);
        net.counters.bytes_out += bytes.len() as u64;
        net.counters.writes += 1;
        true
    }

    fn take_sent(&mut self, sink: impl FnMut(u64, u32)) {
        self.net().frames.take_sent(sink);
    }

    fn finish(&mut self, id: FlowId) {
        if let Some(flow) = self.net().flow(id) {
            flow.finish = true;
        }
    }

    fn close(&mut self, id: FlowId) -> Backlog {
        let left = self.backlog(id);
        let mut net = self.net();
        let Some(flow) = net.flow(id) else { return left };
        flow.open = false;
        flow.generation += 1;
        flow.backlog = Backlog::default();
        let (queue, output) = (std::mem::take(&mut flow.queue), std::mem::take(&mut flow.output));
        net.closed.insert(id, output);
        queue.iter().for_each(|entry| net.frames.release(entry.frame));
        net.free.push(id.index);
        left
    }

    fn stop_accepting(&mut self) {
        self.net().stopped = true;
    }

    fn counters(&self) -> StreamCounters {
        self.net().counters
    }
}
