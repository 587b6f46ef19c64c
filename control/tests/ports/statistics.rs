//! `/stats` and `/metrics`.

use std::io::Write;
use std::process::{Command, Stdio};

use hioload::{Broadcast, Handle, Handler, HandlerError, Message, Outbox, Session};

use crate::scene::{client, get, in_namespace, start, stats, stats_when};
use crate::table;

#[test]
fn the_admin_interface_tells_of_ports_pools_flows_and_drops() {
    in_namespace("statistics::the_admin_interface_tells_of_ports_pools_flows_and_drops", || {
        let appliance = start(|_| Broadcast);
        let mut client = client();
        client.send("hello".into()).expect("it is read");
        assert_eq!(client.read().expect("it comes back").to_string(), "hello");

        let stats = stats_when(&appliance, |stats| stats["flows"]["open"] == 1);
        assert_eq!(stats["datapath"], "dpdk");
        let port = &stats["ports"][0];
        assert_eq!((&port["name"], &port["link"]["up"]), (&"net_tap0".into(), &true.into()));
        assert_eq!(port["mac"].as_str().map(str::len), Some(17), "{port:#}");
        assert_eq!(
            (&port["granted"]["mtu"], &port["granted"]["queue_pairs"]),
            (&1500.into(), &1.into())
        );
        assert!(port["counters"]["frames_in"].as_u64() > Some(0), "{port:#}");
        assert!(port["xstats"]["rx_good_packets"].as_u64() > Some(0), "{port:#}");

        let lcore = &stats["lcores"][0];
        assert_eq!(lcore["lcore"], 0);
        assert!(lcore["busy_share"].as_f64() > Some(0.0), "{lcore:#}");
        assert!(lcore["segments_in"].as_u64() > Some(2), "{lcore:#}");
        let queue = &lcore["queues"][0];
        assert_eq!((&queue["port"], &queue["queue"]), (&"net_tap0".into(), &0.into()));
        assert!(queue["frames_out"].as_u64() > Some(2), "{queue:#}");
        assert_eq!(queue["dropped_tx_full"], 0);
        assert_eq!((&stats["drops"]["checksum"], &lcore["drops"]["vlan"]), (&0.into(), &0.into()));

        let pools = stats["mempools"].as_array().expect("a list");
        let names: Vec<_> = pools.iter().map(|pool| pool["name"].as_str().unwrap_or("")).collect();
        assert_eq!(names, ["messages_0", "rx_0_0", "tx_0_0"]);
        // No message waits.
        assert_eq!(pools[0]["in_use"], 0);
        for pool in &pools[1..] {
            let (mbufs, in_use) = (pool["mbufs"].as_u64(), pool["in_use"].as_u64());
            assert!(Some(0) < in_use && in_use <= mbufs, "{pool:#}");
        }
        appliance.stop().expect("it ends");
    });
}

#[test]
fn the_metrics_are_those_that_are_documented() {
    in_namespace("statistics::the_metrics_are_those_that_are_documented", || {
        let appliance = start(|_| Broadcast);
        let _client = client();
        stats_when(&appliance, |stats| stats["flows"]["open"] == 1);

        let scrape = get(&appliance, "/metrics");

        for line in [
            "hioload_flows{lcore=\"0\",state=\"open\"} 1",
            "hioload_dropped_frames_total{lcore=\"0\",reason=\"checksum\"} 0",
            "hioload_port_link_up{port=\"net_tap0\"} 1",
            "hioload_queue_dropped_frames_total{port=\"net_tap0\",lcore=\"0\",reason=\"tx_full\"} 0",
        ] {
            assert!(scrape.lines().any(|there| there == line), "{line} in {scrape}");
        }
        let mut rows = table::rows(&scrape);
        let always: Vec<&str> = table::documented(table::always()).collect();
        rows.retain(|_, row| !always.contains(&row.as_str()));
        table::assert_documented(table::over_dpdk(), &rows);
        assert_eq!(promtool(&scrape), "");
        appliance.stop().expect("it ends");
    });
}

/// What `promtool`, which Prometheus brings for those who write exporters, says of a scrape.
fn promtool(scrape: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (prometheus) runs");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(scrape.as_bytes()).expect("it reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    format!("{}{}", String::from_utf8_lossy(&said), if output.status.success() { "" } else { "!" })
}

#[test]
fn an_appliance_that_has_stopped_has_no_ports() {
    in_namespace("statistics::an_appliance_that_has_stopped_has_no_ports", || {
        let appliance = start(|_| Broadcast);
        let handle = appliance.handle();
        assert!(handle.stats().dpdk.is_some_and(|it| it.ports.len() == 1 && it.lcores.len() == 1));
        // Somebody asks all the time.
        let asking = handle.clone();
        let asker = std::thread::spawn(move || {
            while asking.stats().dpdk.is_some() {}
            asking.state()
        });

        appliance.stop().expect("it ends");

        assert!(handle.stats().dpdk.is_none());
        assert_ne!(asker.join().expect("it ends"), hioload::State::Serving);
    });
}

/// Answers each message with whether it sees ports.
struct Curious(Handle);

impl Handler for Curious {
    fn on_message(
        &self,
        _: &Session,
        _: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        out.send(if self.0.stats().dpdk.is_some() { "ports" } else { "no ports" });
        Ok(())
    }
}

#[test]
fn an_lcore_does_not_ask_the_ports() {
    in_namespace("statistics::an_lcore_does_not_ask_the_ports", || {
        let appliance = start(Curious);
        let mut client = client();
        client.send("well?".into()).expect("it is read");
        assert_eq!(client.read().expect("it answers").to_string(), "no ports");
        assert_eq!(stats(&appliance)["ports"][0]["name"], "net_tap0");
        appliance.stop().expect("it ends");
    });
}
