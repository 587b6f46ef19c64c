//! What a session that says nothing costs above the seam, counted exactly.

use std::sync::Arc;
use std::time::Instant;

use hioload_config::Config;
use hioload_engine::{
    Assembly, Controls, Handler, HandlerError, Message, Outbox, Session, Site, SystemClock, Worker,
    assemble,
};
use hioload_mem::CountingAllocator;
use hioload_net::{CountingPeers, CountingStreams, Event, FlowId, Streams};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SESSIONS: u32 = 10_000;

/// The figure that is promised.
const BYTES_PER_SESSION_MAX: u64 = 256;

#[test]
fn an_idle_session_takes_at_most_256_bytes_above_the_seam() {
    let mut network = Network::new();
    let mut scene = Scene::new();
    // What comes into being with the first sessions belongs to the worker.
    let (first, counted) = (0..256, 256..256 + SESSIONS);
    first.clone().for_each(|index| network.connect(index));
    first.for_each(|index| scene.connect(index));

    let below = bytes_added_by(|| counted.clone().for_each(|index| network.connect(index)));
    let all = bytes_added_by(|| counted.for_each(|index| scene.connect(index)));
    assert_eq!(scene.controls.totals().sessions_opened, u64::from(256 + SESSIONS));
    let per_session = (all - below) / u64::from(SESSIONS);
    println!("{per_session} bytes per idle session above the seam");
    assert!(
        per_session <= BYTES_PER_SESSION_MAX,
        "an idle session takes {per_session} bytes above the seam, {BYTES_PER_SESSION_MAX} are \
         allowed. They are the sum of: its place in the worker's table of connections (a test of \
         `connection` says how much that is), its entry in the registry, a deadline, its \
         membership of the topic, and what is boxed. What few sessions need belongs into a box.",
    );
}

fn bytes_added_by(act: impl FnOnce()) -> u64 {
    let before = CountingAllocator::bytes_in_use();
    act();
    CountingAllocator::bytes_in_use() - before
}

/// The same connections and bytes as in a [`Scene`], but nothing above the seam.
struct Network {
    streams: CountingStreams,
    peers: CountingPeers,
    events: Vec<Event>,
}

impl Network {
    fn new() -> Self {
        let (streams, peers) = CountingStreams::new();
        Self { streams, peers, events: Vec::new() }
    }

    fn connect(&mut self, index: u32) {
        let flow = FlowId { index, generation: 0 };
        self.peers.connect();
        self.turn();
        self.peers.send(flow, UPGRADE);
        self.turn();
        self.streams.read(flow, |bytes| assert_eq!(bytes, UPGRADE));
    }

    fn turn(&mut self) {
        self.streams.poll(Instant::now(), None, &mut self.events).expect("nothing here fails");
        self.events.clear();
    }
}

struct Scene {
    worker: Worker<CountingStreams, Silent>,
    peers: CountingPeers,
    controls: Controls,
}

impl Scene {
    fn new() -> Self {
        let config = Config::default();
        let (streams, peers) = CountingStreams::new();
        let Assembly { controls, parts } = assemble(&config, &[streams.waker()]);
        let parts = parts.into_iter().next().expect("one worker");
        let (handler, site) = (Arc::new(Silent), Arc::new(Site::new("/ws")));
        let worker = Worker::new(parts, streams, handler, site, &config, SystemClock);
        Self { worker, peers, controls }
    }

    fn connect(&mut self, index: u32) {
        self.peers.connect();
        self.worker.turn().expect("nothing here fails");
        self.peers.send(FlowId { index, generation: 0 }, UPGRADE);
        self.worker.turn().expect("nothing here fails");
    }
}

struct Silent;

impl Handler for Silent {
    fn on_message(
        &self,
        _session: &Session,
        _message: Message<'_>,
        _out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
