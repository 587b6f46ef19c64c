//! What an appliance counted while it was measured, by its own account.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What `/stats` says at a moment; `control/METRICS.md` describes the counters. Those that a
/// version does not have count as zero.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stats {
    version: String,
    datapath: String,
    totals: BTreeMap<String, u64>,
    workers: Vec<BTreeMap<String, u64>>,
    publish_to_write: PublishToWrite,
    /// Over DPDK: frames that were dropped, by reason.
    drops: Option<BTreeMap<String, u64>>,
    /// Over DPDK.
    mempools: Option<Vec<Mempool>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct PublishToWrite {
    count: u64,
    mean_us: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// A pool of mbufs, those that are out, and all.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Mempool {
    pub(crate) name: String,
    pub(crate) in_use: u64,
    pub(crate) mbufs: u64,
}

/// Microseconds since the start of the server, from the publication of a message to its last byte
/// being taken by the transport.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct WriteTimes {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// What an appliance said at a moment of ours.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) at: Instant,
    pub(crate) stats: Stats,
}

/// The difference of two readings. Without `--admin` all of it is `None`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ServerFigures {
    pub(crate) server_admin: Option<String>,
    pub(crate) server_version: Option<String>,
    pub(crate) server_datapath: Option<String>,
    /// Of each worker or lcore: the part of the time in which it had something to do.
    pub(crate) server_busy_share: Option<Vec<f64>>,
    pub(crate) server_busy_s: Option<f64>,
    pub(crate) server_busy_ns_per_delivery: Option<f64>,
    pub(crate) server_busy_us_per_session: Option<f64>,
    pub(crate) server_messages_received: Option<u64>,
    pub(crate) server_messages_published: Option<u64>,
    pub(crate) server_deliveries_due: Option<u64>,
    pub(crate) server_deliveries_sent: Option<u64>,
    pub(crate) server_deliveries_dropped: Option<BTreeMap<String, u64>>,
    pub(crate) server_frames_dropped: Option<BTreeMap<String, u64>>,
    pub(crate) server_bytes_received: Option<u64>,
    pub(crate) server_bytes_sent: Option<u64>,
    pub(crate) server_sessions_opened: Option<u64>,
    pub(crate) server_sessions_closed: Option<u64>,
    /// At the end.
    pub(crate) server_sessions_open: Option<u64>,
    pub(crate) server_backlog_messages: Option<u64>,
    pub(crate) server_backlog_bytes: Option<u64>,
    pub(crate) server_mempools: Option<Vec<Mempool>>,
    pub(crate) server_publish_to_write_us: Option<WriteTimes>,
}

impl ServerFigures {
    /// What happened between two readings. `is_connect`: sessions are what the server works for.
    ///
    /// # Errors
    /// That the counters went back: another process answers than before.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(crate) fn between(
        admin: &str,
        from: &Reading,
        to: &Reading,
        is_connect: bool,
    ) -> Result<Self, String> {
        let restarted = || format!("--admin {admin}: the server was restarted meanwhile");
        let grown = |name: &str| {
            let (before, after) = (from.stats.total(name), to.stats.total(name));
            after.checked_sub(before).ok_or_else(restarted)
        };
        let seconds = (to.at - from.at).as_secs_f64();
        if from.stats.workers.len() != to.stats.workers.len() {
            return Err(restarted());
        }
        let workers = from.stats.workers.iter().zip(&to.stats.workers);
        let busy_ns: Vec<u64> = workers
            .map(|(from, to)| busy_ns(to).checked_sub(busy_ns(from)).ok_or_else(restarted))
            .collect::<Result<_, String>>()?;
        let total_ns = busy_ns.iter().sum::<u64>() as f64;
        let share = |ns: &u64| if seconds > 0.0 { *ns as f64 / 1e9 / seconds } else { 0.0 };
        let (sent, opened) = (grown("deliveries_sent")?, grown("sessions_opened")?);
        let sums = &to.stats.totals;
        let dropped = sums.keys().filter_map(|name| {
            let reason = name.strip_prefix("deliveries_dropped_")?;
            Some(grown(name).map(|count| (reason.to_owned(), count)))
        });
        Ok(Self {
            server_admin: Some(admin.to_owned()),
            server_version: Some(to.stats.version.clone()),
            server_datapath: Some(to.stats.datapath.clone()),
            server_busy_share: Some(busy_ns.iter().map(share).collect()),
            server_busy_s: Some(total_ns / 1e9),
            server_busy_ns_per_delivery: (sent > 0).then(|| total_ns / sent as f64),
            server_busy_us_per_session: (is_connect && opened > 0)
                .then(|| total_ns / 1e3 / opened as f64),
            server_messages_received: Some(grown("messages_received")?),
            server_messages_published: Some(grown("messages_published")?),
            server_deliveries_due: Some(grown("deliveries_due")?),
            server_deliveries_sent: Some(sent),
            server_deliveries_dropped: Some(dropped.collect::<Result<_, String>>()?),
            server_frames_dropped: to.stats.drops.as_ref().map(|drops| {
                let before = from.stats.drops.as_ref();
                let before = |name| before.and_then(|drops| drops.get(name)).copied().unwrap_or(0);
                drops
                    .iter()
                    .map(|(name, n)| (name.clone(), n.saturating_sub(before(name))))
                    .collect()
            }),
            server_bytes_received: Some(grown("bytes_received")?),
            server_bytes_sent: Some(grown("bytes_sent")?),
            server_sessions_opened: Some(opened),
            server_sessions_closed: Some(grown("sessions_closed")?),
            // It counts no open ones; of those that were opened, some were closed.
            server_sessions_open: Some(
                to.stats.total("sessions_opened").saturating_sub(to.stats.total("sessions_closed")),
            ),
            server_backlog_messages: Some(to.stats.total("backlog_messages")),
            server_backlog_bytes: Some(to.stats.total("backlog_bytes")),
            server_mempools: to.stats.mempools.clone(),
            server_publish_to_write_us: Some(to.stats.publish_to_write.into()),
        })
    }
}

impl ServerFigures {
    /// What a person wants to see of it, by name.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if let (Some(version), Some(datapath)) = (&self.server_version, &self.server_datapath) {
            rows.push(("server says", format!("hioload {version} over {datapath}")));
        }
        if let Some(shares) = &self.server_busy_share {
            let shares: Vec<String> =
                shares.iter().map(|share| format!("{:.0}", share * 100.0)).collect();
            rows.push(("  workers busy", format!("{} % of the time", shares.join(", "))));
        }
        if let Some(ns) = self.server_busy_ns_per_delivery {
            rows.push(("  busy per delivery", format!("{ns:.0} ns")));
        }
        if let Some(us) = self.server_busy_us_per_session {
            rows.push(("  busy per session", format!("{us:.1} us")));
        }
        if let (Some(received), Some(published)) =
            (self.server_messages_received, self.server_messages_published)
        {
            rows.push(("  messages", format!("{received} received, {published} published")));
        }
        if let (Some(due), Some(sent)) = (self.server_deliveries_due, self.server_deliveries_sent) {
            rows.push(("  deliveries", format!("{sent} sent of {due} due")));
        }
        for (name, dropped) in [
            ("  deliveries dropped", &self.server_deliveries_dropped),
            ("  frames dropped", &self.server_frames_dropped),
        ] {
            if let Some(dropped) = dropped {
                rows.push((name, reasons(dropped)));
            }
        }
        if let (Some(open), Some(opened), Some(closed)) =
            (self.server_sessions_open, self.server_sessions_opened, self.server_sessions_closed)
        {
            rows.push(("  sessions", format!("{open} open ({opened} opened, {closed} closed)")));
        }
        if let (Some(messages), Some(bytes)) =
            (self.server_backlog_messages, self.server_backlog_bytes)
        {
            rows.push(("  backlog", format!("{messages} messages, {bytes} bytes")));
        }
        for pool in self.server_mempools.iter().flatten() {
            rows.push((
                "  pool",
                format!("{}: {} of {} mbufs", pool.name, pool.in_use, pool.mbufs),
            ));
        }
        if let Some(times) = self.server_publish_to_write_us {
            let WriteTimes { p50, p99, p999, max, .. } = times;
            rows.push((
                "  publish to write",
                format!(
                    "p50 {p50:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1} us (since its start)"
                ),
            ));
        }
        rows
    }
}

/// Counts that are not zero, by reason.
fn reasons(counts: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

fn busy_ns(worker: &BTreeMap<String, u64>) -> u64 {
    worker.get("busy_ns").copied().unwrap_or(0)
}

impl Stats {
    fn total(&self, name: &str) -> u64 {
        self.totals.get(name).copied().unwrap_or(0)
    }
}

impl From<PublishToWrite> for WriteTimes {
    fn from(times: PublishToWrite) -> Self {
        let PublishToWrite { count, mean_us, p50_us, p99_us, p999_us, max_us } = times;
        Self { count, mean: mean_us, p50: p50_us, p99: p99_us, p999: p999_us, max: max_us }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What an appliance with two workers says, with these counts.
    fn stats(busy_ns: [u64; 2], sent: u64) -> Stats {
        let text = format!(
            r#"{{"version": "1.2.3", "datapath": "dpdk", "unknown": {{}},
                "totals": {{"deliveries_sent": {sent}, "sessions_opened": 7,
                            "sessions_closed": 2, "deliveries_dropped_backlog": 3}},
                "workers": [{{"busy_ns": {}}}, {{"busy_ns": {}}}],
                "drops": {{"checksum": {sent}}},
                "mempools": [{{"name": "rx_0_0", "node": null, "mbufs": 4095, "in_use": 1024}}],
                "publish_to_write": {{"count": 1, "mean_us": 2.0, "p50_us": 2.5, "p99_us": 3.0,
                                      "p999_us": 3.5, "max_us": 4.0}}}}"#,
            busy_ns[0], busy_ns[1]
        );
        serde_json::from_str(&text).expect("an answer")
    }

    fn between(from: Stats, to: Stats) -> Result<ServerFigures, String> {
        let at = Instant::now();
        let from = Reading { at, stats: from };
        let to = Reading { at: at + Duration::from_secs(2), stats: to };
        ServerFigures::between("host:9090", &from, &to, false)
    }

    #[test]
    fn figures_are_what_was_counted_between_two_readings() {
        let figures =
            between(stats([5, 7], 100), stats([1_000_000_005, 7], 600)).expect("they fit");
        assert_eq!(figures.server_busy_share, Some(vec![0.5, 0.0]));
        assert_eq!(figures.server_busy_ns_per_delivery, Some(2_000_000.0));
        assert_eq!(figures.server_deliveries_sent, Some(500));
        assert_eq!(figures.server_sessions_open, Some(5));
        let dropped = figures.server_deliveries_dropped.expect("it says");
        assert_eq!(dropped.get("backlog"), Some(&0), "they were dropped before");
        assert_eq!(figures.server_frames_dropped.expect("it says").get("checksum"), Some(&500));
        assert_eq!(figures.server_busy_us_per_session, None);
    }

    #[test]
    fn a_server_that_was_restarted_has_no_figures() {
        let error = between(stats([5, 7], 100), stats([9, 9], 99)).expect_err("it counts anew");
        assert_eq!(error, "--admin host:9090: the server was restarted meanwhile");
        assert!(between(stats([5, 7], 1), stats([5, 6], 1)).is_err());
    }
}
