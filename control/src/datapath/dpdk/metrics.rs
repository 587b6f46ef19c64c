//! The same as metrics. `METRICS.md` documents every name.

use std::time::Duration;

use hioload_engine::MetricKind::{self, Counter, Gauge};

use super::stats::{DpdkStats, LcoreStats, MempoolStats, PortCounterStats, PortStats, QueueStats};
use crate::metrics::{Family, Value};

/// Name, meaning, kind, and where the value is found.
type Row<T> = (&'static str, &'static str, MetricKind, fn(&T) -> u64);

const PORTS: [Row<PortStats>; 6] = [
    ("port_link_up", "1 while the port has a link", Gauge, |port| port.link.up.into()),
    ("port_link_ups", "Times that the link of the port came up", Counter, |port| port.link.ups),
    ("port_queues", "Queue pairs of the port, one for each of its lcores", Gauge, |port| {
        port.granted.queue_pairs.into()
    }),
    (
        "port_rx_descriptors",
        "Frames that a receive queue of the port has room for",
        Gauge,
        |port| port.granted.rx_descriptors.into(),
    ),
    ("port_tx_descriptors", "Frames that a send queue of the port has room for", Gauge, |port| {
        port.granted.tx_descriptors.into()
    }),
    ("port_mtu_bytes", "Bytes of the longest IP packet that the port carries", Gauge, |port| {
        port.granted.mtu.into()
    }),
];

const PORT_COUNTERS: [Row<PortCounterStats>; 8] = [
    ("port_frames_received", "Frames that came to the port", Counter, |it| it.frames_in),
    ("port_bytes_received", "Bytes of frames that came to the port", Counter, |it| it.bytes_in),
    ("port_frames_sent", "Frames that the port sent", Counter, |it| it.frames_out),
    ("port_bytes_sent", "Bytes of frames that the port sent", Counter, |it| it.bytes_out),
    ("port_missed_frames", "Frames lost because no lcore fetched them in time", Counter, |it| {
        it.missed
    }),
    ("port_receive_errors", "Frames that came to the port broken", Counter, |it| it.errors_in),
    ("port_send_errors", "Frames that the port could not send", Counter, |it| it.errors_out),
    ("port_no_mbuf", "Times that the pool of a receive queue was empty", Counter, |it| it.no_mbuf),
];

const QUEUES: [Row<QueueStats>; 6] = [
    ("queue_frames_received", "Frames that the lcore took from its queue", Counter, |queue| {
        queue.frames_in
    }),
    ("queue_bytes_received", "Bytes of frames taken from the queue", Counter, |queue| {
        queue.bytes_in
    }),
    ("queue_bursts_received", "Bursts that the lcore took from its queue", Counter, |queue| {
        queue.bursts_in
    }),
    ("queue_frames_sent", "Frames that the port took from the lcore", Counter, |queue| {
        queue.frames_out
    }),
    ("queue_bytes_sent", "Bytes of frames that the port took from the lcore", Counter, |queue| {
        queue.bytes_out
    }),
    ("queue_bursts_sent", "Bursts of which the port took a frame at least", Counter, |queue| {
        queue.bursts_out
    }),
];

const LCORES: [Row<LcoreStats>; 8] = [
    ("segments_received", "TCP segments that came with right checksums", Counter, |lcore| {
        lcore.segments_in
    }),
    ("segments_taken", "TCP segments that a connection has taken", Counter, |lcore| {
        lcore.segments_taken
    }),
    ("segments_sent", "TCP segments that were sent, resets included", Counter, |lcore| {
        lcore.segments_out
    }),
    (
        "segments_handed_over",
        "TCP segments passed on to the next lcore, which may know their connection",
        Counter,
        |lcore| lcore.segments_handed_over,
    ),
    (
        "resets_sent",
        "Resets sent for segments of no connection, or of one that is refused",
        Counter,
        |lcore| lcore.resets_out,
    ),
    ("half_open_evicted", "Half-open connections that made room for a new one", Counter, |lcore| {
        lcore.half_open_evicted
    }),
    (
        "half_open_expired",
        "Half-open connections that were not acknowledged in time",
        Counter,
        |lcore| lcore.half_open_expired,
    ),
    ("closing_expired", "Connections that did not end in time and were reset", Counter, |lcore| {
        lcore.closing_expired
    }),
];

const MEMPOOLS: [Row<MempoolStats>; 2] = [
    ("mempool_mbufs", "Mbufs that the pool has in all", Gauge, |pool| pool.mbufs.into()),
    (
        "mempool_mbufs_in_use",
        "Mbufs of the pool that are with an lcore or in the ring of a port",
        Gauge,
        |pool| pool.in_use.into(),
    ),
];

impl DpdkStats {
    /// Every family, whether it has samples or not.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut families = ports(self);
        families.extend(queues(self));
        families.extend(lcores(self));
        families.extend(mempools(self));
        families
    }
}

fn mempools(stats: &DpdkStats) -> impl Iterator<Item = Family> {
    MEMPOOLS.into_iter().map(|(name, help, kind, value)| {
        let mut family = Family::new(name, help, kind);
        for pool in &stats.mempools {
            let node = pool.node.map(|node| node.to_string());
            let labels = [("pool", pool.name.as_str()), ("node", node.as_deref().unwrap_or(""))];
            family.push(&labels[..1 + usize::from(node.is_some())], Value::Count(value(pool)));
        }
        family
    })
}

fn ports(stats: &DpdkStats) -> Vec<Family> {
    let mut info = Family::new("port_info", "Which port it is, by its address", Gauge);
    let mut speed = Family::new(
        "port_link_speed_bytes_per_second",
        "Speed of the link of the port, where it is known",
        Gauge,
    );
    let mut offloads = Family::new("port_offload", "1 for what is left to the port", Gauge);
    let mut extended = Family::new(
        "port_xstat",
        "All that the driver of the port counts, by its own names",
        Gauge,
    );
    for port in &stats.ports {
        let label = ("port", port.name.as_str());
        info.push(&[label, ("mac", port.mac.as_deref().unwrap_or(""))], Value::Count(1));
        if let Some(mbps) = port.link.mbps {
            speed.push(&[label], Value::Count(u64::from(mbps) * 1_000_000 / 8));
        }
        for offload in &port.granted.offloads {
            offloads.push(&[label, ("offload", offload)], Value::Count(1));
        }
        for (name, value) in &port.xstats {
            extended.push(&[label, ("name", name)], Value::Count(*value));
        }
    }
    let mut families = vec![info, speed, offloads, extended];
    for (name, help, kind, value) in PORTS {
        let mut family = Family::new(name, help, kind);
        for port in &stats.ports {
            family.push(&[("port", &port.name)], Value::Count(value(port)));
        }
        families.push(family);
    }
    for (name, help, kind, value) in PORT_COUNTERS {
        let mut family = Family::new(name, help, kind);
        for port in &stats.ports {
            if let Some(counters) = &port.counters {
                family.push(&[("port", &port.name)], Value::Count(value(counters)));
            }
        }
        families.push(family);
    }
    families
}

fn queues(stats: &DpdkStats) -> Vec<Family> {
    let queues = || {
        let of = |lcore: &'_ LcoreStats| lcore.lcore.to_string();
        stats
            .lcores
            .iter()
            .flat_map(move |lcore| lcore.queues.iter().map(move |queue| (of(lcore), queue)))
    };
    let mut families: Vec<Family> = Vec::new();
    for (name, help, kind, value) in QUEUES {
        let mut family = Family::new(name, help, kind);
        for (lcore, queue) in queues() {
            family.push(&[("port", &queue.port), ("lcore", &lcore)], Value::Count(value(queue)));
        }
        families.push(family);
    }
    let help =
        "Frames that an lcore could not send, or that came in a form it cannot take, by reason";
    let mut dropped = Family::new("queue_dropped_frames", help, Counter);
    for (lcore, queue) in queues() {
        for (reason, count) in [
            ("tx_full", queue.dropped_tx_full),
            ("invalid", queue.dropped_invalid),
            ("no_memory", queue.no_memory),
        ] {
            let labels = [("port", queue.port.as_str()), ("lcore", &lcore), ("reason", reason)];
            dropped.push(&labels, Value::Count(count));
        }
    }
    families.push(dropped);
    families
}

fn lcores(stats: &DpdkStats) -> Vec<Family> {
    let help = "Time in which the lcore had something to do";
    let mut busy = Family::new("lcore_busy_seconds", help, Counter);
    let mut flows = Family::new("flows", "TCP connections by state", Gauge);
    let help = "Frames and packets that came and were dropped, by reason";
    let mut dropped = Family::new("dropped_frames", help, Counter);
    for lcore in &stats.lcores {
        let name = lcore.lcore.to_string();
        let label = ("lcore", name.as_str());
        busy.push(&[label], Value::Time(Duration::from_nanos(lcore.busy_ns)));
        for (state, count) in [
            ("half_open", lcore.flows.half_open),
            ("open", lcore.flows.open),
            ("time_wait", lcore.flows.time_wait),
        ] {
            flows.push(&[label, ("state", state)], Value::Count(count));
        }
        for (reason, count) in &lcore.drops {
            dropped.push(&[label, ("reason", reason)], Value::Count(*count));
        }
    }
    let mut families = vec![busy, flows, dropped];
    for (name, help, kind, value) in LCORES {
        let mut family = Family::new(name, help, kind);
        for lcore in &stats.lcores {
            family.push(&[("lcore", &lcore.lcore.to_string())], Value::Count(value(lcore)));
        }
        families.push(family);
    }
    families
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hioload_engine::Latencies;
    use hioload_net::{DropReason, PortCounters, StackCounters};

    use super::super::stats::{GrantedStats, LinkStats};
    use super::*;
    use crate::metrics::{Format, Snapshot};

    /// A port that tells all, one that tells nothing, and two lcores.
    fn made_up() -> DpdkStats {
        let granted = |offloads| GrantedStats {
            queue_pairs: 2,
            mtu: 1500,
            rx_descriptors: 1024,
            tx_descriptors: 512,
            offloads,
            rss: true,
        };
        let counters = PortCounterStats {
            frames_in: 1,
            bytes_in: 2,
            frames_out: 3,
            bytes_out: 4,
            missed: 5,
            errors_in: 6,
            errors_out: 7,
            no_mbuf: 8,
        };
        let port = |name: &str, link, offloads, counters, xstats| PortStats {
            name: name.to_owned(),
            mac: Some("02:00:00:00:00:01".to_owned()),
            link,
            granted: granted(offloads),
            counters,
            xstats,
        };
        let up = LinkStats { up: true, mbps: Some(10_000), ups: 1 };
        let down = LinkStats { up: false, mbps: None, ups: 0 };
        let xstats = BTreeMap::from([("rx_q0\"errors".to_owned(), 9)]);
        let pool = |name: &str, node| MempoolStats {
            name: name.to_owned(),
            node,
            mbufs: 4095,
            in_use: 1024,
        };
        let lcore = |lcore, open| {
            let mut stack = StackCounters { open, handed_over: 3, ..Default::default() };
            stack.dropped[DropReason::Vlan as usize] = open;
            let queue = PortCounters { frames_in: 11, dropped_tx_full: 12, ..Default::default() };
            let queues = vec![QueueStats::new("net_tap0".to_owned(), 0, &queue)];
            LcoreStats::new(lcore, (1_250_000_000, 10_000_000_000), &stack, queues)
        };
        DpdkStats::new(
            vec![
                port("net_tap0", up, vec!["tx_tcp_checksum"], Some(counters), xstats),
                port("net_null0", down, Vec::new(), None, BTreeMap::new()),
            ],
            vec![pool("rx_0_0", Some(1)), pool("tx_0_0", None)],
            vec![lcore(3, 100), lcore(5, 20)],
        )
    }

    #[test]
    fn every_value_is_a_sample_of_its_port_lcore_or_pool() {
        let text = Snapshot {
            version: "1.2.3",
            datapath: "dpdk",
            uptime_s: 10.0,
            serving: true,
            active_clients: 0,
            sessions_max: None,
            totals: Vec::new(),
            latencies: Latencies::default(),
            probes: BTreeMap::new(),
            families: made_up().families(),
        };
        let text = text.render(Format::Text).expect("it is a string");
        for line in [
            "hioload_port_info{port=\"net_tap0\",mac=\"02:00:00:00:00:01\"} 1",
            "hioload_port_link_up{port=\"net_null0\"} 0",
            "hioload_port_link_speed_bytes_per_second{port=\"net_tap0\"} 1250000000",
            "hioload_port_offload{port=\"net_tap0\",offload=\"tx_tcp_checksum\"} 1",
            "hioload_port_xstat{port=\"net_tap0\",name=\"rx_q0\\\"errors\"} 9",
            "# TYPE hioload_port_missed_frames_total counter",
            "hioload_port_missed_frames_total{port=\"net_tap0\"} 5",
            "hioload_queue_frames_received_total{port=\"net_tap0\",lcore=\"5\"} 11",
            "hioload_queue_dropped_frames_total{port=\"net_tap0\",lcore=\"3\",reason=\"tx_full\"} 12",
            "hioload_lcore_busy_seconds_total{lcore=\"3\"} 1.25",
            "hioload_flows{lcore=\"5\",state=\"open\"} 20",
            "hioload_dropped_frames_total{lcore=\"3\",reason=\"vlan\"} 100",
            "hioload_segments_handed_over_total{lcore=\"3\"} 3",
            "hioload_mempool_mbufs_in_use{pool=\"rx_0_0\",node=\"1\"} 1024",
            "hioload_mempool_mbufs{pool=\"tx_0_0\"} 4095",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} in {text}");
        }
        // What a driver does not tell is left out, and is not zero.
        assert!(!text.contains("hioload_port_missed_frames_total{port=\"net_null0\"}"), "{text}");
        assert!(!text.contains("bytes_per_second{port=\"net_null0\"}"), "{text}");
    }

    #[test]
    fn lcores_are_summed_and_their_time_is_a_share() {
        let json = serde_json::to_value(made_up()).expect("JSON");
        assert_eq!(json["flows"]["open"], 120);
        assert_eq!(json["drops"]["vlan"], 120);
        assert_eq!(json["segments_handed_over"], 6);
        assert_eq!(json["lcores"][0]["busy_share"], 0.125);
        assert_eq!(json["lcores"][1]["queues"][0]["dropped_tx_full"], 12);
        assert_eq!(json["ports"][1]["counters"], serde_json::Value::Null);
    }
}
