//! Two workers of a port that does not keep a connection on one queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_mem::Arena;
use hioload_net::{
    Event, Flow, Handover, MemoryPort, ReadState, StackPort, StackStats, StackStreams, StackWaker,
    Streams, WireOptions,
};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant as StackInstant;

use crate::scene::{SERVER, arena, options, port_options};
use crate::station::Station;

/// The station hears both workers, and speaks to the one that it is told to.
struct Pair<'a> {
    workers: Vec<StackStreams<'a, MemoryPort>>,
    station: Station,
    begin: Instant,
    now: Instant,
    opened: Vec<(usize, Flow)>,
}

impl<'a> Pair<'a> {
    fn new(arena: &'a Arena) -> Self {
        let begin = Instant::now();
        let wire = WireOptions::default();
        let (first, station) = MemoryPort::pair(&wire);
        let (second, way_in) = MemoryPort::pair(&wire);
        let wakers: Vec<_> = (0..2).map(|_| Arc::new(StackWaker::default())).collect();
        let ring = Handover::ring(&wakers);
        let places = [first, second].into_iter().zip(ring).zip(&wakers);
        let workers = places.map(|((port, handover), waker)| {
            let port = StackPort { port, options: port_options(), handover };
            let stats = Arc::new(StackStats::default());
            StackStreams::new(arena, vec![port], options(), waker, stats, begin)
        });
        let workers = workers.collect();
        let mut station = Station::new(station, "192.0.2.2/24", begin);
        station.wire.spare = Some(way_in);
        Self { workers, station, begin, now: begin, opened: Vec::new() }
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.now += Duration::from_micros(100);
            let micros = self.now.duration_since(self.begin).as_micros();
            self.station.turn(self.now, StackInstant::from_micros(i64::try_from(micros).unwrap()));
            for (number, worker) in self.workers.iter_mut().enumerate() {
                let mut events = Vec::new();
                worker.poll(self.now, Some(Duration::ZERO), &mut events).expect("it goes on");
                for event in events {
                    if let Event::Opened(flow) = event {
                        self.opened.push((number, flow));
                    }
                }
            }
        }
    }

    fn connect(&mut self) -> (Flow, SocketHandle) {
        let client = self.station.connect(SERVER);
        self.turns(20);
        let (worker, flow) = self.opened[0];
        assert_eq!((worker, self.station.state(client)), (0, State::Established));
        (flow, client)
    }
}

#[test]
fn what_comes_to_the_other_worker_reaches_the_connection() {
    let arena = arena();
    let mut pair = Pair::new(&arena);
    let (flow, client) = pair.connect();
    pair.station.wire.change_way_out();
    pair.station.send(client, b"rolled over");
    pair.turns(5);
    let mut read = Vec::new();
    let state = pair.workers[0].read(flow.id, |piece| read.extend_from_slice(piece));
    assert_eq!((&read[..], state), (&b"rolled over"[..], ReadState::Drained));
    assert!(pair.workers[1].stack_counters().handed_over >= 1);
    assert_eq!(pair.workers[1].stack_counters().resets_out, 0);
}

#[test]
fn what_no_worker_knows_is_refused_by_the_last_one() {
    let arena = arena();
    let mut pair = Pair::new(&arena);
    let (_, client) = pair.connect();
    // New workers, who know of nothing.
    let fresh = Pair::new(&arena);
    let (station, mut pair) = (pair.station, fresh);
    let ports = (pair.station.wire.port, pair.station.wire.spare);
    pair.station = station;
    (pair.station.wire.port, pair.station.wire.spare) = ports;
    pair.station.wire.change_way_out();
    pair.station.send(client, b"anybody?");
    pair.turns(5);
    assert_eq!(pair.station.state(client), State::Closed);
    let resets = pair.workers.iter().map(|worker| worker.stack_counters().resets_out);
    assert_eq!(resets.collect::<Vec<_>>(), [1, 0], "by the one that it was handed to");
}

#[test]
fn a_syn_that_comes_twice_by_different_queues_begins_one_connection() {
    // At once, while the handshake goes on, or when it is over.
    for turns_between in [0, 1, 20] {
        let arena = arena();
        let mut pair = Pair::new(&arena);
        pair.station.wire.sent = Some(Vec::new());
        let client = pair.station.connect(SERVER);
        pair.turns(2);
        let sent = pair.station.wire.sent.take().expect("what was asked for");
        let syn = sent.iter().find(|frame| frame[12..14] == [0x08, 0]).expect("it has begun");
        pair.turns(turns_between);
        pair.station.wire.change_way_out();
        pair.station.wire.send(syn);
        pair.station.wire.change_way_out();
        pair.turns(20);

        let flows = pair.workers.iter().map(|worker| {
            let counters = worker.stack_counters();
            counters.open + counters.half_open
        });
        assert_eq!(flows.sum::<u64>(), 1, "with {turns_between} turns between");
        assert_eq!(pair.station.state(client), State::Established);
        let (worker, flow) = pair.opened[0];
        pair.station.send(client, b"once");
        pair.turns(5);
        let mut read = Vec::new();
        pair.workers[worker].read(flow.id, |piece| read.extend_from_slice(piece));
        assert_eq!(read, b"once");
    }
}
