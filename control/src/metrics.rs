//! What a running appliance counts, as the text that Prometheus scrapes.
//!
//! `METRICS.md` documents every name; a test compares it with what is written here.

mod family;
mod format;

use std::collections::BTreeMap;
use std::fmt;

use hioload_engine::{Latencies, Metric, MetricKind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub(crate) use self::family::{Family, Value};
pub(crate) use self::format::Format;

use crate::handle::ACTIVE_CLIENTS;
use crate::{Handle, State};

/// The values of one scrape.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The version of this program.
    pub(crate) version: &'static str,
    /// What carries the packets.
    pub(crate) datapath: &'static str,
    /// Seconds since the start.
    pub(crate) uptime_s: f64,
    /// Whether new clients are taken.
    pub(crate) serving: bool,
    /// Sessions that are open.
    pub(crate) active_clients: u64,
    /// As many as there may be.
    pub(crate) sessions_max: Option<usize>,
    /// What the workers count, summed.
    pub(crate) totals: Vec<Metric>,
    /// How long deliveries took.
    pub(crate) latencies: Latencies,
    /// Values of the embedder and of layers, under names of their choice.
    pub(crate) probes: BTreeMap<String, u64>,
    /// What the data path counts below the workers.
    pub(crate) families: Vec<Family>,
}

impl Snapshot {
    /// The values that the appliance has now.
    pub(crate) fn take(handle: &Handle) -> Self {
        let stats = handle.stats();
        let families = stats.families();
        let mut probes = stats.probes;
        // It has a name of its own here.
        let active_clients = probes.remove(ACTIVE_CLIENTS).unwrap_or_default();
        Self {
            version: stats.version,
            datapath: stats.datapath,
            uptime_s: handle.uptime().as_secs_f64(),
            serving: stats.state == State::Serving,
            active_clients,
            sessions_max: stats.sessions_max,
            totals: handle.totals().metrics(),
            latencies: handle.latencies(),
            probes,
            families,
        }
    }

    /// The snapshot in `format`.
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub(crate) fn render(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("hioload");
        registry.register_collector(Box::new(self));
        let mut body = String::new();
        text::encode(&mut body, &registry)?;
        Ok(match format {
            Format::OpenMetrics => body,
            Format::Text => format::to_text(&body),
        })
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = [("version", self.version), ("datapath", self.datapath)];
        let mut build =
            encoder.encode_descriptor("build_info", "What runs here", None, MetricType::Gauge)?;
        ConstGauge::new(1).encode(build.encode_family(&labels)?)?;

        let help = "Seconds since the start";
        let uptime = encoder.encode_descriptor("uptime_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.uptime_s).encode(uptime)?;

        let help = "1 while new clients are taken, 0 while the appliance drains";
        let serving = encoder.encode_descriptor("serving", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(self.serving)).encode(serving)?;

        let help = "WebSocket sessions that are open";
        let active = encoder.encode_descriptor("active_clients", help, None, MetricType::Gauge)?;
        Value::Count(self.active_clients).encode(MetricKind::Gauge, active)?;

        if let Some(max) = self.sessions_max {
            let help = "Sessions that there may be: limits.sessions_max, or what file descriptors \
                        or dpdk.flows_max allow of that; missing without a limit";
            let limit = encoder.encode_descriptor("sessions_max", help, None, MetricType::Gauge)?;
            Value::Count(max as u64).encode(MetricKind::Gauge, limit)?;
        }

        for metric in &self.totals {
            family::encode(metric, &mut encoder)?;
        }
        self.encode_latencies(&mut encoder)?;
        if !self.probes.is_empty() {
            self.probes().encode(&mut encoder)?;
        }
        self.families.iter().try_for_each(|family| family.encode(&mut encoder))
    }
}

impl Snapshot {
    fn encode_latencies(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Time from the publication of a message to its last byte being taken by the \
                    transport, for each delivery";
        let name = "publish_to_write_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let (sum, count) = (self.latencies.sum_seconds(), self.latencies.count());
        family.encode_histogram::<NoLabelSet>(sum, count, &self.latencies.buckets(), None)
    }

    /// Probes are one family with a label, since their names can be any text.
    fn probes(&self) -> Family {
        let help = "Values that the application and its layers offer";
        let mut family = Family::new("probe", help, MetricKind::Gauge);
        for (name, value) in &self.probes {
            family.push(&[("name", name)], Value::Count(*value));
        }
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let counter = Metric {
            name: "messages_received",
            help: "Messages received from clients",
            kind: MetricKind::Counter,
            value: 12,
        };
        let level = Metric {
            name: "connections",
            help: "Connections that exist",
            kind: MetricKind::Gauge,
            value: 3,
        };
        let time = Metric {
            name: "busy_ns",
            help: "Time in which there was something to do",
            kind: MetricKind::Counter,
            value: 1_250_000_000,
        };
        let mut family = Family::new("dropped_frames", "Frames dropped", MetricKind::Counter);
        family.push(&[("reason", "vlan"), ("lcore", "1")], Value::Count(5));
        family.push(&[("reason", "vlan"), ("lcore", "2")], Value::Count(6));
        Snapshot {
            version: "1.2.3",
            datapath: "kernel",
            uptime_s: 1.5,
            serving: true,
            active_clients: 2,
            sessions_max: Some(100),
            totals: vec![counter, level, time],
            latencies: Latencies::default(),
            probes: BTreeMap::new(),
            families: vec![family],
        }
    }

    #[test]
    fn every_value_has_its_meaning_and_kind_and_the_text_its_end() {
        let text = snapshot().render(Format::OpenMetrics).unwrap();
        assert_eq!(
            text,
            "# HELP hioload_build_info What runs here\n\
             # TYPE hioload_build_info gauge\n\
             hioload_build_info{version=\"1.2.3\",datapath=\"kernel\"} 1\n\
             # HELP hioload_uptime_seconds Seconds since the start\n\
             # TYPE hioload_uptime_seconds gauge\n\
             hioload_uptime_seconds 1.5\n\
             # HELP hioload_serving 1 while new clients are taken, 0 while the appliance drains\n\
             # TYPE hioload_serving gauge\n\
             hioload_serving 1\n\
             # HELP hioload_active_clients WebSocket sessions that are open\n\
             # TYPE hioload_active_clients gauge\n\
             hioload_active_clients 2\n\
             # HELP hioload_sessions_max Sessions that there may be: limits.sessions_max, or what \
             file descriptors or dpdk.flows_max allow of that; missing without a limit\n\
             # TYPE hioload_sessions_max gauge\n\
             hioload_sessions_max 100\n\
             # HELP hioload_messages_received Messages received from clients\n\
             # TYPE hioload_messages_received counter\n\
             hioload_messages_received_total 12\n\
             # HELP hioload_connections Connections that exist\n\
             # TYPE hioload_connections gauge\n\
             hioload_connections 3\n\
             # HELP hioload_busy_seconds Time in which there was something to do\n\
             # TYPE hioload_busy_seconds counter\n\
             hioload_busy_seconds_total 1.25\n\
             # HELP hioload_publish_to_write_seconds Time from the publication of a message to its \
             last byte being taken by the transport, for each delivery\n\
             # TYPE hioload_publish_to_write_seconds histogram\n\
             hioload_publish_to_write_seconds_sum 0.0\n\
             hioload_publish_to_write_seconds_count 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.000001\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.0000025\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.000005\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.00001\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.000025\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.00005\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.0001\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.00025\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.0005\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.001\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.0025\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.005\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.01\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.025\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.05\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.1\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.25\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"0.5\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"1.0\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"2.5\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"5.0\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"10.0\"} 0\n\
             hioload_publish_to_write_seconds_bucket{le=\"+Inf\"} 0\n\
             # HELP hioload_dropped_frames Frames dropped\n\
             # TYPE hioload_dropped_frames counter\n\
             hioload_dropped_frames_total{reason=\"vlan\",lcore=\"1\"} 5\n\
             hioload_dropped_frames_total{reason=\"vlan\",lcore=\"2\"} 6\n\
             # EOF\n"
        );
    }

    #[test]
    fn the_name_of_a_probe_cannot_start_a_line_of_its_own() {
        let mut snapshot = snapshot();
        snapshot.probes.insert("rooms\" 5\nfake".to_owned(), u64::MAX);
        let text = snapshot.render(Format::Text).unwrap();
        let line = "hioload_probe{name=\"rooms\\\" 5\\nfake\"} 9223372036854775807\n";
        assert!(text.contains(line), "{text}");
    }
}
