//! What a delivery costs through the stack of this process: a 64-byte message to everybody, out
//! as one segment each, and the acknowledgement of each in. `cargo bench -p hioload-engine --bench
//! stack`; `taskset -c 1` keeps it on one CPU.
//!
//! - `bare`: `smoltcp` alone, as little as can be: ring write and segment out, acknowledgement in.
//! - `stack`: the streams without anything above the seam.
//! - `worker`: all of it, from the hub on.
//! - `16 together`: a worker that has 16 messages for everybody.
//!
//! All take turns in one run, in medians; what the clients do is not timed. They take the segments
//! in after each turn, and acknowledge by 256: so frames are as warm as a network card leaves
//! them. The first message of each measurement is not timed either: it brings back into the caches
//! what the others have pushed out.

mod alone;
mod clients;
mod prototype;
mod scene;
mod wire;

use std::ops::AddAssign;
use std::time::Duration;

use hioload_mem::{Arena, ArenaPages};

use alone::Alone;
use prototype::Prototype;
use scene::Scene;

const FLOWS: [usize; 4] = [10, 1_000, 20_000, 60_000];
const ROUNDS: usize = 15;
/// Deliveries of one measurement, or one message where that is more.
const DELIVERIES: u64 = 20_000;
/// Flows that are sent to before the clients look, and acknowledgements that come together.
const FLOWS_TOGETHER: usize = 1024;
const ACKS_TOGETHER: usize = 256;
const RECEIVE_RING_BYTES: usize = 1024;
const SEND_RING_BYTES: usize = 2048;
const TEXT_BYTES: usize = 64;
/// Messages at a time, of which a segment holds all.
const TOGETHER: usize = 16;

/// What a round took.
#[derive(Clone, Copy, Default)]
struct Cost {
    out: Duration,
    acknowledged: Duration,
    deliveries: u64,
    segments: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.out += other.out;
        self.acknowledged += other.acknowledged;
        self.deliveries += other.deliveries;
        self.segments += other.segments;
    }
}

/// Nanoseconds per delivery out, and of the acknowledgement; and segments per delivery.
type Figures = [f64; 3];

fn measure(mut round: impl FnMut() -> Cost, deliveries: u64) -> Figures {
    round();
    let mut cost = Cost::default();
    while cost.deliveries < deliveries {
        cost += round();
    }
    let each = |what: f64| what / cost.deliveries as f64;
    let nanoseconds = |time: Duration| each(time.as_secs_f64() * 1e9);
    [nanoseconds(cost.out), nanoseconds(cost.acknowledged), each(cost.segments as f64)]
}

/// One number of flows, measured in all ways.
struct Case<'a> {
    prototype: Prototype<'a>,
    alone: Alone<'a>,
    scene: Scene<'a>,
    text: String,
    frame: Vec<u8>,
}

impl<'a> Case<'a> {
    fn new(arena: &'a Arena, flows: usize) -> Self {
        let text = "a".repeat(TEXT_BYTES);
        let mut frame = vec![0x81, 64];
        frame.extend_from_slice(text.as_bytes());
        Self {
            prototype: Prototype::new(arena, flows),
            alone: Alone::new(arena, flows, &frame),
            scene: Scene::new(arena, flows),
            text,
            frame,
        }
    }

    fn measure(&mut self, deliveries: u64) -> [Figures; 4] {
        [
            measure(|| self.prototype.round(&self.frame), deliveries),
            measure(|| self.alone.round(), deliveries),
            measure(|| self.scene.round(&self.text, 1), deliveries),
            measure(|| self.scene.round(&self.text, TOGETHER), deliveries),
        ]
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arena = Arena::new(ArenaPages::Transparent);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // What `cargo test --benches` says.
        [.., "--test"] => drop(Case::new(&arena, 10).measure(10)),
        ["count", what, flows, times] => count(what, flows, times),
        _ => measure_and_print(&arena),
    }
}

/// Does one thing only, for a profiler or callgrind.
fn count(what: &str, flows: &str, times: &str) {
    let flows: usize = flows.parse().expect("a number of flows");
    let times: usize = times.parse().expect("a number of rounds");
    let arena = Arena::new(ArenaPages::Transparent);
    let text = "a".repeat(TEXT_BYTES);
    let mut cost = Cost::default();
    match what {
        "bare" => {
            let mut prototype = Prototype::new(&arena, flows);
            (0..times).for_each(|_| cost += prototype.round(&[1; TEXT_BYTES + 2]));
        }
        "stack" => {
            let mut alone = Alone::new(&arena, flows, &[1; TEXT_BYTES + 2]);
            (0..times).for_each(|_| cost += alone.round());
        }
        "worker" => {
            let mut scene = Scene::new(&arena, flows);
            (0..times).for_each(|_| cost += scene.round(&text, 1));
        }
        _ => panic!("nothing is counted that is called {what}"),
    }
    println!("{what} {flows}: {} deliveries", cost.deliveries);
}

fn measure_and_print(arena: &Arena) {
    let mut cases = FLOWS.map(|flows| Case::new(arena, flows));
    let mut rounds = FLOWS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (case, rounds) in cases.iter_mut().zip(&mut rounds) {
            rounds.push(case.measure(DELIVERIES));
        }
    }
    println!("ns per {TEXT_BYTES}-byte message: out + acknowledgement in; medians of {ROUNDS}");
    println!(
        "{:>7} {:>20} {:>20} {:>20} {:>7}   {TOGETHER} together: per message, segments, less",
        "flows", "bare", "stack", "worker", "- bare",
    );
    for (flows, rounds) in FLOWS.iter().zip(&rounds) {
        let figure = |way: usize, place: usize| median(rounds.iter().map(|it| it[way][place]));
        let sum = |way: usize| median(rounds.iter().map(|it| it[way][0] + it[way][1]));
        let shown =
            |way: usize| format!("{:.0} + {:.0} = {:.0}", figure(way, 0), figure(way, 1), sum(way));
        let more = median(rounds.iter().map(|it| it[2][0] + it[2][1] - it[0][0] - it[0][1]));
        let less = median(rounds.iter().map(|it| (it[2][0] + it[2][1]) / (it[3][0] + it[3][1])));
        println!(
            "{flows:>7} {:>20} {:>20} {:>20} {more:>7.0}   {:>6.1} {:>5.2} {less:>5.1} x",
            shown(0),
            shown(1),
            shown(2),
            sum(3),
            figure(3, 2) * TOGETHER as f64,
        );
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
