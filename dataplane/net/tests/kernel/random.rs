//! Messages, control frames and drops at random, over sockets that are often full.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hioload_net::{AcceptMode, FlowId, FlushState, Place, SocketOptions, Streams};
use proptest::prelude::*;

use crate::scene::{LIMIT, Worker, client, workers};

#[derive(Clone, Copy, Debug)]
enum Op {
    Message { flow: usize, len: usize },
    Control { flow: usize, ahead: bool },
    DropOldest { flow: usize },
    Flush { flow: usize },
    Poll,
    Receive { flow: usize, len: usize },
}

const FLOWS: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let flow = 0..FLOWS;
    let len = prop_oneof![3 => 0..200usize, 1 => 0..300_000usize];
    prop_oneof![
        4 => (flow.clone(), len.clone()).prop_map(|(flow, len)| Op::Message { flow, len }),
        1 => (flow.clone(), any::<bool>()).prop_map(|(flow, ahead)| Op::Control { flow, ahead }),
        1 => flow.clone().prop_map(|flow| Op::DropOldest { flow }),
        3 => flow.clone().prop_map(|flow| Op::Flush { flow }),
        1 => Just(Op::Poll),
        2 => (flow, len).prop_map(|(flow, len)| Op::Receive { flow, len }),
    ]
}

/// A connection, and what becomes of what is queued for it.
struct Peer {
    flow: FlowId,
    client: TcpStream,
    received: Vec<u8>,
    /// The last flush met a full socket, and no event has told otherwise.
    blocked: bool,
    queued: u32,
    controls: u32,
    dropped: u32,
    sent: u32,
}

const HEAD_BYTES: usize = 9;

/// A frame that says its kind, number and length, and repeats its number.
fn frame(kind: u8, number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(number.to_be_bytes());
    frame.extend(u32::try_from(len).expect("a short frame").to_be_bytes());
    frame.extend(number.to_be_bytes().iter().cycle().take(len));
    frame
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

impl Peer {
    fn flush(&mut self, worker: &mut Worker) -> FlushState {
        let flushed = worker.streams.flush(self.flow);
        self.sent += flushed.messages;
        self.blocked = flushed.state == FlushState::Blocked;
        flushed.state
    }

    fn receive(&mut self, len: usize) {
        let mut bytes = vec![0; len];
        if let Ok(count) = self.client.read(&mut bytes) {
            self.received.extend_from_slice(&bytes[..count]);
        }
    }

    /// Reads what was received: whole frames, messages in order; returns how many of each kind.
    fn check(&self) -> (u32, u32) {
        let (mut messages, mut controls) = (0, 0);
        let mut last = None;
        let mut rest = &self.received[..];
        while !rest.is_empty() {
            let (kind, it) = (rest[0], number(&rest[1..5]));
            let len = number(&rest[5..HEAD_BYTES]) as usize;
            assert!(rest.starts_with(&frame(kind, it, len)), "a frame is damaged");
            if kind == b'm' {
                assert!(last.is_none_or(|last| last < it), "{it} comes after {last:?}");
                last = Some(it);
                messages += 1;
            } else {
                controls += 1;
            }
            rest = &rest[HEAD_BYTES + len..];
        }
        (messages, controls)
    }
}

fn perform(op: Op, worker: &mut Worker, peers: &mut [Peer]) {
    match op {
        Op::Message { flow, len } => {
            let peer = &mut peers[flow];
            worker.enqueue(peer.flow, &frame(b'm', peer.queued, len));
            peer.queued += 1;
        }
        Op::Control { flow, ahead } => {
            let peer = &mut peers[flow];
            let frame = worker.frame(&frame(b'c', peer.controls, 0));
            let frame = worker.streams.hold(frame, 0);
            let place = if ahead { Place::Ahead } else { Place::Behind };
            worker.streams.enqueue_control(peer.flow, frame, place);
            worker.streams.release(frame);
            peer.controls += 1;
        }
        Op::DropOldest { flow } => {
            let peer = &mut peers[flow];
            peer.dropped += u32::from(worker.streams.drop_oldest_unsent(peer.flow).is_some());
        }
        Op::Flush { flow } => drop(peers[flow].flush(worker)),
        Op::Poll => poll(worker, peers, Duration::ZERO),
        Op::Receive { flow, len } => peers[flow].receive(len),
    }
}

fn poll(worker: &mut Worker, peers: &mut [Peer], timeout: Duration) {
    let writable = worker.turn(timeout);
    for peer in peers {
        peer.blocked &= !writable.contains(&peer.flow);
    }
}

fn connected() -> (Worker, Vec<Peer>) {
    let socket = SocketOptions { send_buffer_bytes: Some(16 << 10), ..SocketOptions::default() };
    let (address, mut workers) = workers(AcceptMode::PerWorker, 1, socket);
    let mut worker = workers.remove(0);
    let peers = (0..FLOWS).map(|number| {
        let client = client(address);
        client.set_nonblocking(true).expect("set");
        worker.turn_until(|worker| worker.open.len() > number);
        let flow = worker.open[number].id;
        let received = Vec::new();
        Peer { flow, client, received, blocked: false, queued: 0, controls: 0, dropped: 0, sent: 0 }
    });
    let peers = peers.collect();
    (worker, peers)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_queued_and_not_dropped_arrives_whole_and_in_order(
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let (mut worker, mut peers) = connected();
        for op in ops {
            perform(op, &mut worker, &mut peers);
        }

        // A blocked flow is flushed when an event says so, and not before.
        let start = Instant::now();
        while peers.iter().any(|peer| worker.streams.backlog(peer.flow).bytes > 0) {
            prop_assert!(start.elapsed() < LIMIT, "an event was lost");
            for peer in peers.iter_mut() {
                if !peer.blocked {
                    peer.flush(&mut worker);
                }
                peer.receive(1 << 20);
            }
            poll(&mut worker, &mut peers, Duration::ZERO);
        }

        for mut peer in peers {
            worker.streams.finish(peer.flow);
            peer.client.set_nonblocking(false).expect("set");
            peer.client.read_to_end(&mut peer.received).expect("the end");
            prop_assert_eq!(peer.check(), (peer.queued - peer.dropped, peer.controls));
            prop_assert_eq!(peer.sent, peer.queued - peer.dropped);
        }
    }
}
