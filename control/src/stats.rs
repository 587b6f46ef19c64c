//! What a running appliance says of itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hioload_engine::Latencies;
use serde::Serialize;

#[cfg(feature = "dpdk")]
use crate::datapath::dpdk::DpdkStats;
use crate::metrics::Family;

/// Where an appliance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Not serving yet.
    Starting,
    /// Accepting and serving.
    Serving,
    /// Closing its sessions; new connections are refused.
    Draining,
    /// Every worker has ended.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Starting => "starting",
            State::Serving => "serving",
            State::Draining => "draining",
            State::Stopped => "stopped",
        })
    }
}

/// Statistics of a moment. Counts are since the start. Unless they are [`exact`](Self::exact),
/// values of different names that are read while messages flow need not fit together.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Where the appliance is in its life.
    pub state: State,
    /// Whether the counts of each worker are those between two of its turns, so that they fit
    /// together: `deliveries_due` is the sum of `deliveries_sent`, all `deliveries_dropped_*` and
    /// `backlog_messages`.
    pub exact: bool,
    /// The version of this crate.
    pub version: &'static str,
    /// What carries the connections: `kernel` or `dpdk`; `none` before the start.
    pub datapath: &'static str,
    /// Whole seconds since the start.
    pub uptime_s: u64,
    /// Sessions that there may be: `limits.sessions_max`, or what file descriptors or
    /// `dpdk.flows_max` allow of that. `None` without a limit, and before the start.
    pub sessions_max: Option<usize>,
    /// Every probe by name, `active_clients` among them.
    pub probes: BTreeMap<String, u64>,
    /// Every counter, summed over the workers.
    pub totals: BTreeMap<&'static str, u64>,
    /// Every counter of each worker.
    pub workers: Vec<BTreeMap<&'static str, u64>>,
    /// How long deliveries took, from the publication of the message to the transport having taken
    /// its last byte.
    pub publish_to_write: LatencyStats,
    /// Sessions in each shard of the registry.
    pub session_shards: Vec<usize>,
    /// Ports, pools and lcores while DPDK serves; not on an lcore, which has no time to ask for it.
    /// In JSON its fields are among those of this.
    #[cfg(feature = "dpdk")]
    #[serde(flatten)]
    pub dpdk: Option<DpdkStats>,
}

impl Stats {
    /// What is below the workers, as metrics.
    pub(crate) fn families(&self) -> Vec<Family> {
        #[cfg(feature = "dpdk")]
        if let Some(dpdk) = &self.dpdk {
            return dpdk.families();
        }
        Vec::new()
    }
}

/// Times since the start, in microseconds. Those that so many percent of the deliveries did not
/// exceed are rounded up to two significant digits; all are zero before the first delivery.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LatencyStats {
    /// Deliveries that were timed: all that were sent.
    pub count: u64,
    /// The mean.
    pub mean_us: f64,
    /// 50 % did not exceed it.
    pub p50_us: f64,
    /// 99 % did not exceed it.
    pub p99_us: f64,
    /// 99.9 % did not exceed it.
    pub p999_us: f64,
    /// The longest there was.
    pub max_us: f64,
}

impl LatencyStats {
    pub(crate) fn new(latencies: &Latencies) -> Self {
        let count = latencies.count();
        let mean_us = latencies.sum_seconds() * 1e6 / count.max(1) as f64;
        let quantile = |permille| micros(latencies.quantile(permille));
        Self {
            count,
            mean_us: (mean_us * 10.0).round() / 10.0,
            p50_us: quantile(500),
            p99_us: quantile(990),
            p999_us: quantile(999),
            max_us: micros(latencies.max()),
        }
    }
}

/// With one decimal.
fn micros(time: Duration) -> f64 {
    time.as_nanos().div_ceil(100) as f64 / 10.0
}
