//! What Prometheus scrapes, and what `METRICS.md` says of it.

use std::net::SocketAddr;

use crate::client::{Answer, connect, exchange, get, request};
use crate::scene::{Scene, build};
use crate::table;

/// An appliance with a probe and a limit, so that it exports all it can.
fn scene() -> Scene {
    let limit = "limits.sessions_max = 9";
    let appliance = build("127.0.0.1:0", limit).probe("rooms", || 7).start().expect("it starts");
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
            "hioload_sessions_max 9",
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

#[test]
fn the_table_in_the_documentation_is_what_is_exported() {
    let scrape = get(scene().admin(), "/metrics").body;
    table::assert_documented(table::always(), &table::rows(&scrape));
}

#[test]
fn the_tables_are_in_order_without_repetition() {
    for documented in [table::always(), table::over_dpdk()] {
        let names: Vec<&str> =
            table::documented(documented).filter_map(|row| row.split('`').nth(1)).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:#?}");
    }
}
