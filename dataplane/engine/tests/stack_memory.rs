//! What connections over the stack of this process take: memory for each, and no allocation per
//! message. Counted exactly, with the wire and the clients of the bench.

use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hioload_mem::{Arena, ArenaPages, CountingAllocator};

#[path = "../benches/stack/alone.rs"]
mod alone;
#[path = "../benches/stack/clients.rs"]
#[expect(dead_code, reason = "the bench has another use of the clients")]
mod clients;
#[path = "../benches/stack/scene.rs"]
mod scene;
#[path = "../benches/stack/wire.rs"]
mod wire;

use alone::Alone;
use scene::Scene;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const FLOWS_TOGETHER: usize = 1024;
const ACKS_TOGETHER: usize = 256;
const RECEIVE_RING_BYTES: usize = 1024;
const SEND_RING_BYTES: usize = 2048;

#[derive(Clone, Copy, Default)]
struct Cost {
    out: Duration,
    acknowledged: Duration,
    deliveries: u64,
    segments: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
    }
}

const SESSIONS: usize = 1_000;
const ROUNDS: usize = 100;
/// What the capacity arithmetic of `hioload-config` counts for a flow beside its rings
/// (`FLOW_BYTES`).
const FLOW_BYTES_MAX: u64 = 1280;

/// One test at a time: memory is counted for the whole process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_hundred_thousand_messages_through_the_stack_allocate_nothing_in_steady_state() {
    let _turn = turn();
    let arena = Arena::new(ArenaPages::Transparent);
    let mut alone = Alone::new(&arena, SESSIONS, &[1; 66]);
    for _ in 0..5 {
        alone.round();
    }
    let before = CountingAllocator::this_thread();
    let mut cost = Cost::default();
    for _ in 0..ROUNDS {
        cost += alone.round();
    }
    let counts = CountingAllocator::this_thread() - before;
    assert_eq!(cost.deliveries, (SESSIONS * ROUNDS) as u64);
    assert_eq!(counts.calls, 0, "{counts:?}");
}

#[test]
fn a_hundred_thousand_deliveries_of_a_worker_over_it_allocate_nothing_either() {
    let _turn = turn();
    let arena = Arena::new(ArenaPages::Transparent);
    let mut scene = Scene::new(&arena, SESSIONS);
    let text = "a".repeat(64);
    for _ in 0..5 {
        scene.round(&text, 4);
    }
    let before = CountingAllocator::this_thread();
    let mut cost = Cost::default();
    for _ in 0..ROUNDS / 4 {
        cost += scene.round(&text, 4);
    }
    let counts = CountingAllocator::this_thread() - before;
    assert_eq!(cost.deliveries, (SESSIONS * ROUNDS) as u64);
    assert_eq!(counts.calls, 0, "{counts:?}");
}

#[test]
fn an_idle_session_takes_at_most_a_kibibyte_and_a_quarter_beside_its_rings() {
    let _turn = turn();
    let arena = Arena::new(ArenaPages::Transparent);
    // What comes into being with the first sessions belongs to the worker, or to the clients.
    let few = bytes_of(&arena, 2_048);
    let many = bytes_of(&arena, 8_192);
    let each = (many - few) / (8_192 - 2_048);
    println!("{each} bytes per idle session beside its rings");
    assert!(
        each <= FLOW_BYTES_MAX,
        "an idle session takes {each} bytes beside its rings, {FLOW_BYTES_MAX} are allowed. They \
         are the sum of: its socket, its place in the table of flows, its entry in the map and in \
         the timers, and what the engine keeps of a session (`idle_memory` says how much).",
    );
}

/// Bytes on the heap that a worker with `count` sessions has, the clients' included.
fn bytes_of(arena: &Arena, count: usize) -> u64 {
    let before = CountingAllocator::bytes_in_use();
    let scene = Scene::new(arena, count);
    let bytes = CountingAllocator::bytes_in_use() - before;
    drop(scene);
    bytes
}
