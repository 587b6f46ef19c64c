//! What a delivery costs above the seam: a 64-byte message queued for a session, taken out again,
//! and all bookkeeping, by a whole worker turn by turn. `cargo bench -p hioload-engine`.
//!
//! Beside it, in the same run, the cost of copying 128 bytes per session into a ring. All
//! measurements take turns; medians leave out what disturbs some of them. The first message of
//! each measurement is not timed: it brings back into the caches what the others have pushed out.

mod count;
mod rings;
mod scene;
mod shuffle;

use std::time::Instant;

use rings::Rings;
use scene::Scene;

const SESSIONS: [u32; 4] = [10, 1_000, 10_000, 100_000];
const ROUNDS: usize = 101;
/// Deliveries of one measurement, or one message where that is more.
const DELIVERIES: u64 = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["count", what, times] => count::run(what, times),
        // What `cargo test --benches` says.
        [.., "--test"] => drop(Case::new(10).measure()),
        _ => measure_and_print(),
    }
}

/// One number of sessions, measured in three ways.
struct Case {
    sessions: u32,
    rings: Rings,
    single: Scene,
    together: Scene,
}

/// Messages in flight in [`Case::together`].
const TOGETHER: usize = 16;

impl Case {
    fn new(sessions: u32) -> Self {
        Self {
            sessions,
            rings: Rings::new(sessions),
            single: Scene::new(sessions, 1),
            together: Scene::new(sessions, TOGETHER),
        }
    }

    /// Nanoseconds per copy, per delivery one by one, and per delivery of 16 together.
    fn measure(&mut self) -> [f64; 3] {
        [
            nanoseconds(|| self.rings.round()),
            nanoseconds(|| self.single.round(1)),
            nanoseconds(|| self.together.round(TOGETHER)),
        ]
    }
}

/// Time per unit of what `round` does, which says how many units that were.
fn nanoseconds(mut round: impl FnMut() -> u64) -> f64 {
    round();
    let (start, mut units) = (Instant::now(), 0);
    while units < DELIVERIES {
        units += round();
    }
    start.elapsed().as_secs_f64() * 1e9 / units as f64
}

fn measure_and_print() {
    let mut cases = SESSIONS.map(Case::new);
    let mut times = SESSIONS.map(|_| [const { Vec::new() }; 3]);
    for _ in 0..ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            for (times, time) in times.iter_mut().zip(case.measure()) {
                times.push(time);
            }
        }
    }
    let medians = times.map(|times| times.map(median));

    println!("64-byte messages, per delivery, medians of {ROUNDS} interleaved rounds:");
    println!("sessions   copy of 128 B   one in flight           {TOGETHER} together");
    for (case, [copy, single, together]) in cases.iter().zip(medians) {
        let in_copies = |time: f64| format!("{time:>7.1} ns {:>5.2} x copy", time / copy);
        println!(
            "{:>8} {copy:>12.1} ns {} {}",
            case.sessions,
            in_copies(single),
            in_copies(together),
        );
    }
    let [_, [_, single, together], _, [_, single_most, together_most]] = medians;
    println!(
        "100,000 sessions beside 1,000: one in flight {:.2} x, {TOGETHER} together {:.2} x",
        single_most / single,
        together_most / together,
    );
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
