//! What the stack counts, compared with what went through its ports.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_buffer::{Pool, PoolOptions};
use hioload_mem::Arena;
use hioload_net::{
    DropReason, Event, FlowId, FramePort, Handover, MemoryFrame, MemoryPort, PortCapabilities,
    PortCounters, StackCounters, StackPort, StackStats, StackStreams, StackWaker, Streams,
    TxChecksum, WireOptions,
};
use smoltcp::iface::SocketHandle;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetFrame, IpProtocol, Ipv4Packet, TcpPacket};

use crate::faults::{fill_checksum, tcp_at};
use crate::scene::{SERVER, arena, options, port_options};
use crate::station::Station;

/// Segments that have gone through ports, and resets among those that went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Passed {
    segments_in: u64,
    segments_out: u64,
    resets_out: u64,
}

/// A port that looks at what passes.
struct Watched {
    port: MemoryPort,
    passed: Rc<RefCell<Passed>>,
}

impl FramePort for Watched {
    type Frame = MemoryFrame;

    fn capabilities(&self) -> PortCapabilities {
        self.port.capabilities()
    }

    fn receive(&mut self, now: Instant, frames: &mut Vec<MemoryFrame>) {
        let before = frames.len();
        self.port.receive(now, frames);
        let mac = self.capabilities().mac;
        let for_us = |frame: &&MemoryFrame| frame[..6] == mac && frame[6] & 1 == 0;
        let segments = frames[before..].iter().filter(for_us).filter(|it| flags(it).is_some());
        self.passed.borrow_mut().segments_in += segments.count() as u64;
    }

    fn frame(&mut self) -> Option<MemoryFrame> {
        self.port.frame()
    }

    fn send(&mut self, now: Instant, frame: MemoryFrame, checksum: Option<TxChecksum>) {
        if let Some(flags) = flags(&frame) {
            let mut passed = self.passed.borrow_mut();
            passed.segments_out += 1;
            passed.resets_out += u64::from(flags & 0x04 != 0);
        }
        self.port.send(now, frame, checksum);
    }

    fn flush(&mut self, now: Instant) {
        self.port.flush(now);
    }

    fn waiting(&self) -> usize {
        self.port.waiting()
    }

    fn link_ups(&self) -> u64 {
        self.port.link_ups()
    }

    fn counters(&self) -> PortCounters {
        self.port.counters()
    }
}

/// Those of a whole TCP segment between the two stations, with right checksums.
fn flags(frame: &[u8]) -> Option<u8> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if u16::from(frame.ethertype()) != 0x0800 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let is_tcp = packet.version() == 4 && packet.next_header() == IpProtocol::Tcp;
    let is_whole = is_tcp && packet.verify_checksum();
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let is_right = is_whole && segment.verify_checksum(&source, &destination);
    (is_right && segment.src_port() != 0 && segment.dst_port() != 0).then_some(packet.payload()[13])
}

/// Two workers with a port each, which the station sends to as it likes.
struct Pair<'a> {
    workers: Vec<StackStreams<'a, Watched>>,
    passed: Vec<Rc<RefCell<Passed>>>,
    station: Station,
    clients: Vec<SocketHandle>,
    flows: Vec<(usize, FlowId)>,
    pool: Pool,
    begin: Instant,
    now: Instant,
}

impl<'a> Pair<'a> {
    fn new(arena: &'a Arena, seed: u64) -> Self {
        let begin = Instant::now();
        let wire = WireOptions {
            latency: Duration::from_micros(200),
            lost_ppm: 20_000,
            doubled_ppm: 20_000,
            delayed_ppm: 20_000,
            seed,
            ..WireOptions::default()
        };
        let (first, station) = MemoryPort::pair(&wire);
        let (second, way_in) = MemoryPort::pair(&wire);
        let wakers: Vec<_> = (0..2).map(|_| Arc::new(StackWaker::default())).collect();
        let ring = Handover::ring(&wakers);
        let passed: Vec<Rc<RefCell<Passed>>> = vec![Rc::default(), Rc::default()];
        let places = [first, second].into_iter().zip(&passed).zip(ring).zip(&wakers);
        let workers = places.map(|(((port, passed), handover), waker)| {
            let port = Watched { port, passed: Rc::clone(passed) };
            let port = StackPort { port, options: port_options(), handover };
            let mut options = options();
            (options.flows_max, options.half_open_max, options.time_wait_max) = (6, 3, 3);
            let mut random = fastrand::Rng::with_seed(seed);
            options.admit = Box::new(move |_| random.bool());
            let stats = Arc::new(StackStats::default());
            StackStreams::new(arena, vec![port], options, waker, stats, begin)
        });
        let workers = workers.collect();
        let mut station = Station::new(station, "192.0.2.2/24", begin);
        station.wire.spare = Some(way_in);
        station.wire.sent = Some(Vec::new());
        let pool = Pool::new(PoolOptions::default());
        let (clients, flows) = (Vec::new(), Vec::new());
        Self { workers, passed, station, clients, flows, pool, begin, now: begin }
    }

    /// Time passes; the station may be deaf and silent meanwhile.
    fn turn(&mut self, time: Duration, is_station_there: bool) {
        self.now += time;
        if is_station_there {
            let micros = self.now.duration_since(self.begin).as_micros();
            self.station.turn(self.now, StackInstant::from_micros(i64::try_from(micros).unwrap()));
        }
        for (number, worker) in self.workers.iter_mut().enumerate() {
            let mut events = Vec::new();
            worker.poll(self.now, Some(Duration::ZERO), &mut events).expect("it goes on");
            for event in events {
                match event {
                    Event::Opened(flow) => self.flows.push((number, flow.id)),
                    Event::Readable(flow) => drop(worker.read(flow, |_| ())),
                    Event::Writable(flow) => drop(worker.flush(flow)),
                }
            }
        }
    }

    /// Something that clients, strangers or the server do.
    fn do_something(&mut self, random: &mut fastrand::Rng) {
        let client = (!self.clients.is_empty()).then(|| random.usize(..self.clients.len()));
        let flow = (!self.flows.is_empty()).then(|| random.usize(..self.flows.len()));
        match (random.u8(..16), client, flow) {
            (0..2, ..) => {
                let to = if random.u8(..4) == 0 { "192.0.2.1:81" } else { SERVER };
                self.clients.push(self.station.connect(to));
            }
            (2, ..) => self.station.wire.change_way_out(),
            (3..6, Some(client), _) => {
                let _ = self.station.socket(self.clients[client]).send_slice(b"hello");
            }
            (6, Some(client), _) => self.station.socket(self.clients[client]).close(),
            (7, Some(client), _) => self.station.socket(self.clients[client]).abort(),
            (8, Some(client), _) => self.station.vanish(self.clients.swap_remove(client)),
            (9..11, _, Some(flow)) => {
                let (worker, flow) = self.flows[flow];
                let mut buffer = self.pool.get_empty(0, 700);
                buffer.append(&[b'x'; 700]);
                let frame = self.workers[worker].hold(buffer.freeze(), 0);
                self.workers[worker].enqueue(flow, frame);
                self.workers[worker].release(frame);
                self.workers[worker].flush(flow);
            }
            (11, _, Some(flow)) => {
                let (worker, flow) = self.flows.swap_remove(flow);
                if random.bool() {
                    self.workers[worker].finish(flow);
                }
                self.workers[worker].close(flow);
            }
            (12.., ..) => self.forge(random),
            _ => {}
        }
    }

    /// Sends what the station has sent, with other flags, numbers, ports or options.
    fn forge(&mut self, random: &mut fastrand::Rng) {
        let sent = self.station.wire.sent.as_ref().expect("it is noted");
        let recent = &sent[sent.len().saturating_sub(50)..];
        let segments: Vec<_> = recent.iter().filter(|frame| tcp_at(frame).is_some()).collect();
        if segments.is_empty() {
            return;
        }
        let mut frame = segments[random.usize(..segments.len())].clone();
        let at = tcp_at(&frame).expect("as was looked for");
        match random.u8(..6) {
            0 => frame[at + 13] = [0x02, 0x04, 0x11, 0x12, 0x14, 0x03][random.usize(..6)],
            1 => {
                frame[at + 13] = 0x04;
                frame[at + 7] ^= random.u8(..16);
            }
            2 => frame[at + 7] ^= random.u8(..),
            3 => frame[at + 1] ^= random.u8(..8),
            4 => frame[at + 3] ^= 1,
            _ => {
                let place = random.usize(at + 4..frame.len());
                frame[place] = random.u8(..);
            }
        }
        // Not by the wire, which would damage ARP as well: nothing there says so.
        let is_damaged = random.u8(..8) == 0;
        if !is_damaged {
            fill_checksum(&mut frame, at);
        }
        self.station.wire.send(&frame);
    }
}

/// The segments of which it is said what has become of them.
fn explained(counters: &StackCounters) -> u64 {
    let of_segments = DropReason::ALL.into_iter().filter(|reason| reason.is_of_segments());
    let dropped: u64 = of_segments.map(|reason| counters.dropped[reason as usize]).sum();
    counters.segments_taken + counters.resets_out + dropped
}

#[test]
fn every_segment_is_counted_once_and_it_is_said_what_became_of_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let arena = arena();
    let mut pair = Pair::new(&arena, seed);
    for _ in 0..5_000 {
        pair.do_something(&mut random);
        pair.turn(Duration::from_micros(random.u64(..2_000)), true);
        if random.u8(..) == 0 {
            pair.turn(Duration::from_millis(300), true);
        }
    }
    // What is on its way arrives.
    for _ in 0..5 {
        pair.turn(Duration::from_millis(1), false);
    }

    let mut all = Passed::default();
    let mut kinds = StackCounters::default();
    for (worker, passed) in pair.workers.iter().zip(&pair.passed) {
        let counters = worker.stack_counters();
        assert_eq!(explained(&counters), counters.segments_in, "{counters:?}");
        let passed = *passed.borrow();
        assert_eq!(counters.segments_out, passed.segments_out, "{counters:?}");
        assert!(counters.resets_out <= passed.resets_out, "{counters:?} {passed:?}");
        all.segments_in += passed.segments_in;
        kinds.segments_in += counters.segments_in;
        kinds.segments_taken += counters.segments_taken;
        kinds.resets_out += counters.resets_out;
        kinds.handed_over += counters.handed_over;
        for (all, count) in kinds.dropped.iter_mut().zip(counters.dropped) {
            *all += count;
        }
    }
    assert_eq!(kinds.segments_in, all.segments_in, "{kinds:?}");
    // All of that has happened, or the test says nothing.
    assert!(kinds.segments_taken > 0 && kinds.resets_out > 0 && kinds.handed_over > 0, "{kinds:?}");
    for reason in [
        DropReason::Checksum,
        DropReason::StrayReset,
        DropReason::StraySyn,
        DropReason::Nonsense,
        DropReason::FlowsFull,
    ] {
        assert!(kinds.dropped[reason as usize] > 0, "{reason:?}: {kinds:?}");
    }
}
