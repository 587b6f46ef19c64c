//! What a run found out: as a table for people, or as one line of JSON.

mod charts;
mod fields;
mod file;
mod page;
mod text;

pub(crate) use file::ReportFile;
pub(crate) use page::render;

use serde::Serialize;

use crate::check::Offence;
use crate::hostile::{Findings, Hostility};
use crate::latency::{Curve, Latency, Summary};
use crate::outcome::{Outcome, SegmentCounts, Traffic};
use crate::plan::{Load, Plan};
use crate::run::StageCounts;
use crate::series::Point;
use crate::server::ServerFigures;

/// Names end in their unit. A field is `null` where the mode has no such figure. `README.md` of
/// this crate describes them one by one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    mode: &'static str,
    transport: &'static str,
    target: String,
    address: String,
    path: String,
    connections: usize,
    slow: usize,
    threads: usize,
    publishers: Option<usize>,
    size_bytes: Option<usize>,
    window: Option<u32>,
    rate_per_s: Option<f64>,
    measured_s: f64,
    measured_from_s: Option<f64>,
    measured_to_s: Option<f64>,
    messages: Option<u64>,
    messages_due: Option<u64>,
    messages_due_sent: Option<u64>,
    deliveries: Option<u64>,
    deliveries_per_s: Option<f64>,
    latency_us: Option<Summary>,
    connects: u64,
    connects_per_s: Option<f64>,
    tcp_connect_us: Option<Summary>,
    upgrade_us: Option<Summary>,
    client_cpu_s: Option<f64>,
    client_cpu_share: Option<f64>,
    client_cpu_ns_per_delivery: Option<f64>,
    client_busy_share: Option<f64>,
    client_busy_ns_per_delivery: Option<f64>,
    client_longest_pause_us: Option<f64>,
    server_pid: Option<u32>,
    server_cpu_s: Option<f64>,
    server_cpu_share: Option<f64>,
    server_cpu_ns_per_delivery: Option<f64>,
    server_cpu_us_per_connect: Option<f64>,
    server_rss_before_bytes: Option<u64>,
    server_rss_bytes: Option<u64>,
    server_rss_bytes_per_connection: Option<f64>,
    #[serde(flatten)]
    server: ServerFigures,
    pub(crate) ok: bool,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    damaged: u64,
    unexpected: u64,
    protocol_errors: u64,
    disconnected: u64,
    wrong_answers: u64,
    overstayed: u64,
    slow_disconnected: u64,
    seed: Option<u64>,
    hostile: Option<Findings>,
    thrown_out_after_us: Option<Summary>,
    whole_run: Traffic,
    segments: Option<SegmentCounts>,
    phases: Option<Vec<Phase>>,
    examples: Vec<String>,
    error: Option<String>,
    series: Vec<Point>,
    /// For the page: those of the distributions that the mode is about.
    #[serde(skip)]
    curves: Vec<Curve>,
}

/// A phase of a mix.
#[derive(Clone, Debug, Serialize)]
struct Phase {
    name: String,
    duration_s: f64,
    messages: u64,
    messages_per_s: f64,
    deliveries: u64,
    deliveries_per_s: f64,
    connects: u64,
    churned: u64,
    open: u64,
    latency_us: Option<Summary>,
}

/// What was counted while the run went on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measurement {
    pub(crate) seconds: f64,
    /// Deliveries, or connections in connect mode.
    pub(crate) measured: u64,
    pub(crate) published: u64,
    pub(crate) connects: u64,
    pub(crate) client_cpu_s: Option<f64>,
    /// Of it, that of turns with something to do; where the generator never waits for news.
    pub(crate) client_busy_s: Option<f64>,
    pub(crate) server: Option<ServerUse>,
    /// By the server's own account.
    pub(crate) figures: ServerFigures,
    /// Beginning and end in seconds since the run began.
    pub(crate) from_s: Option<f64>,
    pub(crate) to_s: Option<f64>,
    /// Of the whole run.
    pub(crate) series: Vec<Point>,
    /// Of a mix.
    pub(crate) stages: Vec<StageCounts>,
}

/// What the server took of its host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerUse {
    pub(crate) pid: u32,
    pub(crate) cpu_s: f64,
    /// Resident memory before the first connection, and at the end of the measurement.
    pub(crate) rss_before_bytes: u64,
    pub(crate) rss_bytes: u64,
    /// Connections that were open then.
    pub(crate) open: u64,
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    /// `failure`: what kept the run from being made, or from being ended.
    pub(crate) fn new(
        plan: &Plan,
        address: String,
        run: Measurement,
        outcome: Outcome,
        failure: Option<String>,
    ) -> Self {
        let per_s = |count: u64| if run.seconds > 0.0 { count as f64 / run.seconds } else { 0.0 };
        let share = |cpu_s: f64| (run.seconds > 0.0).then(|| cpu_s / run.seconds);
        let each = |amount: f64| (run.measured > 0).then(|| amount / run.measured as f64);
        let has_messages = plan.has_messages();
        let deliveries = has_messages.then_some(run.measured);
        let server_cpu_s = run.server.map(|server| server.cpu_s);
        let of_delivery = |cpu_s: f64| each(cpu_s * 1e9).filter(|_| has_messages);
        let of_connect = |cpu_s: f64| each(cpu_s * 1e6).filter(|_| plan.is_connect());
        let of_connection = |server: ServerUse| {
            let grown = server.rss_bytes as f64 - server.rss_before_bytes as f64;
            (server.open > 0).then(|| grown / server.open as f64)
        };
        let offences = outcome.offences;
        let mut curves = vec![outcome.delivery.curve("delivery")];
        if !has_messages {
            curves = vec![outcome.connect.curve("TCP connect"), outcome.upgrade.curve("upgrade")];
        }
        curves.retain(|curve| !curve.points.is_empty());
        Self {
            mode: plan.hostile.map_or(plan.scenario.name(), Hostility::name),
            transport: plan.link.name(),
            target: plan.target.clone(),
            address,
            path: plan.path.clone(),
            connections: plan.behaved(),
            slow: plan.slow(),
            threads: plan.threads,
            publishers: has_messages.then(|| plan.publishers()),
            size_bytes: plan.load().map(|_| plan.message_len()),
            window: plan.load().and_then(Load::window),
            rate_per_s: plan.load().and_then(Load::rate),
            measured_s: run.seconds,
            measured_from_s: run.from_s,
            measured_to_s: run.to_s,
            messages: has_messages.then_some(run.published),
            messages_due: outcome.kept.map(|kept| kept.due),
            messages_due_sent: outcome.kept.map(|kept| kept.sent),
            deliveries,
            deliveries_per_s: deliveries.map(per_s),
            latency_us: outcome.delivery.summary(),
            connects: if plan.is_connect() { run.measured } else { run.connects },
            connects_per_s: plan.is_connect().then(|| per_s(run.measured)),
            tcp_connect_us: outcome.connect.summary(),
            upgrade_us: outcome.upgrade.summary(),
            client_cpu_s: run.client_cpu_s,
            client_cpu_share: run.client_cpu_s.and_then(share),
            client_cpu_ns_per_delivery: run.client_cpu_s.and_then(of_delivery),
            client_busy_share: run.client_busy_s.and_then(share),
            client_busy_ns_per_delivery: run.client_busy_s.and_then(of_delivery),
            client_longest_pause_us: outcome.longest_pause.map(|pause| pause.as_secs_f64() * 1e6),
            server_pid: run.server.map(|server| server.pid),
            server_cpu_s,
            server_cpu_share: server_cpu_s.and_then(share),
            server_cpu_ns_per_delivery: server_cpu_s.and_then(of_delivery),
            server_cpu_us_per_connect: server_cpu_s.and_then(of_connect),
            server_rss_before_bytes: run.server.map(|server| server.rss_before_bytes),
            server_rss_bytes: run.server.map(|server| server.rss_bytes),
            server_rss_bytes_per_connection: run.server.and_then(of_connection),
            server: run.figures,
            ok: offences.total() == 0 && failure.is_none(),
            lost: offences.count(Offence::Lost),
            duplicated: offences.count(Offence::Duplicated),
            reordered: offences.count(Offence::Reordered),
            damaged: offences.count(Offence::Damaged),
            unexpected: offences.count(Offence::Unexpected),
            protocol_errors: offences.count(Offence::Protocol),
            disconnected: offences.count(Offence::Disconnected),
            wrong_answers: offences.count(Offence::WrongAnswer),
            overstayed: offences.count(Offence::Overstayed),
            slow_disconnected: outcome.slow_disconnected,
            seed: plan.hostile.and_then(Hostility::seed),
            thrown_out_after_us: outcome.hostile.as_ref().and_then(Findings::thrown_out_after),
            hostile: outcome.hostile,
            whole_run: outcome.traffic,
            segments: outcome.segments,
            phases: plan.mix.as_ref().map(|_| phases(&run.stages, &outcome.stages)),
            examples: offences.examples,
            error: failure,
            series: run.series,
            curves,
        }
    }

    /// What went wrong, in a line.
    pub(crate) fn verdict(&self) -> Option<String> {
        let mut parts: Vec<String> = self
            .offences()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        parts.extend(self.error.clone());
        (!self.ok).then(|| parts.join(", "))
    }

    /// What the checks that held have shown.
    fn all_is_well(&self) -> &'static str {
        match self.deliveries {
            Some(_) if self.phases.is_some() => {
                "every message once, in order and whole, while a client was connected"
            }
            Some(_) => "every message once, in order and whole",
            None => "all connections as they should be",
        }
    }

    /// The first offences, in words.
    pub(crate) fn examples(&self) -> &[String] {
        &self.examples
    }

    fn offences(&self) -> [(&'static str, u64); 9] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("damaged", self.damaged),
            ("unexpected", self.unexpected),
            ("protocol errors", self.protocol_errors),
            ("disconnected", self.disconnected),
            ("wrong answers", self.wrong_answers),
            ("overstayed", self.overstayed),
        ]
    }
}

/// The phases that were come to.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn phases(stages: &[StageCounts], latencies: &[Latency]) -> Vec<Phase> {
    let per_s = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let with_latency = stages.iter().zip(latencies);
    with_latency
        .map(|(stage, latency)| Phase {
            name: stage.name.clone(),
            duration_s: stage.seconds,
            messages: stage.messages,
            messages_per_s: per_s(stage.messages, stage.seconds),
            deliveries: stage.deliveries,
            deliveries_per_s: per_s(stage.deliveries, stage.seconds),
            connects: stage.connects,
            churned: stage.churned,
            open: stage.open,
            latency_us: latency.summary(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::fields::{DISTRIBUTIONS, GROUPS};
    use super::*;
    use crate::plan::Scenario;

    #[test]
    fn the_page_knows_every_field_of_the_json() {
        let (plan, run) = (Plan::of(Scenario::Idle, 1), Measurement::default());
        let report = Report::new(&plan, String::new(), run, Outcome::empty(), None);
        let json = serde_json::to_value(&report).expect("numbers and strings");
        let in_json: BTreeSet<&str> =
            json.as_object().expect("an object").keys().map(String::as_str).collect();
        let fields = GROUPS.iter().flat_map(|group| group.fields).map(|field| field.key);
        let known =
            fields.chain(DISTRIBUTIONS.map(|(key, _)| key)).chain(["examples", "phases", "series"]);
        assert_eq!(in_json, known.collect());
    }
}
