//! Clients whose server is played segment by segment, by a clock that goes on when a test says so.

mod acceptance;
mod busy;
mod endings;
mod loss;
mod next_hop;

use std::cell::Cell;
use std::rc::Rc;

use hioload_net::{
    MemoryFrame, MemoryPort, PortCapabilities, PortCounters, RxChecksum, TxChecksum, WireOptions,
};

use super::segment::{ACK, HEADER_BYTES, PSH, SYN, Words};
use super::*;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 8080);
/// The first number of the server's bytes.
const FIRST: u32 = 1001;
/// What the server takes, unless a test says otherwise.
const WINDOW: u16 = 4000;
const STEP: Duration = Duration::from_millis(1);

/// A port that has no room when a test says so.
struct Port {
    wire: MemoryPort,
    is_full: Rc<Cell<bool>>,
}

impl FramePort for Port {
    type Frame = MemoryFrame;

    fn capabilities(&self) -> PortCapabilities {
        self.wire.capabilities()
    }

    fn receive(&mut self, now: Instant, frames: &mut Vec<MemoryFrame>) {
        self.wire.receive(now, frames);
    }

    fn frame(&mut self) -> Option<MemoryFrame> {
        self.wire.frame()
    }

    fn send(&mut self, now: Instant, frame: MemoryFrame, checksum: Option<TxChecksum>) {
        self.wire.send(now, frame, checksum);
    }

    fn flush(&mut self, now: Instant) {
        self.wire.flush(now);
    }

    fn waiting(&self) -> usize {
        if self.is_full.get() { PORT_WAITING_MAX } else { self.wire.waiting() }
    }

    fn link_ups(&self) -> u64 {
        self.wire.link_ups()
    }

    fn counters(&self) -> PortCounters {
        self.wire.counters()
    }
}

/// One client, and the server's end of the wire.
struct Scene {
    transport: PacketTransport<Port>,
    server: MemoryPort,
    /// Where the server's frames come from.
    station: [u8; 6],
    is_full: Rc<Cell<bool>>,
    now: Instant,
    events: Vec<Event>,
    /// Where the client's connection comes from, and the number of its first byte.
    client: SocketAddrV4,
    begin: u32,
}

impl Scene {
    /// A client without a connection.
    fn new(acks: AckPolicy) -> Self {
        let (server, wire) = MemoryPort::pair(&WireOptions::default());
        let is_full = Rc::new(Cell::new(false));
        let network = "10.1.0.0/16".parse().expect("a network");
        let options = Options {
            server: SERVER,
            addresses: Addresses::new(network, 1, &[]).expect("there is room"),
            strays: None,
            gateway: None,
            via: None,
            acks,
            clients: 1,
            timeout: Duration::from_secs(1),
        };
        let port = Port { wire, is_full: Rc::clone(&is_full) };
        let mut transport = PacketTransport::new(port, options);
        let station = server.capabilities().mac;
        transport.template.set_next_hop(station);
        let (now, client) = (transport.origin, SERVER);
        Self { transport, server, station, is_full, now, events: Vec::new(), client, begin: 0 }
    }

    /// A client with a connection, whose server takes [`WINDOW`].
    fn connected(acks: AckPolicy) -> Self {
        let mut scene = Self::new(acks);
        scene.connect();
        scene.say(FIRST - 1, scene.begin, SYN | ACK, WINDOW, b"");
        let answers = scene.turn();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!((answers[0].acknowledged, answers[0].flags), (FIRST, ACK));
        scene
    }

    /// The client sends its SYN.
    fn connect(&mut self) {
        self.transport.connect(0).expect("it begins");
        let syn = self.turn().pop().expect("a SYN");
        assert_eq!(syn.flags, SYN);
        self.client = SocketAddrV4::new(syn.source.into(), syn.source_port);
        self.begin = syn.sequence.wrapping_add(1);
    }

    /// The number of the client's byte behind so many others.
    fn at(&self, bytes: u32) -> u32 {
        self.begin.wrapping_add(bytes)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.transport.send(0, bytes).expect("it is open");
    }

    fn turn_to_frames(&mut self) -> Vec<MemoryFrame> {
        self.transport.turn(self.now, &mut self.events);
        self.transport.flush();
        let mut frames = Vec::new();
        self.server.receive(self.now, &mut frames);
        frames
    }

    /// A turn of the client, and the segments that it has sent by then.
    fn turn(&mut self) -> Vec<Segment> {
        let frames = self.turn_to_frames();
        let segments = frames.iter().map(|frame| Segment::read(frame, RxChecksum::Unknown));
        let segment = |frame| if let Frame::Tcp(segment) = frame { Some(segment) } else { None };
        segments.filter_map(segment).collect()
    }

    /// Lets time go by until the client sends something that is looked for: it, and how long it took.
    #[track_caller]
    fn wait_for(&mut self, is_it: impl Fn(&Segment) -> bool) -> (Segment, Duration) {
        const STEPS_MAX: u32 = 100_000;
        for step in 0..STEPS_MAX {
            if let Some(segment) = self.turn().into_iter().find(&is_it) {
                return (segment, step * STEP);
            }
            self.now += STEP;
        }
        panic!("it never came within {:?}", STEPS_MAX * STEP);
    }

    /// The server says something to the client.
    fn say(&mut self, sequence: u32, acknowledged: u32, flags: u8, window: u16, payload: &[u8]) {
        self.say_to(self.client, sequence, acknowledged, (flags, window), payload);
    }

    fn say_to(
        &mut self,
        client: SocketAddrV4,
        sequence: u32,
        acknowledged: u32,
        (flags, window): (u8, u16),
        payload: &[u8],
    ) {
        let mut template = Template::new(self.station, client, (false, false));
        template.set_next_hop(self.transport.port.capabilities().mac);
        let mut frame = self.server.frame().expect("there is memory");
        assert!(frame.resize(HEADER_BYTES + payload.len()));
        frame[HEADER_BYTES..].copy_from_slice(payload);
        let words = Words { source: SERVER, sequence, acknowledged, flags, window };
        template.write(&mut frame, &words, 0);
        self.server.send(self.now, frame, None);
        self.server.flush(self.now);
    }

    /// The server sends bytes, and has got all that the client has sent.
    fn tell(&mut self, sequence: u32, payload: &[u8]) {
        let next = self.transport.clients[0].next;
        self.say(sequence, next, ACK | PSH, WINDOW, payload);
    }
}

fn has_bytes(segment: &Segment) -> bool {
    segment.payload_bytes() > 0
}
