//! What a running appliance says of itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Where an appliance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
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
    /// What carries the connections: `kernel`.
    pub datapath: &'static str,
    /// Whole seconds since the start.
    pub uptime_s: u64,
    /// Every probe by name, `active_clients` among them.
    pub probes: BTreeMap<String, u64>,
    /// Every counter, summed over the workers.
    pub totals: BTreeMap<&'static str, u64>,
    /// Every counter of each worker.
    pub workers: Vec<BTreeMap<&'static str, u64>>,
    /// Sessions in each shard of the registry.
    pub session_shards: Vec<usize>,
}
