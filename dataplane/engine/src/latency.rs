//! How long messages wait between being published and being written.
//!
//! A histogram to two significant digits: each power of ten from 1 us to 10 s is split into 90
//! equal parts, which lie on the bounds that Prometheus gets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hioload_buffer::Frame;

use crate::moment::{Epoch, Moment};
use crate::worker::Clock;

/// A message that is on its way, and when it was published.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) frame: Frame,
    pub(crate) at: Moment,
}

const DECADES: usize = 7;
/// Parts of each power of ten: 1.1, 1.2, and so on up to 10 times it.
const PARTS: usize = 90;
/// One below the first power of ten, one above the last.
const BUCKETS: usize = 1 + DECADES * PARTS + 1;

/// The end of the first bucket: 1 us.
const FIRST_NANOS: u64 = 1_000;

/// The histogram of one worker.
///
/// Only its worker writes, with plain loads and stores; anyone may read.
#[derive(Debug)]
pub(crate) struct Latency {
    counts: [AtomicU64; BUCKETS],
    /// The sum of all, in seconds: the bits of an `f64`, which does not overflow.
    sum_bits: AtomicU64,
    max_nanos: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            sum_bits: AtomicU64::new(0),
            max_nanos: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// For the owning worker alone: `count` messages that were published at `published` are
    /// written now.
    pub(crate) fn record(&self, published: Moment, now: Moment, count: u32) {
        let nanos = now.nanos_since(published);
        let cell = &self.counts[bucket(nanos)];
        cell.store(cell.load(Ordering::Relaxed) + u64::from(count), Ordering::Relaxed);
        let sum = f64::from_bits(self.sum_bits.load(Ordering::Relaxed));
        let sum = sum + nanos as f64 / 1e9 * f64::from(count);
        self.sum_bits.store(sum.to_bits(), Ordering::Relaxed);
        if nanos > self.max_nanos.load(Ordering::Relaxed) {
            self.max_nanos.store(nanos, Ordering::Relaxed);
        }
    }
}

/// Notes of what was sent how long it had been on its way.
pub(crate) struct LatencyMeter<'a, C> {
    pub(crate) clock: &'a C,
    pub(crate) epoch: Epoch,
    pub(crate) latency: &'a Latency,
}

impl<C: Clock> LatencyMeter<'_, C> {
    /// Messages that were published at these moments are written now, each to `count` sessions.
    pub(crate) fn note(&self, published: impl Iterator<Item = Moment>, count: u32) {
        if count > 0 {
            let now = self.epoch.moment(self.clock.now());
            published.for_each(|published| self.latency.record(published, now, count));
        }
    }
}

/// The bucket of a time: the first whose end it does not exceed.
fn bucket(nanos: u64) -> usize {
    if nanos <= FIRST_NANOS {
        return 0;
    }
    let mut decade = FIRST_NANOS;
    for number in 0..DECADES {
        if nanos <= decade * 10 {
            let parts = usize::try_from(nanos.div_ceil(decade / 10)).unwrap_or(usize::MAX);
            return 1 + number * PARTS + (parts - 11);
        }
        decade *= 10;
    }
    BUCKETS - 1
}

/// The longest time that a bucket takes in; the last one has no end.
fn end_nanos(bucket: usize) -> u64 {
    let Some(part) = bucket.checked_sub(1) else { return FIRST_NANOS };
    if bucket == BUCKETS - 1 {
        return u64::MAX;
    }
    let decade = (0..part / PARTS).fold(FIRST_NANOS, |decade, _| decade * 10);
    decade / 10 * (part % PARTS + 11) as u64
}

/// Times of all workers, as of some moment: how long deliveries waited between the message being
/// published and its last byte being taken by the transport.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u64>,
    sum_seconds: f64,
    max_nanos: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], sum_seconds: 0.0, max_nanos: 0 }
    }
}

/// Ends of the buckets that [`Latencies::buckets`] gives, in tenths of microseconds.
const BOUNDS: [u64; 22] = [
    10,
    25,
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
];

impl Latencies {
    pub(crate) fn add(&mut self, worker: &Latency) {
        for (sum, count) in self.counts.iter_mut().zip(&worker.counts) {
            *sum += count.load(Ordering::Relaxed);
        }
        self.sum_seconds += f64::from_bits(worker.sum_bits.load(Ordering::Relaxed));
        self.max_nanos = self.max_nanos.max(worker.max_nanos.load(Ordering::Relaxed));
    }

    /// Deliveries that were timed: all that were sent.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Seconds, of all together.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_seconds
    }

    /// The longest there was.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_nanos)
    }

    /// The time that so many of 1,000 deliveries did not exceed (500: the median), rounded up to two
    /// significant digits; zero without any.
    pub fn quantile(&self, permille: u16) -> Duration {
        let rank = (u128::from(self.count()) * u128::from(permille)).div_ceil(1000).max(1);
        let mut below = 0;
        for (bucket, &here) in self.counts.iter().enumerate() {
            below += u128::from(here);
            if below >= rank {
                return Duration::from_nanos(end_nanos(bucket).min(self.max_nanos));
            }
        }
        self.max()
    }

    /// Buckets from 1 us to 10 s and beyond, as Prometheus has them: the upper end of each in
    /// seconds, the last one infinite, and the deliveries that took longer than the end before and
    /// no longer than this.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut buckets = Vec::with_capacity(BOUNDS.len() + 1);
        let mut rest = &self.counts[..];
        let mut first = 0;
        for tenths in BOUNDS {
            let within = (first..BUCKETS).take_while(|&it| end_nanos(it) <= tenths * 100).count();
            let (here, beyond) = rest.split_at(within);
            buckets.push((tenths as f64 / 1e7, here.iter().sum()));
            rest = beyond;
            first += within;
        }
        buckets.push((f64::INFINITY, rest.iter().sum()));
        buckets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn latencies(times: &[(u64, u32)]) -> Latencies {
        let latency = Latency::default();
        for &(nanos, count) in times {
            latency.record(Moment::from_raw(5), Moment::from_raw(5 + nanos), count);
        }
        let mut sum = Latencies::default();
        sum.add(&latency);
        sum
    }

    #[test]
    fn every_bucket_begins_where_the_one_before_ends() {
        for number in 0..BUCKETS - 1 {
            let end = end_nanos(number);
            assert_eq!((bucket(end), bucket(end + 1)), (number, number + 1), "{end}");
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
        assert_eq!((end_nanos(1), end_nanos(BUCKETS - 2)), (1_100, 10_000_000_000));
    }

    #[test]
    fn every_bound_for_prometheus_is_the_end_of_a_bucket() {
        for tenths in BOUNDS {
            assert!((0..BUCKETS).any(|number| end_nanos(number) == tenths * 100), "{tenths}");
        }
    }

    #[test]
    fn times_are_counted_up_to_the_bound_that_they_do_not_exceed() {
        let latencies = latencies(&[(0, 2), (1_000, 1), (1_001, 4), (2_500, 8), (u64::MAX / 2, 1)]);
        let buckets = latencies.buckets();
        assert_eq!(buckets[..3], [(1e-6, 3), (2.5e-6, 12), (5e-6, 0)]);
        assert_eq!(buckets[21..], [(10.0, 0), (f64::INFINITY, 1)]);
        assert_eq!((latencies.count(), latencies.max().as_nanos()), (16, u128::from(u64::MAX / 2)));
    }

    #[test]
    fn nothing_sent_is_all_zero() {
        let none = Latencies::default();
        assert_eq!((none.quantile(990), none.max(), none.sum_seconds()), Default::default());
    }

    #[test]
    fn who_reads_a_clock_that_is_behind_has_waited_for_no_time() {
        let latency = Latency::default();
        latency.record(Moment::from_raw(7), Moment::from_raw(3), 1);
        assert_eq!(latency.max_nanos.load(Ordering::Relaxed), 0);
        assert_eq!(latency.counts[0].load(Ordering::Relaxed), 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_exact_to_two_digits_and_never_too_short(
            mut times in prop::collection::vec(0_u64..20_000_000_000, 1..50),
            permille in 0_u16..=1000,
        ) {
            let counted: Vec<(u64, u32)> = times.iter().map(|&nanos| (nanos, 1)).collect();
            let latencies = latencies(&counted);
            times.sort_unstable();
            let rank = (usize::from(permille) * times.len()).div_ceil(1000).max(1);
            let exact = times[rank - 1];
            let quantile = u64::try_from(latencies.quantile(permille).as_nanos()).expect("below 584 years");
            prop_assert!(quantile >= exact, "{quantile} {exact}");
            let slack = (exact / 10).max(1_000);
            prop_assert!(exact > 10_000_000_000 || quantile <= exact + slack, "{quantile} {exact}");
            let sum = times.iter().sum::<u64>() as f64 / 1e9;
            prop_assert!((latencies.sum_seconds() - sum).abs() < 1e-6);
        }
    }
}
