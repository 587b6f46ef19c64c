//! Metrics of which there may be several samples, each with labels of its own.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use hioload_engine::{Metric, MetricKind};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Samples of one name.
#[derive(Debug)]
pub(crate) struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    samples: Vec<(Labels, Value)>,
}

type Labels = Vec<(&'static str, String)>;

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Count(u64),
    Time(Duration),
}

impl Family {
    /// One without samples. `name` is without the prefix, and without the suffix of a counter.
    pub(crate) fn new(name: &'static str, help: &'static str, kind: MetricKind) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// Adds a sample. Labels must differ from those of every other.
    pub(crate) fn push(&mut self, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push((labels, value));
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = type_of(self.kind);
        let mut family = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (labels, value) in &self.samples {
            value.encode(self.kind, family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

/// Writes a value that has no labels. Times, which are counted in nanoseconds, are exported in
/// seconds, as Prometheus wants its times.
pub(super) fn encode(metric: &Metric, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (name, value) = match metric.name.strip_suffix("_ns") {
        Some(name) => {
            (Cow::Owned(format!("{name}_seconds")), Value::Time(Duration::from_nanos(metric.value)))
        }
        None => (Cow::Borrowed(metric.name), Value::Count(metric.value)),
    };
    let kind = type_of(metric.kind);
    value.encode(metric.kind, encoder.encode_descriptor(&name, metric.help, None, kind)?)
}

impl Value {
    pub(super) fn encode(self, kind: MetricKind, encoder: MetricEncoder<'_>) -> fmt::Result {
        match (self, kind) {
            (Value::Count(count), MetricKind::Counter) => ConstCounter::new(count).encode(encoder),
            // Gauges are signed in this format; what is beyond is shown as the largest there is.
            (Value::Count(count), MetricKind::Gauge) => {
                ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(encoder)
            }
            (Value::Time(time), MetricKind::Counter) => {
                ConstCounter::new(time.as_secs_f64()).encode(encoder)
            }
            (Value::Time(time), MetricKind::Gauge) => {
                ConstGauge::new(time.as_secs_f64()).encode(encoder)
            }
        }
    }
}

fn type_of(kind: MetricKind) -> MetricType {
    match kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
    }
}
