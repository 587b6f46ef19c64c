//! What Prometheus scrapes, and what `METRICS.md` says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::client::{Answer, connect, exchange, get, request};
use crate::scene::{Scene, build};

/// An appliance with one client and one probe, so that it exports all it can.
fn scene() -> Scene {
    let appliance = build("127.0.0.1:0", "").probe("rooms", || 7).start().expect("it starts");
    Scene { appliance }
}

fn scrape_as(admin: SocketAddr, accept: &str) -> Answer {
    let headers = format!("Accept: {accept}\r\n");
    exchange(connect(admin), &request(admin, "GET /metrics", &headers, b""))
}

#[test]
fn who_asks_for_nothing_gets_the_text_format() {
    let scene = scene();
    let _client = scene.client();
    for answer in [get(scene.admin(), "/metrics"), scrape_as(scene.admin(), "*/*")] {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert_eq!(answer.header("vary"), Some("Accept"));
        for line in [
            "# TYPE hioload_sessions_opened_total counter",
            "hioload_sessions_opened_total 1",
            "hioload_active_clients 1",
            "hioload_serving 1",
            "hioload_probe{name=\"rooms\"} 7",
        ] {
            assert!(answer.body.lines().any(|there| there == line), "{line} in {}", answer.body);
        }
        assert!(!answer.body.contains("# EOF"), "{}", answer.body);
    }
}

#[test]
fn who_asks_for_open_metrics_gets_it() {
    let scene = scene();
    let _client = scene.client();
    let answer = scrape_as(scene.admin(), "application/openmetrics-text;version=1.0.0");
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
    for line in
        ["# TYPE hioload_sessions_opened counter", "hioload_sessions_opened_total 1", "# EOF"]
    {
        assert!(answer.body.lines().any(|there| there == line), "{line} in {}", answer.body);
    }
}

const DOCUMENTED: &str = include_str!("../../METRICS.md");

#[test]
fn the_table_in_the_documentation_is_what_is_exported() {
    let scrape = get(scene().admin(), "/metrics").body;
    let exported = rows(&scrape);
    let documented: BTreeSet<&str> =
        DOCUMENTED.lines().filter(|line| line.starts_with("| `hioload_")).collect();

    let lines = |rows: Vec<&str>| rows.iter().map(|row| format!("  {row}\n")).collect::<String>();
    let expected: BTreeSet<&str> = exported.values().map(String::as_str).collect();
    let missing = lines(expected.difference(&documented).copied().collect());
    let stale = lines(documented.difference(&expected).copied().collect());
    let table = lines(exported.values().map(String::as_str).collect());
    assert!(
        missing.is_empty() && stale.is_empty(),
        "control/METRICS.md is not what is exported.\nAdd:\n{missing}Remove:\n{stale}\
         The whole table as it should be:\n{table}"
    );
}

#[test]
fn the_table_is_in_order_without_repetition() {
    let rows = DOCUMENTED.lines().filter(|line| line.starts_with("| `hioload_"));
    let names: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:#?}");
}

/// The table that documents a scrape: rows by name.
fn rows(scrape: &str) -> BTreeMap<&str, String> {
    let mut help = BTreeMap::new();
    let mut rows = BTreeMap::new();
    for line in scrape.lines() {
        if let Some((name, text)) = comment(line, "# HELP ") {
            help.insert(name, text);
        } else if let Some((name, kind)) = comment(line, "# TYPE ") {
            let (unit, text) = (unit(name), help[name]);
            rows.insert(name, format!("| `{name}` | {kind} | {unit} | {text} |"));
        } else {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let suffixes = ["_bucket", "_sum", "_count"];
            let family = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            let known = rows.contains_key(name) || family.is_some_and(|it| rows.contains_key(it));
            assert!(known, "a sample without a family: {line}");
        }
    }
    rows
}

fn comment<'a>(line: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(mark)?.split_once(' ')
}

/// The unit of a metric is a word of its name; what only counts has none.
fn unit(name: &str) -> &'static str {
    let has = |word: &str| name.split('_').any(|there| there == word);
    match (has("seconds"), has("bytes")) {
        (true, _) => "seconds",
        (_, true) => "bytes",
        _ => "",
    }
}
