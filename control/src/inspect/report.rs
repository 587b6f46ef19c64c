//! Statistics for people: what there is, how much in all, how fast at present.

mod ports;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use hioload::config::AdminAddress;
use hioload::{MetricKind, Totals};
use serde::Deserialize;

use self::ports::Ports;

/// What `GET /stats` answers, as far as it is shown here. It may be of another version.
#[derive(Debug, Deserialize)]
pub(super) struct Sample {
    state: String,
    version: String,
    datapath: String,
    uptime_s: u64,
    probes: BTreeMap<String, u64>,
    totals: BTreeMap<String, u64>,
    workers: Vec<BTreeMap<String, u64>>,
    publish_to_write: Option<Latency>,
    #[serde(flatten)]
    ports: Ports,
}

#[derive(Debug, Deserialize)]
struct Latency {
    count: u64,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
}

/// Counters that are shown though they be zero, in this order, with the unit of their values; an
/// appliance of another version may not have all of them.
const ROWS: [(&str, Unit); 7] = [
    ("messages_received", Unit::Count),
    ("messages_published", Unit::Count),
    ("deliveries_due", Unit::Count),
    ("deliveries_sent", Unit::Count),
    ("bytes_received", Unit::Bytes),
    ("bytes_sent", Unit::Bytes),
    ("writes", Unit::Count),
];

const DROPPED: &str = "deliveries_dropped_";

/// Shown above the table, or of no use to people.
const ELSEWHERE: [&str; 5] = ["connections", "sessions_opened", "sessions_closed", "turns", BUSY];

/// Nanoseconds in which a worker had something to do.
const BUSY: &str = "busy_ns";

/// The probe that is the number of clients.
const ACTIVE_CLIENTS: &str = "active_clients";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Bytes,
}

/// What `after` says, and what happened in the time `between` it and `before`.
pub(super) fn report(
    address: &AdminAddress,
    before: &Sample,
    after: &Sample,
    between: Duration,
) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = head(&mut text, address, after);
    let _ = busy(&mut text, before, after, between);
    let _ = Table { before, after, between }.write(&mut text);
    let _ = ports::write(&mut text, &before.ports, &after.ports, between);
    let _ = latency(&mut text, after);
    let _ = probes(&mut text, after);
    text
}

fn head(text: &mut String, address: &AdminAddress, sample: &Sample) -> fmt::Result {
    let Sample { state, version, datapath, workers, .. } = sample;
    let total = |name: &str| sample.totals.get(name).copied().unwrap_or_default();
    let clients = sample.probes.get(ACTIVE_CLIENTS).copied().unwrap_or_default();
    let uptime = uptime(sample.uptime_s);
    writeln!(text, "hioload {} at {address}", version.escape_debug())?;
    writeln!(text, "{:<14}{} ({})", "state", state.escape_debug(), datapath.escape_debug())?;
    writeln!(text, "{:<14}{uptime}", "up")?;
    writeln!(text, "{:<14}{}", "workers", workers.len())?;
    let since = grouped(total("sessions_opened"));
    writeln!(text, "{:<14}{} now, {since} since the start", "clients", grouped(clients))?;
    writeln!(text, "{:<14}{} now", "connections", grouped(total("connections")))
}

/// The part of their time that the workers needed.
fn busy(text: &mut String, before: &Sample, after: &Sample, between: Duration) -> fmt::Result {
    let workers = after.workers.iter().zip(&before.workers);
    let busy: Vec<u64> = workers
        .filter_map(|(after, before)| Some(after.get(BUSY)?.saturating_sub(*before.get(BUSY)?)))
        .collect();
    let (count, sum) = (busy.len() as u64, busy.iter().sum::<u64>());
    match busy.iter().max() {
        Some(most) => {
            let (mean, most) = (percent(sum / count, between), percent(*most, between));
            writeln!(text, "{:<14}{mean} on average, {most} the busiest", "busy")
        }
        // It is of a version that does not tell.
        None => Ok(()),
    }
}

struct Table<'a> {
    before: &'a Sample,
    after: &'a Sample,
    between: Duration,
}

impl Table<'_> {
    fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "\n{:<28}{:>20}{:>16}", "", "in all", "per second")?;
        for (name, unit) in ROWS {
            if self.after.totals.contains_key(name) {
                self.counter(text, name, unit)?;
            }
        }
        self.dropped(text)?;
        self.others(text)
    }

    /// The drops, and each reason there is.
    fn dropped(&self, text: &mut String) -> fmt::Result {
        let reasons: Vec<&str> = self.names().filter(|name| name.starts_with(DROPPED)).collect();
        let sum = |sample: &Sample| {
            reasons.iter().filter_map(|name| sample.totals.get(*name)).sum::<u64>()
        };
        let rate = self.rate(sum(self.before), sum(self.after));
        self.row(text, "deliveries dropped", &grouped(sum(self.after)), &grouped(rate))?;
        for name in reasons {
            let reason = format!("  {}", spaced(name.trim_start_matches(DROPPED)));
            let (count, rate) = self.values(name);
            self.row(text, &reason, &grouped(count), &grouped(rate))?;
        }
        Ok(())
    }

    /// Whatever else is counted and has happened.
    fn others(&self, text: &mut String) -> fmt::Result {
        let gauges: Vec<&str> = Totals::default()
            .metrics()
            .iter()
            .filter(|metric| metric.kind == MetricKind::Gauge)
            .map(|metric| metric.name)
            .collect();
        let shown = |name: &str| {
            name.starts_with(DROPPED)
                || ELSEWHERE.contains(&name)
                || ROWS.iter().any(|(row, _)| *row == name)
        };
        let others = self.names().filter(|name| !shown(name) && self.values(name).0 > 0);
        for (index, name) in others.enumerate() {
            if index == 0 {
                writeln!(text)?;
            }
            let (count, rate) = self.values(name);
            let show = if name.split('_').any(|word| word == "bytes") { bytes } else { grouped };
            let rate = if gauges.contains(&name) { String::new() } else { show(rate) };
            self.row(text, &spaced(name), &show(count), &rate)?;
        }
        Ok(())
    }

    fn counter(&self, text: &mut String, name: &str, unit: Unit) -> fmt::Result {
        let (count, rate) = self.values(name);
        match unit {
            Unit::Count => self.row(text, &spaced(name), &grouped(count), &grouped(rate)),
            Unit::Bytes => self.row(text, &spaced(name), &bytes(count), &bytes(rate)),
        }
    }

    fn row(&self, text: &mut String, label: &str, count: &str, rate: &str) -> fmt::Result {
        let row = format!("{label:<28}{count:>20}{rate:>16}");
        writeln!(text, "{}", row.trim_end())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.after.totals.keys().map(String::as_str)
    }

    /// The count of `name` and how much of it comes in a second.
    fn values(&self, name: &str) -> (u64, u64) {
        let count = |sample: &Sample| sample.totals.get(name).copied().unwrap_or_default();
        (count(self.after), self.rate(count(self.before), count(self.after)))
    }

    fn rate(&self, before: u64, after: u64) -> u64 {
        Rate(self.between).of(before, after)
    }
}

/// How much comes in a second of this time.
#[derive(Clone, Copy)]
struct Rate(Duration);

impl Rate {
    /// Rounded; zero where another process has begun to count anew.
    fn of(self, before: u64, after: u64) -> u64 {
        let millis = self.0.as_millis().max(1);
        let scaled = u128::from(after.saturating_sub(before)) * 1000 + millis / 2;
        u64::try_from(scaled / millis).unwrap_or(u64::MAX)
    }
}

/// The part of a time that so many nanoseconds are: `12 %`.
fn percent(ns: u64, of: Duration) -> String {
    let share = u128::from(ns) * 100 / of.as_nanos().max(1);
    format!("{} %", share.min(100))
}

/// Since the start: a histogram cannot be read for a second alone.
fn latency(text: &mut String, sample: &Sample) -> fmt::Result {
    match &sample.publish_to_write {
        Some(Latency { count: 1.., p50_us, p99_us, max_us }) => {
            let [p50, p99, max] = [*p50_us, *p99_us, *max_us].map(micros);
            writeln!(
                text,
                "\nfrom publish to write since the start: p50 {p50}, p99 {p99}, max {max}"
            )
        }
        _ => Ok(()),
    }
}

/// Values of the embedder and of layers.
fn probes(text: &mut String, sample: &Sample) -> fmt::Result {
    let probes = sample.probes.iter().filter(|(name, _)| *name != ACTIVE_CLIENTS);
    for (index, (name, value)) in probes.enumerate() {
        if index == 0 {
            writeln!(text, "\nprobes")?;
        }
        let name = format!("  {}", name.escape_debug());
        writeln!(text, "{name:<28}{:>20}", grouped(*value))?;
    }
    Ok(())
}

fn spaced(name: &str) -> String {
    name.escape_debug().to_string().replace('_', " ")
}

/// Digits in groups of three: `12,345,678`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With one decimal of the largest unit that it fills: `1.2 GiB`.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["EiB", "PiB", "TiB", "GiB", "MiB", "KiB"];
    for (index, unit) in UNITS.iter().enumerate() {
        let size = 1_u128 << (60 - 10 * index);
        if u128::from(bytes) >= size {
            let tenths = u128::from(bytes) * 10 / size;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// In the largest unit that it fills, with three significant digits.
fn micros(micros: f64) -> String {
    let (value, unit) = match micros {
        1e6.. => (micros / 1e6, "s"),
        1e3.. => (micros / 1e3, "ms"),
        _ => (micros, "us"),
    };
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

/// The two largest units there are: `3 d 4 h`.
fn uptime(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{} d {} h", grouped(days), hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sent: u64, refusals: u64) -> Sample {
        let busy_ns = sent * 100_000;
        let text = format!(
            r#"{{"state":"serving","version":"1.2.3","datapath":"kernel","uptime_s":273906,
                "probes":{{"active_clients":1000,"rooms\u001b":7}},
                "totals":{{"connections":1002,"sessions_opened":1234,"messages_received":12,
                    "messages_published":12,"deliveries_due":1234567,"deliveries_sent":{sent},
                    "deliveries_dropped_backlog":17,"deliveries_dropped_closed":3,
                    "bytes_received":1023,"bytes_sent":1288490189,"writes":99,"turns":5,
                    "http_refusals":{refusals},"pong_timeouts":0}},
                "publish_to_write":{{"count":2,"p50_us":1.0,"p99_us":999.0,"max_us":1234567.8}},
                "workers":[{{"busy_ns":{busy_ns}}},{{"busy_ns":0}}],"session_shards":[0],"from_a_later_version":{{}}}}"#
        );
        serde_json::from_str(&text).expect("a sample")
    }

    #[test]
    fn a_report_says_how_much_and_how_fast() {
        let address = "127.0.0.1:9090".parse().expect("an address");
        let (before, after) = (sample(1_000_000, 4), sample(1_003_000, 4));
        let text = report(&address, &before, &after, Duration::from_millis(1500));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "hioload 1.2.3 at 127.0.0.1:9090",
                "state         serving (kernel)",
                "up            3 d 4 h",
                "workers       2",
                "clients       1,000 now, 1,234 since the start",
                "connections   1,002 now",
                "busy          10 % on average, 20 % the busiest",
                "",
                "                                          in all      per second",
                "messages received                             12               0",
                "messages published                            12               0",
                "deliveries due                         1,234,567               0",
                "deliveries sent                        1,003,000           2,000",
                "bytes received                            1023 B             0 B",
                "bytes sent                               1.2 GiB             0 B",
                "writes                                        99               0",
                "deliveries dropped                            20               0",
                "  backlog                                     17               0",
                "  closed                                       3               0",
                "",
                "http refusals                                  4               0",
                "",
                "from publish to write since the start: p50 1.00 us, p99 999 us, max 1.23 s",
                "",
                "probes",
                "  rooms\\u{1b}                                  7",
            ]
        );
    }

    #[test]
    fn a_process_that_has_begun_to_count_anew_has_no_negative_rate() {
        let address = "127.0.0.1:9090".parse().expect("an address");
        let text = report(&address, &sample(100, 0), &sample(5, 0), Duration::from_secs(1));
        let sent = text.lines().find(|line| line.starts_with("deliveries sent"));
        assert_eq!(sent, Some("deliveries sent                                5               0"));
    }

    #[test]
    fn times_are_in_their_two_largest_units() {
        for (seconds, text) in
            [(0, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000_000, "1,041 d 16 h")]
        {
            assert_eq!(uptime(seconds), text);
        }
    }

    #[test]
    fn sizes_and_counts_go_to_the_largest_there_are() {
        assert_eq!((bytes(u64::MAX), bytes(1024)), ("15.9 EiB".to_owned(), "1.0 KiB".to_owned()));
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!((grouped(999), grouped(1000)), ("999".to_owned(), "1,000".to_owned()));
    }
}
