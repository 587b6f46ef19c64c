//! A server's stack and a station, on one wire and one clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_buffer::{Pool, PoolOptions};
use hioload_mem::{Arena, ArenaPages};
use hioload_net::{
    Event, Flow, FlowId, FlowLimit, HashKey, Idle, MemoryPort, PortOptions, ReadState, Routers,
    StackOptions, StackPort, StackStats, StackStreams, StackWaker, Streams, WireOptions,
};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant as StackInstant;

use crate::station::Station;

pub(crate) const SERVER: &str = "192.0.2.1:80";
pub(crate) const SERVER_V6: &str = "[2001:db8::1]:80";

pub(crate) struct Scene<'a> {
    pub(crate) streams: StackStreams<'a, MemoryPort>,
    pub(crate) station: Station,
    pub(crate) pool: Pool,
    pub(crate) begin: Instant,
    pub(crate) now: Instant,
    /// By how much the server's worker is ahead of that.
    held_up: Duration,
    pub(crate) opened: Vec<Flow>,
    pub(crate) readable: Vec<FlowId>,
    pub(crate) writable: Vec<FlowId>,
}

pub(crate) fn arena() -> Arena {
    Arena::new(ArenaPages::Transparent)
}

pub(crate) fn options() -> StackOptions {
    StackOptions {
        listen: vec!["0.0.0.0:80".parse().unwrap(), "[::]:80".parse().unwrap()],
        receive_ring_bytes: 1024,
        send_ring_bytes: 2048,
        flows_max: 64,
        flows_in_all: Arc::new(FlowLimit::new(64)),
        half_open_max: 8,
        time_wait_max: 16,
        keepalive: None,
        nodelay: true,
        idle: Idle::Busy,
        seed: HashKey(1, 2),
        admit: Box::new(|_| true),
    }
}

pub(crate) fn port_options() -> PortOptions {
    PortOptions {
        addresses: vec!["192.0.2.1/24".parse().unwrap(), "2001:db8::1/64".parse().unwrap()],
        vlan: None,
        routers: Arc::new(Routers::default()),
        speaks: true,
    }
}

impl<'a> Scene<'a> {
    pub(crate) fn new(arena: &'a Arena) -> Self {
        Self::with(arena, &WireOptions::default(), port_options(), options())
    }

    pub(crate) fn with(
        arena: &'a Arena,
        wire: &WireOptions,
        port_options: PortOptions,
        options: StackOptions,
    ) -> Self {
        let begin = Instant::now();
        let (here, there) = MemoryPort::pair(wire);
        let mut station = Station::new(there, "192.0.2.2/24", begin);
        station.add_address("2001:db8::2/64");
        station.wire.vlan = port_options.vlan;
        let waker = Arc::new(StackWaker::default());
        let stats = Arc::new(StackStats::default());
        let ports = vec![StackPort { port: here, options: port_options, handover: None }];
        let streams = StackStreams::new(arena, ports, options, &waker, stats, begin);
        Self {
            streams,
            station,
            pool: Pool::new(PoolOptions::default()),
            begin,
            now: begin,
            held_up: Duration::ZERO,
            opened: Vec::new(),
            readable: Vec::new(),
            writable: Vec::new(),
        }
    }

    /// Both look at the wire once, and a little time passes.
    pub(crate) fn turn(&mut self) {
        self.pass(Duration::from_micros(100));
    }

    /// Time passes, and both look now and then.
    pub(crate) fn pass(&mut self, time: Duration) {
        for step in steps(time) {
            let now = self.now + step;
            let micros = now.duration_since(self.begin).as_micros();
            let at = StackInstant::from_micros(i64::try_from(micros).unwrap());
            self.station.turn(now, at);
            self.look(step);
        }
    }

    /// Time passes for the server. The station neither hears nor says anything.
    pub(crate) fn pass_alone(&mut self, time: Duration) {
        steps(time).for_each(|step| self.look(step));
    }

    /// Time passes for the server's worker alone, which does not look meanwhile.
    pub(crate) fn hold_up(&mut self, time: Duration) {
        self.held_up += time;
    }

    fn look(&mut self, time: Duration) {
        self.now += time;
        let mut events = Vec::new();
        let now = self.now + self.held_up;
        self.streams.poll(now, Some(Duration::ZERO), &mut events).expect("it goes on");
        for event in events {
            match event {
                Event::Opened(flow) => self.opened.push(flow),
                Event::Readable(flow) => self.readable.push(flow),
                Event::Writable(flow) => self.writable.push(flow),
            }
        }
    }

    pub(crate) fn turns(&mut self, count: usize) {
        (0..count).for_each(|_| self.turn());
    }

    /// Turns until a fact holds; at most a minute of the scene's time.
    pub(crate) fn until(&mut self, what: &str, mut fact: impl FnMut(&mut Self) -> bool) {
        for step in 0..60_000_u64 {
            if fact(self) {
                return;
            }
            self.pass(if step < 1000 {
                Duration::from_micros(100)
            } else {
                Duration::from_millis(1)
            });
        }
        panic!("it does not come about: {what}");
    }

    /// A connection, from both sides.
    pub(crate) fn connect(&mut self) -> (FlowId, SocketHandle) {
        self.connect_to(SERVER)
    }

    pub(crate) fn connect_to(&mut self, address: &str) -> (FlowId, SocketHandle) {
        let before = self.opened.len();
        let client = self.station.connect(address);
        self.until("connected", |scene| {
            scene.opened.len() > before && scene.station.state(client) == State::Established
        });
        (self.opened[before].id, client)
    }

    /// Queues a message and sends what it can.
    pub(crate) fn say(&mut self, flow: FlowId, bytes: &[u8]) {
        self.queue(flow, bytes);
        self.streams.flush(flow);
    }

    pub(crate) fn queue(&mut self, flow: FlowId, bytes: &[u8]) {
        let mut buffer = self.pool.get_empty(0, bytes.len());
        buffer.append(bytes);
        let frame = self.streams.hold(buffer.freeze(), 0);
        self.streams.enqueue(flow, frame);
        self.streams.release(frame);
    }

    /// What has come on a flow, and how reading ended.
    pub(crate) fn read(&mut self, flow: FlowId) -> (Vec<u8>, ReadState) {
        let mut bytes = Vec::new();
        let state = self.streams.read(flow, |piece| bytes.extend_from_slice(piece));
        (bytes, state)
    }

    /// What the client gets, until it is so many bytes.
    pub(crate) fn hears(&mut self, client: SocketHandle, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.until("the client has it", |scene| {
            bytes.extend(scene.station.received(client));
            bytes.len() >= count
        });
        bytes
    }

    /// What the server gets, until it is so many bytes.
    pub(crate) fn reads(&mut self, flow: FlowId, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.until("the server has it", |scene| {
            bytes.extend(scene.read(flow).0);
            bytes.len() >= count
        });
        bytes
    }
}

/// A time in pieces after which a worker looks again that is not held up.
fn steps(time: Duration) -> impl Iterator<Item = Duration> {
    const LONGEST: Duration = Duration::from_millis(400);
    let mut left = time;
    std::iter::from_fn(move || {
        let step = left.min(LONGEST);
        left -= step;
        (step > Duration::ZERO).then_some(step)
    })
}
