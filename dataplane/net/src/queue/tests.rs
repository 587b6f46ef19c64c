//! Queues against an oracle, and the rules of order one by one.

use std::collections::VecDeque;

use hioload_buffer::{Frame, Pool, PoolOptions};
use proptest::prelude::*;

use super::*;

#[test]
fn a_queue_takes_forty_eight_bytes_and_an_entry_eight() {
    assert_eq!(size_of::<Queue>(), 48);
    assert_eq!(size_of::<Entry>(), 8);
}

#[test]
fn an_urgent_control_frame_overtakes_messages_but_not_a_partly_sent_one() {
    let mut scene = Scene::new();
    scene.message(b"first");
    scene.message(b"second");
    scene.outbound.advance(&mut scene.queue, 2);
    scene.control(b"<ping>", Place::Ahead);
    scene.control(b"<pong>", Place::Ahead);
    assert_eq!(scene.text(), "rst<ping><pong>second");
}

#[test]
fn an_urgent_control_frame_stays_behind_the_response_that_precedes_all_messages() {
    let mut scene = Scene::new();
    scene.control(b"<101>", Place::Behind);
    scene.message(b"first");
    scene.control(b"<ping>", Place::Ahead);
    assert_eq!(scene.text(), "<101><ping>first");
}

#[test]
fn a_close_frame_waits_for_the_messages_before_it() {
    let mut scene = Scene::new();
    scene.message(b"first");
    scene.control(b"<close>", Place::Behind);
    scene.control(b"<ping>", Place::Ahead);
    assert_eq!(scene.text(), "<ping>first<close>");
}

#[test]
fn the_oldest_unsent_message_is_dropped_and_control_frames_stay() {
    let mut scene = Scene::new();
    scene.message(b"first");
    scene.message(b"second");
    scene.control(b"<close>", Place::Behind);
    scene.outbound.advance(&mut scene.queue, 1);
    assert_eq!(scene.outbound.drop_oldest_unsent(&mut scene.queue), Some(6));
    assert_eq!(scene.outbound.drop_oldest_unsent(&mut scene.queue), None);
    assert_eq!(scene.text(), "irst<close>");
    assert_eq!(scene.queue.backlog(), Backlog { messages: 1, controls: 1, bytes: 11 });
}

#[test]
fn a_frame_without_bytes_completes_with_the_one_before_it() {
    let mut scene = Scene::new();
    scene.message(b"one");
    scene.message(b"");
    assert_eq!(scene.outbound.advance(&mut scene.queue, 3), 2);
    assert!(scene.queue.is_empty());
}

#[test]
fn a_steady_state_takes_no_new_entries() {
    let mut scene = Scene::new();
    for _ in 0..1000 {
        scene.message(b"one");
        scene.control(b"two", Place::Ahead);
        scene.outbound.advance(&mut scene.queue, 6);
    }
    assert_eq!(scene.outbound.entries.len(), 2);
    assert!(scene.outbound.frames.is_empty());
}

/// A queue, and a pool to fill it from.
struct Scene {
    pool: Pool,
    outbound: Outbound,
    queue: Queue,
}

impl Scene {
    fn new() -> Self {
        let pool = Pool::new(PoolOptions::default());
        Self { pool, outbound: Outbound::new(), queue: Queue::new() }
    }

    fn message(&mut self, bytes: &[u8]) {
        let frame = hold(&mut self.pool, &mut self.outbound, bytes);
        self.outbound.push(&mut self.queue, frame);
        self.outbound.release(frame);
    }

    fn control(&mut self, bytes: &[u8], place: Place) {
        let frame = hold(&mut self.pool, &mut self.outbound, bytes);
        self.outbound.push_control(&mut self.queue, frame, place);
        self.outbound.release(frame);
    }

    fn text(&self) -> String {
        pending(&self.outbound, &self.queue)
    }
}

fn hold(pool: &mut Pool, outbound: &mut Outbound, bytes: &[u8]) -> FrameId {
    outbound.hold(frame_of(pool, bytes), 0)
}

fn frame_of(pool: &mut Pool, bytes: &[u8]) -> Frame {
    let mut buffer = pool.get(bytes.len());
    buffer.copy_from_slice(bytes);
    buffer.freeze()
}

fn pending(outbound: &Outbound, queue: &Queue) -> String {
    let bytes: Vec<u8> = outbound.pending(queue).flatten().copied().collect();
    String::from_utf8(bytes).expect("tests queue text")
}

/// What can be done to one of a few queues that share a slab.
#[derive(Clone, Debug)]
enum Op {
    Push { queue: usize, len: usize },
    PushControl { queue: usize, len: usize, ahead: bool },
    DropOldestUnsent { queue: usize },
    Advance { queue: usize, bytes: usize },
    Clear { queue: usize },
}

const QUEUES: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let queue = 0..QUEUES;
    prop_oneof![
        4 => (queue.clone(), 0..9usize).prop_map(|(queue, len)| Op::Push { queue, len }),
        2 => (queue.clone(), 0..9usize, any::<bool>())
            .prop_map(|(queue, len, ahead)| Op::PushControl { queue, len, ahead }),
        2 => queue.clone().prop_map(|queue| Op::DropOldestUnsent { queue }),
        4 => (queue.clone(), 0..30usize).prop_map(|(queue, bytes)| Op::Advance { queue, bytes }),
        1 => queue.prop_map(|queue| Op::Clear { queue }),
    ]
}

/// The same rules, written for plainness.
#[derive(Default)]
struct Oracle {
    entries: VecDeque<OracleEntry>,
}

struct OracleEntry {
    bytes: Vec<u8>,
    sent: usize,
    control: bool,
}

impl Oracle {
    fn push(&mut self, bytes: Vec<u8>, control: bool) {
        self.entries.push_back(OracleEntry { bytes, sent: 0, control });
    }

    fn push_ahead(&mut self, bytes: Vec<u8>) {
        let place = self.lead();
        self.entries.insert(place, OracleEntry { bytes, sent: 0, control: true });
    }

    fn lead(&self) -> usize {
        self.entries.iter().take_while(|entry| entry.control || entry.sent > 0).count()
    }

    fn drop_oldest_unsent(&mut self) -> Option<usize> {
        let entry = self.entries.remove(self.lead())?;
        Some(entry.bytes.len())
    }

    fn advance(&mut self, mut bytes: usize) -> u32 {
        let mut completed = 0;
        while let Some(head) = self.entries.front_mut() {
            let unsent = head.bytes.len() - head.sent;
            if unsent > bytes {
                head.sent += bytes;
                break;
            }
            bytes -= unsent;
            completed += u32::from(!head.control);
            self.entries.pop_front();
        }
        completed
    }

    fn backlog(&self) -> Backlog {
        let (mut messages, mut controls) = (0, 0);
        for entry in &self.entries {
            *(if entry.control { &mut controls } else { &mut messages }) += 1;
        }
        Backlog { messages, controls, bytes: self.text().len() }
    }

    fn text(&self) -> String {
        let bytes = self.entries.iter().flat_map(|entry| &entry.bytes[entry.sent..]);
        String::from_utf8(bytes.copied().collect()).expect("tests queue text")
    }
}

proptest! {
    #[test]
    fn queues_do_what_the_oracle_does(ops in prop::collection::vec(op(), 1..200)) {
        let mut pool = Pool::new(PoolOptions::default());
        let mut outbound = Outbound::new();
        let mut queues: [Queue; QUEUES] = std::array::from_fn(|_| Queue::new());
        let mut oracles: [Oracle; QUEUES] = Default::default();
        let mut sent = [0; QUEUES];
        let mut letters = (b'a'..=b'z').cycle();
        for op in ops {
            match op {
                Op::Push { queue, len } => {
                    let bytes: Vec<u8> = letters.by_ref().take(len).collect();
                    let frame = hold(&mut pool, &mut outbound, &bytes);
                    outbound.push(&mut queues[queue], frame);
                    outbound.release(frame);
                    oracles[queue].push(bytes, false);
                }
                Op::PushControl { queue, len, ahead } => {
                    let bytes: Vec<u8> = letters.by_ref().take(len).collect();
                    let frame = hold(&mut pool, &mut outbound, &bytes);
                    let place = if ahead { Place::Ahead } else { Place::Behind };
                    outbound.push_control(&mut queues[queue], frame, place);
                    outbound.release(frame);
                    if ahead { oracles[queue].push_ahead(bytes) } else { oracles[queue].push(bytes, true) }
                }
                Op::DropOldestUnsent { queue } => {
                    let dropped = outbound.drop_oldest_unsent(&mut queues[queue]);
                    prop_assert_eq!(dropped, oracles[queue].drop_oldest_unsent());
                }
                Op::Advance { queue, bytes } => {
                    let completed = outbound.advance(&mut queues[queue], bytes);
                    prop_assert_eq!(completed, oracles[queue].advance(bytes));
                    sent[queue] += u64::from(completed);
                }
                Op::Clear { queue } => {
                    prop_assert_eq!(outbound.clear(&mut queues[queue]), oracles[queue].backlog());
                    oracles[queue].entries.clear();
                    sent[queue] = 0;
                }
            }
            prop_assert_eq!(queues.each_ref().map(Queue::messages_sent), sent);
            for (queue, oracle) in queues.iter().zip(&oracles) {
                prop_assert_eq!(pending(&outbound, queue), oracle.text());
                prop_assert_eq!(queue.backlog(), oracle.backlog());
                prop_assert_eq!(queue.is_empty(), oracle.entries.is_empty());
            }
        }
        for queue in &mut queues {
            outbound.clear(queue);
        }
        prop_assert!(outbound.frames.is_empty());
    }
}
