//! How a run went over time: the threads' sums, looked at every so often.

use std::time::Duration;

use serde::Serialize;

use crate::shared::Sums;

/// The distance of two points at first.
const INTERVAL: Duration = Duration::from_millis(100);
/// With more points than that every other one is given up, and the distance doubles.
const POINTS_MAX: usize = 240;

/// What was counted up to a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at_ns: u64,
    published: u64,
    deliveries: u64,
    connects: u64,
    open: u64,
}

/// Counts as they grew, at no more than [`POINTS_MAX`] moments however long a run takes.
#[derive(Debug)]
pub(crate) struct Recorder {
    interval_ns: u64,
    samples: Vec<Sample>,
}

/// Rates in the time between a point and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    /// Seconds since the run began, at the end of the interval.
    pub(crate) at_s: f64,
    pub(crate) messages_per_s: f64,
    pub(crate) deliveries_per_s: f64,
    pub(crate) connects_per_s: f64,
    /// Connections that were open then.
    pub(crate) open: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { interval_ns: nanoseconds(INTERVAL), samples: Vec::with_capacity(POINTS_MAX + 2) }
    }

    /// Takes the counts, if it is time to.
    pub(crate) fn look(&mut self, at_ns: u64, sums: &Sums, published: impl FnOnce() -> u64) {
        let last_ns = self.samples.last().map_or(0, |sample| sample.at_ns);
        if at_ns < last_ns + self.interval_ns {
            return;
        }
        self.samples.push(Sample {
            at_ns,
            published: published(),
            deliveries: sums.settled,
            connects: sums.handshakes,
            open: sums.open,
        });
        if self.samples.len() > POINTS_MAX {
            self.interval_ns *= 2;
            let mut number = 0;
            self.samples.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }
    }

    /// The rates between the moments.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(crate) fn points(&self) -> Vec<Point> {
        let zero = Sample { at_ns: 0, published: 0, deliveries: 0, connects: 0, open: 0 };
        let before = std::iter::once(&zero).chain(&self.samples);
        let pairs = before.zip(&self.samples);
        pairs
            .map(|(from, to)| {
                let seconds = (to.at_ns - from.at_ns) as f64 / 1e9;
                let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
                Point {
                    at_s: to.at_ns as f64 / 1e9,
                    messages_per_s: rate(from.published, to.published),
                    deliveries_per_s: rate(from.deliveries, to.deliveries),
                    connects_per_s: rate(from.connects, to.connects),
                    open: to.open,
                }
            })
            .collect()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn sums(settled: u64) -> Sums {
        Sums { settled, open: 3, ..Sums::default() }
    }

    #[test]
    fn a_point_has_the_rate_since_the_one_before() {
        let mut recorder = Recorder::new();
        recorder.look(SECOND / 20, &sums(1), || 0);
        recorder.look(SECOND / 2, &sums(100), || 50);
        recorder.look(SECOND / 2 + 1, &sums(101), || 51);
        recorder.look(SECOND, &sums(400), || 50);
        let rates: Vec<_> = recorder
            .points()
            .iter()
            .map(|point| (point.at_s, point.deliveries_per_s, point.messages_per_s, point.open))
            .collect();
        assert_eq!(rates, [(0.5, 200.0, 100.0, 3), (1.0, 600.0, 0.0, 3)]);
    }

    #[test]
    fn a_long_run_has_fewer_points_a_second_and_loses_no_count() {
        let mut recorder = Recorder::new();
        // Ten deliveries a second for an hour, looked at every 20 ms.
        for look in 1..=180_000 {
            let at_ns = look * SECOND / 50;
            recorder.look(at_ns, &sums(at_ns / (SECOND / 10)), || 0);
        }
        let points = recorder.points();
        assert!((POINTS_MAX / 2..=POINTS_MAX).contains(&points.len()), "{}", points.len());
        assert!(points.iter().all(|point| (point.deliveries_per_s - 10.0).abs() < 0.1));
        assert!(points.last().is_some_and(|point| point.at_s > 3500.0));
    }
}
