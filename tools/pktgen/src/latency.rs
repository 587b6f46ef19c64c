//! Histograms of times.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What takes longer counts as this long.
const LONGEST: Duration = Duration::from_secs(600);

/// Times to three digits, from a nanosecond to ten minutes.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn new() -> Self {
        let longest_ns = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        // Refused are a bound below 2 and more than 5 digits.
        Self(Histogram::new_with_bounds(1, longest_ns, 3).expect("bounds in order"))
    }

    pub(crate) fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        // Both have the same bounds, which is all that can be refused.
        let _ = self.0.add(&other.0);
    }

    /// `None` if nothing was recorded.
    pub(crate) fn summary(&self) -> Option<Summary> {
        (!self.0.is_empty()).then(|| Summary {
            count: self.0.len(),
            min: microseconds(self.0.min()),
            mean: self.0.mean() / 1e3,
            p50: microseconds(self.0.value_at_quantile(0.5)),
            p90: microseconds(self.0.value_at_quantile(0.9)),
            p99: microseconds(self.0.value_at_quantile(0.99)),
            p999: microseconds(self.0.value_at_quantile(0.999)),
            max: microseconds(self.0.max()),
        })
    }

    /// Points up to the nines that so many times have: no finer than a single one.
    #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
    pub(crate) fn curve(&self, name: &'static str) -> Curve {
        const STEP: f64 = 0.05;
        let end = (self.0.len() as f64).log10();
        let parts = std::iter::successors(Some(0.0), |nines| Some(nines + STEP));
        let mut points: Vec<CurvePoint> = parts
            .take_while(|nines| *nines < end)
            .map(|nines| {
                let value = self.0.value_at_quantile(1.0 - 10_f64.powf(-nines));
                CurvePoint { nines, us: microseconds(value) }
            })
            .collect();
        if !self.0.is_empty() {
            points.push(CurvePoint { nines: end, us: microseconds(self.0.max()) });
        }
        Curve { name, points }
    }
}

#[expect(clippy::cast_precision_loss, reason = "ten minutes of nanoseconds are below 2^53")]
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// A distribution as a line: how long each part of all took at the most.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<CurvePoint>,
}

/// A point of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CurvePoint {
    /// The part, by how many nines it has: 0.9 is 1, 0.99 is 2, 0.5 is about 0.3.
    pub(crate) nines: f64,
    pub(crate) us: f64,
}

/// Microseconds, but for the count.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max, .. } = self;
        write!(f, "p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1} us")
    }
}
