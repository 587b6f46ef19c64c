//! The report as a table for a terminal.

use std::fmt;

use super::{Phase, Report};
use crate::hostile::Findings;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, target, connections, threads, slow, .. } = self;
        let thread_s = if *threads == 1 { "thread" } else { "threads" };
        write!(f, "{mode} at {target}: {connections} connections on {threads} {thread_s}")?;
        if *slow > 0 {
            write!(f, ", {slow} of them slow ({} disconnected)", self.slow_disconnected)?;
        }
        writeln!(f)?;
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<26}{value}");
        row("measured", format!("{:.2} s", self.measured_s))?;
        if let (Some(messages), Some(deliveries), Some(rate)) =
            (self.messages, self.deliveries, self.deliveries_per_s)
        {
            row("messages", messages.to_string())?;
            if let (Some(due), Some(sent)) = (self.messages_due, self.messages_due_sent) {
                row("  due", format!("{due}, {sent} of them sent"))?;
            }
            row("deliveries", format!("{deliveries}, {rate:.0} a second"))?;
        }
        let connects = self.connects;
        row(
            "connects",
            match self.connects_per_s {
                Some(rate) => format!("{connects}, {rate:.0} a second"),
                None => connects.to_string(),
            },
        )?;
        for (name, summary) in [
            ("latency", &self.latency_us),
            ("TCP connect", &self.tcp_connect_us),
            ("upgrade", &self.upgrade_us),
        ] {
            if let Some(summary) = summary {
                row(name, summary.to_string())?;
            }
        }
        for (name, value) in [
            ("server CPU", self.server_cpu_share.map(percent)),
            (
                "server CPU per delivery",
                self.server_cpu_ns_per_delivery.map(|ns| format!("{ns:.0} ns")),
            ),
            (
                "server CPU per connect",
                self.server_cpu_us_per_connect.map(|us| format!("{us:.1} us")),
            ),
            ("server memory", self.server_rss_bytes.map(|bytes| format!("{} KiB", bytes / 1024))),
            (
                "  per connection",
                self.server_rss_bytes_per_connection.map(|bytes| format!("{bytes:.0} bytes")),
            ),
            ("client CPU", self.client_cpu_share.map(percent)),
            (
                "client CPU per delivery",
                self.client_cpu_ns_per_delivery.map(|ns| format!("{ns:.0} ns")),
            ),
            (
                "client busy",
                self.client_busy_share.map(|share| format!("{:.0} % of the time", share * 100.0)),
            ),
            (
                "client busy per delivery",
                self.client_busy_ns_per_delivery.map(|ns| format!("{ns:.0} ns")),
            ),
            (
                "client's longest pause",
                self.client_longest_pause_us.map(|us| format!("{us:.0} us")),
            ),
        ] {
            if let Some(value) = value {
                row(name, value)?;
            }
        }
        for (name, value) in self.server.rows() {
            row(name, value)?;
        }
        if let Some(seed) = self.seed {
            row("seed", seed.to_string())?;
        }
        for (name, value) in self.hostile.iter().flat_map(Findings::rows) {
            row(name, value)?;
        }
        if let Some(after) = &self.thrown_out_after_us {
            row("  after", after.to_string())?;
        }
        row("whole run", self.whole_run.to_string())?;
        if let Some(segments) = &self.segments {
            row("segments", segments.to_string())?;
        }
        for phase in self.phases.iter().flatten() {
            row(&format!("phase {}", phase.name), phase.to_string())?;
        }
        let verdict = self.verdict().map(|verdict| format!("FAILED: {verdict}"));
        row("checks", verdict.unwrap_or_else(|| self.all_is_well().to_owned()))?;
        self.examples.iter().try_for_each(|example| row("", example.clone()))
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} % of a core", share * 100.0)
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages_per_s, deliveries_per_s, connects, churned, open, .. } = self;
        write!(f, "{messages_per_s:.0} messages and {deliveries_per_s:.0} deliveries a second, ")?;
        write!(f, "{connects} connects ({churned} closed for it), {open} open at the end")?;
        self.latency_us.map_or(Ok(()), |latency| write!(f, ", {latency}"))
    }
}
