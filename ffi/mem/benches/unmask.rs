//! Unmasking against copying: criterion's figures by size, then, from rounds in which both took
//! turns, the ratio of their speeds. `cargo bench -p hioload-mem --bench unmask`.

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use hioload_mem::{unmask, unmask_portable};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const SIZE: usize = 16 * 1024;

/// Bytes at the start of a cache line, as payloads in a pooled buffer are.
#[repr(align(64))]
struct Aligned([u8; SIZE]);

impl Aligned {
    fn boxed() -> Box<Self> {
        Box::new(Self([0x55; SIZE]))
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    by_size(&mut criterion);
    criterion.final_summary();
    if !std::env::args().any(|argument| argument == "--test") {
        print_ratios();
    }
}

fn by_size(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unmask");
    let mut buffer = Aligned::boxed();
    // 6 is where the payload of a short client frame starts.
    for (at, len) in [(6, 5), (6, 20), (6, 64), (8, 125), (8, 1024), (0, SIZE)] {
        let bytes = &mut buffer.0[at..at + len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("dispatched", len), |bench| {
            bench.iter(|| unmask(black_box(&mut *bytes), black_box(KEY), 0));
        });
        group.bench_function(BenchmarkId::new("portable", len), |bench| {
            bench.iter(|| unmask_portable(black_box(&mut *bytes), black_box(KEY), 0));
        });
    }
    group.finish();
}

/// One machine-wide hiccup hits all three alike, and the medians leave it out.
fn print_ratios() {
    const ROUNDS: usize = 501;
    let (from, mut to) = (Aligned::boxed(), Aligned::boxed());
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(nanoseconds(|| black_box(&mut to.0).copy_from_slice(black_box(&from.0))));
        times[1].push(nanoseconds(|| unmask(black_box(&mut to.0), black_box(KEY), 0)));
        times[2].push(nanoseconds(|| {
            // Too short to be worth waking AVX-512 for, so this is AVX2 where there is AVX2.
            black_box(&mut to.0)
                .chunks_mut(4 * 1024)
                .for_each(|chunk| unmask(chunk, black_box(KEY), 0));
        }));
        times[3].push(nanoseconds(|| unmask_portable(black_box(&mut to.0), black_box(KEY), 0)));
    }
    println!("16 KiB, 64-byte aligned, median of {ROUNDS} interleaved rounds ({}):", features());
    let names = ["copy", "unmask", "unmask, 4 KiB each", "unmask_portable"];
    let medians = times.map(median);
    for (name, time) in names.into_iter().zip(medians) {
        let gigabytes_per_second = SIZE as f64 / time;
        println!(
            "  {name:<18} {time:>7.1} ns {gigabytes_per_second:>6.1} GB/s  {:.2} x the speed of copying",
            medians[0] / time,
        );
    }
}

/// Time of one call, from a batch long enough for the clock and for the processor to wake its widest
/// vector units.
fn nanoseconds(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 2_000;
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn features() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return "AVX-512";
    } else if is_x86_feature_detected!("avx2") {
        return "AVX2";
    }
    "baseline"
}
