//! Workers driven by hand, and clients on loopback.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hioload_buffer::{Frame, Pool, PoolOptions};
use hioload_net::{
    AcceptMode, Event, Flow, FlowId, FlushState, Flushed, KernelOptions, KernelStreams,
    ListenOptions, ReadState, SocketOptions, Streams, listen,
};

/// The longest that anything in these tests may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The modes in which several workers can accept on this system.
pub(crate) const MODES: &[AcceptMode] = if cfg!(target_os = "linux") {
    &[AcceptMode::PerWorker, AcceptMode::Dealt]
} else {
    &[AcceptMode::Dealt]
};

/// A worker's streams and what its caller has to remember between turns.
pub(crate) struct Worker {
    pub(crate) streams: KernelStreams,
    pub(crate) pool: Pool,
    pub(crate) open: Vec<Flow>,
    /// What was read of each flow, and how reading last ended.
    pub(crate) read: HashMap<FlowId, (Vec<u8>, ReadState)>,
    /// How often a flush met a full socket.
    pub(crate) blocked: u32,
    events: Vec<Event>,
    unread: HashSet<FlowId>,
}

/// Workers that listen on one loopback port.
pub(crate) fn workers(
    mode: AcceptMode,
    count: usize,
    socket: SocketOptions,
) -> (SocketAddr, Vec<Worker>) {
    let addresses = vec!["127.0.0.1:0".parse().expect("an address")];
    let options = ListenOptions { addresses, mode, socket, ..ListenOptions::default() };
    let listening = listen(&options, count).expect("bound");
    let workers = listening.inlets.into_iter().map(|inlet| Worker {
        streams: KernelStreams::new(inlet, KernelOptions::default()),
        pool: Pool::new(PoolOptions::default()),
        open: Vec::new(),
        read: HashMap::new(),
        blocked: 0,
        events: Vec::new(),
        unread: HashSet::new(),
    });
    (listening.addresses[0], workers.collect())
}

/// One worker with the default options.
pub(crate) fn worker(mode: AcceptMode) -> (SocketAddr, Worker) {
    let (address, mut workers) = workers(mode, 1, SocketOptions::default());
    (address, workers.remove(0))
}

/// One worker and one connection to it.
pub(crate) fn connected(socket: SocketOptions) -> (Worker, FlowId, TcpStream) {
    let (address, mut workers) = workers(AcceptMode::PerWorker, 1, socket);
    let mut worker = workers.remove(0);
    let client = client(address);
    worker.turn_until(|worker| !worker.open.is_empty());
    let flow = worker.open[0].id;
    (worker, flow, client)
}

pub(crate) fn client(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("connected");
    client.set_read_timeout(Some(LIMIT)).expect("set");
    client.set_write_timeout(Some(LIMIT)).expect("set");
    client
}

impl Worker {
    /// Polls once and reads what there is; returns the flows that can be written again.
    pub(crate) fn turn(&mut self, timeout: Duration) -> Vec<FlowId> {
        let timeout = if self.unread.is_empty() { timeout } else { Duration::ZERO };
        self.streams.poll(Instant::now(), Some(timeout), &mut self.events).expect("polled");
        let mut writable = Vec::new();
        for event in self.events.drain(..) {
            match event {
                Event::Opened(flow) => {
                    self.open.push(flow);
                    self.unread.insert(flow.id);
                }
                Event::Readable(flow) => {
                    self.unread.insert(flow);
                }
                Event::Writable(flow) => writable.push(flow),
            }
        }
        for flow in std::mem::take(&mut self.unread) {
            self.read(flow);
        }
        writable
    }

    /// Takes turns until `done`, or fails after [`LIMIT`].
    pub(crate) fn turn_until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < LIMIT, "nothing has happened for {LIMIT:?}");
            self.turn(Duration::from_millis(100));
        }
    }

    fn read(&mut self, flow: FlowId) {
        let (bytes, last) =
            self.read.entry(flow).or_insert_with(|| (Vec::new(), ReadState::Drained));
        *last = self.streams.read(flow, |piece| bytes.extend_from_slice(piece));
        if *last == ReadState::More {
            self.unread.insert(flow);
        }
    }

    pub(crate) fn read_state(&self, flow: FlowId) -> ReadState {
        self.read.get(&flow).map_or(ReadState::Drained, |read| read.1)
    }

    pub(crate) fn frame(&mut self, bytes: &[u8]) -> Frame {
        let mut buffer = self.pool.get(bytes.len());
        buffer.copy_from_slice(bytes);
        buffer.freeze()
    }

    pub(crate) fn enqueue(&mut self, flow: FlowId, bytes: &[u8]) {
        let frame = self.frame(bytes);
        let frame = self.streams.hold(frame, 0);
        self.streams.enqueue(flow, frame);
        self.streams.release(frame);
    }

    /// Flushes until the queue is empty, waiting for the peer to read.
    pub(crate) fn flush_all(&mut self, flow: FlowId) -> Flushed {
        let start = Instant::now();
        let mut sum = Flushed { messages: 0, bytes: 0, state: FlushState::More };
        loop {
            assert!(start.elapsed() < LIMIT, "the peer has not read for {LIMIT:?}");
            let flushed = self.streams.flush(flow);
            sum.messages += flushed.messages;
            sum.bytes += flushed.bytes;
            sum.state = flushed.state;
            match flushed.state {
                FlushState::More => {}
                FlushState::Blocked => {
                    self.blocked += 1;
                    while !self.turn(LIMIT).contains(&flow) {
                        assert!(start.elapsed() < LIMIT, "no word that the flow is writable");
                    }
                }
                FlushState::Drained | FlushState::Finished | FlushState::Lost(_) => return sum,
            }
        }
    }
}

/// Bytes that repeat only after a long while.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).expect("below 256")).collect()
}

pub(crate) fn read_to_end(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("read to the end");
    bytes
}

pub(crate) fn write(client: &mut TcpStream, bytes: &[u8]) {
    client.write_all(bytes).expect("written");
}
