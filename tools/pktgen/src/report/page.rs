//! The report as one page of HTML that needs nothing but itself.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::charts::{self, Axis, Chart};
use super::fields::{DISTRIBUTIONS, Field, GROUPS, STATISTICS, number};
use super::{Phase, Report};
use crate::host::Provenance;
use crate::latency::{Curve, Summary};
use crate::series::Point;

const STYLE: &str = include_str!("page.css");
/// No script, and nothing from elsewhere: whatever a target is called, it stays text.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
///
/// # Errors
/// What cannot be drawn.
pub(crate) fn render(report: &Report, provenance: &Provenance) -> Result<String, String> {
    let json = serde_json::to_value(report).map_err(|error| error.to_string())?;
    let title = format!("{} at {}", report.mode, report.target);
    let charts =
        charts_of(report).iter().map(Chart::render).collect::<Result<Vec<Markup>, String>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · hioload-pktgen" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.quiet { (provenance.date) " · " (provenance.host) }
                }
                main {
                    (verdict(report))
                    (chief(report))
                    @if !charts.is_empty() {
                        section { h2 { "Charts" } @for chart in &charts { (chart) } }
                    }
                    (phases(&report.phases))
                    (distributions(&json))
                    div.groups { @for group in GROUPS {
                        (fields(group.title, group.fields, &json))
                    } }
                    section {
                        h2 { "Command line" }
                        pre { code { (provenance.command) } }
                    }
                    (series(&report.series))
                }
                footer {
                    "Names in small letters are those of the JSON. What is not listed is a figure \
                     that this mode does not have, or that was not asked for."
                }
            }
        }
    };
    Ok(page.into_string())
}

fn verdict(report: &Report) -> Markup {
    let failed = report.verdict();
    html! {
        section.verdict.failed[failed.is_some()] {
            @match &failed {
                None => p { strong { "All checks passed: " } (report.all_is_well()) "." },
                Some(verdict) => p { strong { "Failed: " } (verdict) "." },
            }
            @if !report.examples.is_empty() {
                p { "The first offences:" }
                ul { @for example in &report.examples { li { (example) } } }
            }
        }
    }
}

/// What people look at first.
fn chief(report: &Report) -> Markup {
    let amount = |amount: f64| number(&Value::from(amount));
    let mut figures: Vec<(&str, String)> = Vec::new();
    if let Some(rate) = report.deliveries_per_s {
        figures.push(("deliveries a second", amount(rate)));
    }
    if let Some(rate) = report.connects_per_s {
        figures.push(("connects a second", amount(rate)));
    }
    let times = report.latency_us.or_else(|| report.connects_per_s.and(report.upgrade_us));
    if let Some(times) = times {
        figures.push(("median latency", charts::time(times.p50)));
        figures.push(("99 % within", charts::time(times.p99)));
        figures.push(("longest", charts::time(times.max)));
    }
    if let Some(ns) = report.server_cpu_ns_per_delivery {
        figures.push(("server CPU per delivery", charts::time(ns / 1e3)));
    }
    if let (None, Some(bytes)) = (report.deliveries, report.server_rss_bytes_per_connection) {
        figures.push(("server bytes per connection", amount(bytes)));
    }
    html! {
        @if !figures.is_empty() {
            section {
                h2 { "At a glance" }
                dl.chief { @for (name, figure) in figures {
                    div { dt { (name) } dd { (figure) } }
                } }
            }
        }
    }
}

fn charts_of(report: &Report) -> Vec<Chart> {
    let mut charts = Vec::new();
    charts.extend(latency_chart(&report.curves));
    if report.deliveries.is_some() {
        charts.extend(rate_chart(report, "deliveries", "Deliveries a second", |point| {
            point.deliveries_per_s
        }));
        if report.phases.is_some() {
            charts.extend(open_chart(report));
        }
    } else if report.connects_per_s.is_some() {
        charts.extend(rate_chart(report, "connects", "Connects a second", |point| {
            point.connects_per_s
        }));
    } else {
        charts.extend(open_chart(report));
    }
    charts
}

fn latency_chart(curves: &[Curve]) -> Option<Chart> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (min, max) = points()
        .fold((f64::MAX, 0.0_f64), |(min, max), point| (min.min(point.us), max.max(point.us)));
    let end = points().map(|point| point.nines).fold(0.0, f64::max);
    let first = curves.first()?;
    let names: Vec<&str> = curves.iter().map(|curve| curve.name).collect();
    Some(Chart {
        id: "latency",
        title: format!("Time of each {} by percentile", names.join(" and ")),
        description: format!(
            "From {} at the fastest to {} at the slowest; both axes are logarithmic.",
            charts::time(min),
            charts::time(max)
        ),
        x: Axis::of_percentiles("percentile", end),
        y: Axis::of_times("time", min, max),
        lines: curves
            .iter()
            .map(|curve| {
                let points = curve.points.iter().map(|point| (point.nines, point.us.log10()));
                (curve.name.to_owned(), points.collect())
            })
            .collect(),
        measured: None,
    })
    .filter(|_| !first.points.is_empty())
}

fn open_chart(report: &Report) -> Option<Chart> {
    #[expect(clippy::cast_precision_loss, reason = "a count of connections")]
    rate_chart(report, "open", "Open connections", |point| point.open as f64)
}

fn rate_chart(
    report: &Report,
    id: &'static str,
    title: &str,
    rate: impl Fn(&Point) -> f64,
) -> Option<Chart> {
    let points: Vec<(f64, f64)> =
        report.series.iter().map(|point| (point.at_s, rate(point))).collect();
    let (last_s, _) = *points.last()?;
    let max = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let measured = report.measured_from_s.map(|from| from..report.measured_to_s.unwrap_or(last_s));
    Some(Chart {
        id,
        title: format!("{title}, over time"),
        description: format!(
            "{} points over {} s, {} at the most{}.",
            points.len(),
            number(&Value::from(last_s)),
            number(&Value::from(max.round())),
            if measured.is_some() { "; the measured time has another background" } else { "" }
        ),
        x: Axis::up_to("seconds since the run began", last_s),
        y: Axis::from_zero("", max),
        lines: vec![(title.to_owned(), points)],
        measured: measured.map(|range| range.start.min(last_s)..range.end.min(last_s)),
    })
}

/// A row for each phase of a mix.
fn phases(phases: &Option<Vec<Phase>>) -> Markup {
    let rate = |rate: f64| number(&Value::from(rate));
    let count = |count: u64| number(&Value::from(count));
    let times = |phase: &Phase, part: fn(&Summary) -> f64| {
        phase.latency_us.as_ref().map_or("–".to_owned(), |times| charts::time(part(times)))
    };
    html! {
        @if let Some(phases) = phases {
            section {
                h2 { "Phases" }
                div.scroll tabindex="0" role="region" aria-label="Phases" {
                    table.numbers {
                        thead { tr {
                            th scope="col" { "phase" code { (name_of("phases")) } }
                            @for name in PHASE_COLUMNS { th scope="col" { (name) } }
                        } }
                        tbody { @for phase in phases { tr {
                            th scope="row" { (phase.name) }
                            td { (rate(phase.duration_s)) " s" }
                            td { (count(phase.messages)) }
                            td { (rate(phase.messages_per_s)) }
                            td { (count(phase.deliveries)) }
                            td { (rate(phase.deliveries_per_s)) }
                            td { (count(phase.connects)) }
                            td { (count(phase.churned)) }
                            td { (count(phase.open)) }
                            td { (times(phase, |times| times.p50)) }
                            td { (times(phase, |times| times.p99)) }
                            td { (times(phase, |times| times.max)) }
                        } } }
                    }
                }
            }
        }
    }
}

const PHASE_COLUMNS: [&str; 11] = [
    "duration",
    "messages",
    "a second",
    "deliveries",
    "a second",
    "connects",
    "closed for it",
    "open at its end",
    "median",
    "99 % within",
    "longest",
];

/// A column for each distribution, since a phone is higher than wide.
fn distributions(json: &Value) -> Markup {
    let present: Vec<(&str, &str)> =
        DISTRIBUTIONS.into_iter().filter(|(key, _)| json[key].is_object()).collect();
    html! {
        @if !present.is_empty() {
            section {
                h2 { "Times, in microseconds" }
                div.scroll tabindex="0" role="region" aria-label="Times, in microseconds" {
                    table.numbers {
                        thead { tr {
                            td {}
                            @for (key, name) in &present { th scope="col" { (name) code { (name_of(key)) } } }
                        } }
                        tbody { @for (key, name) in STATISTICS { tr {
                            th scope="row" { (name) }
                            @for (distribution, _) in &present {
                                td { (statistic(&json[distribution][key])) }
                            }
                        } } }
                    }
                }
                @if json["server_publish_to_write_us"].is_object() {
                    p.quiet { "Publish to write is what the server says, since its start." }
                }
            }
        }
    }
}

fn statistic(value: &Value) -> String {
    if value.is_null() { "–".to_owned() } else { number(value) }
}

fn fields(title: &str, fields: &[Field], json: &Value) -> Markup {
    let rows: Vec<(&Field, String)> =
        fields.iter().filter_map(|field| Some((field, field.show(&json[field.key])?))).collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { (title) }
                table.fields { tbody { @for (field, value) in rows { tr {
                    th scope="row" { (field.label) code { (name_of(field.key)) } }
                    td { (value) }
                } } } }
            }
        }
    }
}

/// The name of a field, which may be broken behind its words.
fn name_of(key: &str) -> Markup {
    html! { @for (at, word) in key.split('_').enumerate() {
        @if at > 0 { "_" wbr; } (word)
    } }
}

fn series(points: &[Point]) -> Markup {
    let rate = |rate: f64| number(&Value::from(rate.round()));
    html! {
        @if !points.is_empty() {
            section {
                details {
                    summary { "The run over time: " (points.len()) " points" }
                    div.scroll tabindex="0" role="region" aria-label="The run over time" {
                        table.numbers {
                            thead { tr {
                                th scope="col" { "seconds" }
                                th scope="col" { "messages a second" }
                                th scope="col" { "deliveries a second" }
                                th scope="col" { "connects a second" }
                                th scope="col" { "open" }
                            } }
                            tbody { @for point in points { tr {
                                th scope="row" { (format!("{:.1}", point.at_s)) }
                                td { (rate(point.messages_per_s)) }
                                td { (rate(point.deliveries_per_s)) }
                                td { (rate(point.connects_per_s)) }
                                td { (number(&Value::from(point.open))) }
                            } } }
                        }
                    }
                }
            }
        }
    }
}
