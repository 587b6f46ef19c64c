//! Streams without a network: what is queued is taken at once, and counted.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_buffer::{Frame, FrameId};

use crate::queue::{Outbound, Queue};
use crate::slots::FlowSlots;
use crate::{
    Backlog, BacklogMax, Event, Flow, FlowId, FlushState, Flushed, Held, Place, Polled, ReadState,
    StreamCounters, Streams, Wake,
};

/// [`Streams`] for benchmarks and tests of what is above the seam: the table of flows and the
/// outbound queues are the real ones, and behind each queue is a peer that takes all of it.
///
/// [`CountingPeers`] says who connects and what they send. `poll` never sleeps.
///
/// ```
/// use std::time::Instant;
/// use hioload_net::{CountingStreams, Event, Streams};
///
/// let (mut streams, peers) = CountingStreams::new();
/// peers.connect();
/// let mut events = Vec::new();
/// streams.poll(Instant::now(), None, &mut events).unwrap();
/// let Some(&Event::Opened(flow)) = events.first() else { panic!("nobody connected") };
/// peers.send(flow.id, b"hello");
/// events.clear();
/// streams.poll(Instant::now(), None, &mut events).unwrap();
/// streams.read(flow.id, |bytes| assert_eq!(bytes, b"hello"));
/// ```
pub struct CountingStreams {
    flows: FlowSlots<Counted>,
    outbound: Outbound,
    /// What has come from each flow and was not read, by index. Apart from the flows, so that
    /// these are as small as those of a transport whose bytes wait elsewhere.
    inbound: Vec<Vec<u8>>,
    news: Rc<RefCell<News>>,
    accepting: bool,
    counters: StreamCounters,
}

/// The other side of [`CountingStreams`].
#[derive(Clone)]
pub struct CountingPeers {
    news: Rc<RefCell<News>>,
}

/// A flow.
struct Counted {
    queue: Queue,
    finish: bool,
}

/// What the peers have done since the last `poll`.
#[derive(Default)]
struct News {
    connected: usize,
    /// Who has sent something, and where in `bytes` it ends.
    sent: Vec<(FlowId, usize)>,
    bytes: Vec<u8>,
}

impl CountingPeers {
    /// Opens a connection, which the next `poll` takes in.
    pub fn connect(&self) {
        self.news.borrow_mut().connected += 1;
    }

    /// Sends `bytes` to the worker, which the next `poll` tells of.
    pub fn send(&self, flow: FlowId, bytes: &[u8]) {
        let mut news = self.news.borrow_mut();
        news.bytes.extend_from_slice(bytes);
        let end = news.bytes.len();
        news.sent.push((flow, end));
    }
}

impl CountingStreams {
    /// Streams without connections, and the peers that make them.
    pub fn new() -> (Self, CountingPeers) {
        let news = Rc::new(RefCell::new(News::default()));
        let peers = CountingPeers { news: Rc::clone(&news) };
        let streams = Self {
            flows: FlowSlots::new(),
            outbound: Outbound::new(),
            inbound: Vec::new(),
            news,
            accepting: true,
            counters: StreamCounters::default(),
        };
        (streams, peers)
    }

    fn open(&mut self) -> Flow {
        let id = self.flows.insert(Counted { queue: Queue::new(), finish: false });
        let index = id.index as usize;
        self.inbound.resize_with(self.inbound.len().max(index + 1), Vec::new);
        self.inbound[index].clear();
        self.counters.accepted += 1;
        Flow { id, peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)) }
    }
}

impl Streams for CountingStreams {
    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NeverAsleep)
    }

    fn poll(
        &mut self,
        _now: Instant,
        _timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<Polled> {
        let news = Rc::clone(&self.news);
        let mut news = news.borrow_mut();
        for _ in 0..mem::take(&mut news.connected) {
            if self.accepting {
                events.push(Event::Opened(self.open()));
            }
        }
        let News { sent, bytes, .. } = &mut *news;
        let mut start = 0;
        for (flow, end) in sent.drain(..) {
            if self.flows.get(flow).is_some() {
                self.inbound[flow.index as usize].extend_from_slice(&bytes[start..end]);
                events.push(Event::Readable(flow));
            }
            start = end;
        }
        bytes.clear();
        Ok(Polled::Waited)
    }

    fn read(&mut self, flow: FlowId, mut sink: impl FnMut(&mut [u8])) -> ReadState {
        if self.flows.get(flow).is_some() {
            let bytes = &mut self.inbound[flow.index as usize];
            if !bytes.is_empty() {
                self.counters.bytes_in += bytes.len() as u64;
                sink(bytes);
                bytes.clear();
            }
        }
        ReadState::Drained
    }

    fn hold(&mut self, frame: Frame, stamp: u64) -> FrameId {
        self.outbound.hold(frame, stamp)
    }

    fn release(&mut self, frame: FrameId) {
        self.outbound.release(frame);
    }

    fn enqueue(&mut self, flow: FlowId, frame: FrameId) {
        if let Some(flow) = self.flows.get_mut(flow) {
            self.outbound.push(&mut flow.queue, frame);
        }
    }

    fn enqueue_within(
        &mut self,
        flow: FlowId,
        frame: FrameId,
        length: usize,
        limits: &BacklogMax,
    ) -> bool {
        let Some(flow) = self.flows.get_mut(flow) else { return true };
        self.outbound.push_within(&mut flow.queue, frame, length, limits)
    }

    fn enqueue_control(&mut self, flow: FlowId, frame: FrameId, place: Place) {
        if let Some(flow) = self.flows.get_mut(flow) {
            self.outbound.push_control(&mut flow.queue, frame, place);
        }
    }

    fn drop_oldest_unsent(&mut self, flow: FlowId) -> Option<usize> {
        self.outbound.drop_oldest_unsent(&mut self.flows.get_mut(flow)?.queue)
    }

    fn backlog(&self, flow: FlowId) -> Backlog {
        self.flows.get(flow).map_or_else(Backlog::default, |flow| flow.queue.backlog())
    }

    fn messages_sent(&self, flow: FlowId) -> u64 {
        self.flows.get(flow).map_or(0, |flow| flow.queue.messages_sent())
    }

    fn prefetch(&self, flow: FlowId) {
        self.flows.prefetch(flow);
    }

    fn held(&self) -> Held {
        self.outbound.held()
    }

    fn bytes_sent(&self, flow: FlowId) -> u64 {
        self.flows.get(flow).map_or(0, |flow| flow.queue.bytes_sent())
    }

    fn flush(&mut self, flow: FlowId) -> Flushed {
        let nothing = Flushed { messages: 0, bytes: 0, state: FlushState::Drained };
        let Some(flow) = self.flows.get_mut(flow) else { return nothing };
        let state = if flow.finish { FlushState::Finished } else { FlushState::Drained };
        if flow.queue.is_empty() {
            return Flushed { state, ..nothing };
        }
        let bytes = flow.queue.backlog().bytes;
        self.counters.bytes_out += bytes as u64;
        self.counters.writes += 1;
        Flushed { messages: self.outbound.advance(&mut flow.queue, bytes), bytes, state }
    }

    fn take_sent(&mut self, sink: impl FnMut(u64, u32)) {
        self.outbound.take_sent(sink);
    }

    fn finish(&mut self, flow: FlowId) {
        if let Some(flow) = self.flows.get_mut(flow) {
            flow.finish = true;
        }
    }

    fn close(&mut self, flow: FlowId) -> Backlog {
        let Some(mut flow) = self.flows.remove(flow) else { return Backlog::default() };
        self.outbound.clear(&mut flow.queue)
    }

    fn stop_accepting(&mut self) {
        self.accepting = false;
    }

    fn counters(&self) -> StreamCounters {
        self.counters
    }
}

/// Nobody sleeps who could be woken.
struct NeverAsleep;

impl Wake for NeverAsleep {
    fn wake(&self) {}
}
