//! What `/stats` says of ports, where there are some: links, flows, drops.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use serde::Deserialize;

use super::{Rate, bytes, grouped, spaced};

/// The part of an answer that an appliance on ports of DPDK gives. Empty elsewhere.
#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Ports {
    ports: Vec<Port>,
    mempools: Vec<Mempool>,
    flows: BTreeMap<String, u64>,
    drops: BTreeMap<String, u64>,
    segments_handed_over: u64,
    lcores: Vec<Lcore>,
}

#[derive(Debug, Deserialize)]
struct Port {
    name: String,
    link: Link,
    counters: Option<BTreeMap<String, u64>>,
}

#[derive(Debug, Deserialize)]
struct Link {
    up: bool,
    mbps: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Mempool {
    name: String,
    mbufs: u64,
    in_use: u64,
}

#[derive(Debug, Deserialize)]
struct Lcore {
    lcore: u64,
    busy_ns: u64,
    queues: Vec<BTreeMap<String, serde_json::Value>>,
}

/// Counters of a port that are shown though they be zero; of the others, those that count losses.
const PORT_ROWS: [&str; 4] = ["frames_in", "bytes_in", "frames_out", "bytes_out"];

/// Losses between an lcore and its ports.
const QUEUE_DROPS: [&str; 3] = ["dropped_tx_full", "dropped_invalid", "no_memory"];

/// Prints the ports of `after`, if there are any, and what happened in the time `between` it and
/// `before`.
pub(super) fn write(
    text: &mut String,
    before: &Ports,
    after: &Ports,
    between: Duration,
) -> fmt::Result {
    if after.ports.is_empty() {
        return Ok(());
    }
    let rate = Rate(between);
    for port in &after.ports {
        let earlier = before.ports.iter().find(|earlier| earlier.name == port.name);
        port.write(text, earlier, rate)?;
    }
    after.write_flows(text)?;
    after.write_drops(text, before, rate)?;
    after.write_lcores(text, before, between)?;
    after.write_mempools(text)
}

impl Port {
    fn write(&self, text: &mut String, before: Option<&Self>, rate: Rate) -> fmt::Result {
        let link = match self.link {
            Link { up: false, .. } => "no link".to_owned(),
            Link { up: true, mbps: None } => "link up".to_owned(),
            Link { up: true, mbps: Some(mbps) } => format!("link up, {} Mbit/s", grouped(mbps)),
        };
        writeln!(text, "\nport {}: {link}", self.name.escape_debug())?;
        let Some(counters) = &self.counters else {
            return writeln!(text, "  its driver does not count");
        };
        let earlier = |name: &str| {
            before.and_then(|port| port.counters.as_ref()?.get(name).copied()).unwrap_or_default()
        };
        let losses = counters
            .iter()
            .filter(|(name, count)| **count > 0 && !PORT_ROWS.contains(&name.as_str()));
        let shown = PORT_ROWS.iter().filter_map(|name| counters.get_key_value(*name));
        for (name, count) in shown.chain(losses) {
            let show = if name.starts_with("bytes") { bytes } else { grouped };
            let per_second = rate.of(earlier(name), *count);
            row(text, &spaced(name), &show(*count), &show(per_second))?;
        }
        Ok(())
    }
}

impl Ports {
    fn write_flows(&self, text: &mut String) -> fmt::Result {
        let states =
            self.flows.iter().map(|(name, count)| format!("{} {}", grouped(*count), spaced(name)));
        writeln!(text, "\n{:<14}{}", "flows", states.collect::<Vec<_>>().join(", "))
    }

    /// What was lost and passed on, where something was.
    fn write_drops(&self, text: &mut String, before: &Self, rate: Rate) -> fmt::Result {
        let sum: u64 = self.drops.values().sum();
        row(
            text,
            "frames dropped",
            &grouped(sum),
            &grouped(rate.of(before.drops.values().sum(), sum)),
        )?;
        for (reason, count) in self.drops.iter().filter(|(_, count)| **count > 0) {
            let earlier = before.drops.get(reason).copied().unwrap_or_default();
            let label = format!("  {}", spaced(reason));
            row(text, &label, &grouped(*count), &grouped(rate.of(earlier, *count)))?;
        }
        for name in QUEUE_DROPS {
            let (earlier, count) = (before.queues(name), self.queues(name));
            if count > 0 {
                let label = format!("queues {}", spaced(name));
                row(text, &label, &grouped(count), &grouped(rate.of(earlier, count)))?;
            }
        }
        let (earlier, count) = (before.segments_handed_over, self.segments_handed_over);
        if count > 0 {
            row(text, "segments handed over", &grouped(count), &grouped(rate.of(earlier, count)))?;
        }
        Ok(())
    }

    /// The sum over all queue pairs.
    fn queues(&self, name: &str) -> u64 {
        let queues = self.lcores.iter().flat_map(|lcore| &lcore.queues);
        queues.filter_map(|queue| queue.get(name)?.as_u64()).sum()
    }

    /// How much of its time each lcore needed.
    fn write_lcores(&self, text: &mut String, before: &Self, between: Duration) -> fmt::Result {
        let shares = self.lcores.iter().map(|lcore| {
            let mut earlier = before.lcores.iter().filter(|there| there.lcore == lcore.lcore);
            let earlier = earlier.next().map_or(0, |earlier| earlier.busy_ns);
            let share = super::percent(lcore.busy_ns.saturating_sub(earlier), between);
            format!("{}: {share}", lcore.lcore)
        });
        writeln!(text, "{:<14}{}", "lcores busy", shares.collect::<Vec<_>>().join(", "))
    }

    fn write_mempools(&self, text: &mut String) -> fmt::Result {
        for Mempool { name, mbufs, in_use } in &self.mempools {
            let name = format!("mempool {}", name.escape_debug());
            writeln!(text, "{name:<28}{:>20} of {}", grouped(*in_use), grouped(*mbufs))?;
        }
        Ok(())
    }
}

fn row(text: &mut String, label: &str, count: &str, rate: &str) -> fmt::Result {
    let row = format!("{label:<28}{count:>20}{rate:>16}");
    writeln!(text, "{}", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(frames: u64, vlan: u64, busy_ns: u64, tx_full: u64) -> Ports {
        let text = format!(
            r#"{{"ports":[
                {{"name":"net_tap0","mac":null,"link":{{"up":true,"mbps":10000,"ups":1}},
                    "counters":{{"frames_in":{frames},"bytes_in":2048,"frames_out":7,
                        "bytes_out":700,"missed":3,"errors_in":0}},"xstats":{{}}}},
                {{"name":"net_null0","link":{{"up":false,"mbps":null}},"counters":null}}],
                "mempools":[{{"name":"rx_0_0","node":null,"mbufs":4095,"in_use":1024}}],
                "flows":{{"half_open":1,"open":1234,"time_wait":0}},
                "drops":{{"vlan":{vlan},"checksum":0}},"segments_handed_over":0,
                "lcores":[{{"lcore":3,"busy_ns":{busy_ns},"busy_share":0.1,
                    "queues":[{{"port":"net_tap0","dropped_tx_full":{tx_full}}}]}}]}}"#
        );
        serde_json::from_str(&text).expect("an answer")
    }

    #[test]
    fn ports_flows_drops_and_pools_are_shown_where_there_are_some() {
        let (before, after) = (ports(1000, 0, 0, 0), ports(3000, 4, 250_000_000, 5));
        let mut text = String::new();
        write(&mut text, &before, &after, Duration::from_secs(1)).expect("it is a string");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "",
                "port net_tap0: link up, 10,000 Mbit/s",
                "frames in                                  3,000           2,000",
                "bytes in                                 2.0 KiB             0 B",
                "frames out                                     7               0",
                "bytes out                                  700 B             0 B",
                "missed                                         3               0",
                "",
                "port net_null0: no link",
                "  its driver does not count",
                "",
                "flows         1 half open, 1,234 open, 0 time wait",
                "frames dropped                                 4               4",
                "  vlan                                         4               4",
                "queues dropped tx full                         5               5",
                "lcores busy   3: 25 %",
                "mempool rx_0_0                             1,024 of 4,095",
            ]
        );
    }

    #[test]
    fn where_there_are_no_ports_nothing_is_said() {
        let none: Ports = serde_json::from_str("{}").expect("an answer");
        let mut text = String::new();
        write(&mut text, &none, &none, Duration::from_secs(1)).expect("it is a string");
        assert_eq!(text, "");
    }
}
