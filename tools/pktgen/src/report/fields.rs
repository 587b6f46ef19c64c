//! What each field of the JSON is called for people, in groups, and how its value reads.

use serde_json::Value;

/// A field of the JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    unit: Unit,
}

/// Fields that belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) fields: &'static [Field],
}

/// What a number is a number of.
#[derive(Clone, Copy, Debug)]
enum Unit {
    None,
    /// It is no amount.
    Id,
    PerSecond,
    Seconds,
    Nanoseconds,
    Microseconds,
    Bytes,
    /// Of a core, or of a worker's time.
    Share,
}

const fn field(key: &'static str, label: &'static str, unit: Unit) -> Field {
    Field { key, label, unit }
}

/// All fields that have one value, but for [`DISTRIBUTIONS`], the examples and the series.
pub(crate) const GROUPS: [Group; 6] = [
    Group {
        title: "What was run",
        fields: &[
            field("mode", "Mode", Unit::None),
            field("transport", "Transport", Unit::None),
            field("target", "Target", Unit::None),
            field("address", "Its address", Unit::None),
            field("path", "Path", Unit::None),
            field("connections", "Connections", Unit::None),
            field("slow", "Of these, slow", Unit::None),
            field("threads", "Threads", Unit::None),
            field("publishers", "Publishers", Unit::None),
            field("size_bytes", "Size of a message", Unit::Bytes),
            field("window", "Window of a publisher", Unit::None),
            field("rate_per_s", "Planned rate", Unit::PerSecond),
        ],
    },
    Group {
        title: "What was measured",
        fields: &[
            field("measured_s", "Length of the measurement", Unit::Seconds),
            field("measured_from_s", "Began after", Unit::Seconds),
            field("measured_to_s", "Ended after", Unit::Seconds),
            field("messages", "Messages published", Unit::None),
            field("messages_due", "Messages due by the schedule", Unit::None),
            field("messages_due_sent", "Of these, sent", Unit::None),
            field("deliveries", "Deliveries", Unit::None),
            field("deliveries_per_s", "Rate of deliveries", Unit::PerSecond),
            field("connects", "Upgrades completed", Unit::None),
            field("connects_per_s", "Rate of connects", Unit::PerSecond),
            field("whole_run", "Of the whole run", Unit::None),
        ],
    },
    Group {
        title: "Checks",
        fields: &[
            field("ok", "All checks held", Unit::None),
            field("lost", "Messages lost", Unit::None),
            field("duplicated", "Messages duplicated", Unit::None),
            field("reordered", "Messages out of order", Unit::None),
            field("damaged", "Messages damaged", Unit::None),
            field("unexpected", "Messages of nobody", Unit::None),
            field("protocol_errors", "Breaches of RFC 6455", Unit::None),
            field("disconnected", "Connections ended or refused", Unit::None),
            field("wrong_answers", "Bad input answered wrongly", Unit::None),
            field("overstayed", "Hostile connections not ended", Unit::None),
            field("slow_disconnected", "Slow connections ended", Unit::None),
            field("seed", "Seed of what was bad", Unit::Id),
            field("hostile", "Hostile clients", Unit::None),
            field("error", "Given up because", Unit::None),
        ],
    },
    Group {
        title: "The server as its host sees it",
        fields: &[
            field("server_pid", "Process", Unit::Id),
            field("server_cpu_s", "CPU time", Unit::Seconds),
            field("server_cpu_share", "CPU", Unit::Share),
            field("server_cpu_ns_per_delivery", "CPU time per delivery", Unit::Nanoseconds),
            field("server_cpu_us_per_connect", "CPU time per connect", Unit::Microseconds),
            field("server_rss_before_bytes", "Memory before", Unit::Bytes),
            field("server_rss_bytes", "Memory at the end", Unit::Bytes),
            field("server_rss_bytes_per_connection", "Memory per connection", Unit::Bytes),
        ],
    },
    Group {
        title: "The server by its own account",
        fields: &[
            field("server_admin", "Asked at", Unit::None),
            field("server_version", "Version", Unit::None),
            field("server_datapath", "Data path", Unit::None),
            field("server_busy_share", "Workers busy, by worker", Unit::Share),
            field("server_busy_s", "Workers busy, all together", Unit::Seconds),
            field("server_busy_ns_per_delivery", "Busy per delivery", Unit::Nanoseconds),
            field("server_busy_us_per_session", "Busy per session", Unit::Microseconds),
            field("server_messages_received", "Messages received", Unit::None),
            field("server_messages_published", "Messages published", Unit::None),
            field("server_deliveries_due", "Deliveries due", Unit::None),
            field("server_deliveries_sent", "Deliveries sent", Unit::None),
            field("server_deliveries_dropped", "Deliveries dropped", Unit::None),
            field("server_frames_dropped", "Frames dropped", Unit::None),
            field("server_bytes_received", "Received", Unit::Bytes),
            field("server_bytes_sent", "Sent", Unit::Bytes),
            field("server_sessions_opened", "Sessions opened", Unit::None),
            field("server_sessions_closed", "Sessions closed", Unit::None),
            field("server_sessions_open", "Sessions open at the end", Unit::None),
            field("server_backlog_messages", "Messages waiting at the end", Unit::None),
            field("server_backlog_bytes", "Memory of these", Unit::Bytes),
            field("server_mempools", "Pools: mbufs in use", Unit::None),
        ],
    },
    Group {
        title: "This program",
        fields: &[
            field("client_cpu_s", "CPU time", Unit::Seconds),
            field("client_cpu_share", "CPU", Unit::Share),
            field("client_cpu_ns_per_delivery", "CPU time per delivery", Unit::Nanoseconds),
            field("client_busy_share", "busy", Unit::Share),
            field("client_busy_ns_per_delivery", "busy per delivery", Unit::Nanoseconds),
            field("client_longest_pause_us", "Longest pause of its loop", Unit::Microseconds),
            field("segments", "Segments of its TCP", Unit::None),
        ],
    },
];

/// Fields that are distributions of times in microseconds, and their names.
pub(crate) const DISTRIBUTIONS: [(&str, &str); 5] = [
    ("latency_us", "Delivery"),
    ("tcp_connect_us", "TCP connect"),
    ("upgrade_us", "Upgrade"),
    ("thrown_out_after_us", "Thrown out after"),
    ("server_publish_to_write_us", "Publish to write"),
];

/// What a distribution consists of, and the names of it.
pub(crate) const STATISTICS: [(&str, &str); 8] = [
    ("count", "count"),
    ("min", "minimum"),
    ("mean", "mean"),
    ("p50", "50 %"),
    ("p90", "90 %"),
    ("p99", "99 %"),
    ("p999", "99.9 %"),
    ("max", "maximum"),
];

impl Field {
    /// The value as a person reads it. `None` where the mode has no such figure.
    pub(crate) fn show(&self, value: &Value) -> Option<String> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::String(text) => text.clone(),
            Value::Number(_) => self.unit.of(value),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().filter_map(|item| self.show(item)).collect();
                items.join(", ")
            }
            // Of a pool, or counts by reason.
            Value::Object(object) => match (object.get("name"), object.get("in_use")) {
                (Some(Value::String(name)), Some(in_use)) => {
                    let all = number(object.get("mbufs").unwrap_or(&Value::Null));
                    format!("{name} {} of {all}", number(in_use))
                }
                _ => {
                    let is_some = |count: &Value| count.is_number() && count.as_u64() != Some(0);
                    let counts = object.iter().filter(|(_, count)| is_some(count));
                    let counts: Vec<String> = counts
                        .map(|(name, count)| {
                            format!("{} {}", number(count), name.replace('_', " "))
                        })
                        .collect();
                    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
                }
            },
        })
    }
}

impl Unit {
    fn of(self, value: &Value) -> String {
        match self {
            Unit::None => number(value),
            Unit::Id => value.to_string(),
            Unit::PerSecond => format!("{} a second", number(value)),
            Unit::Seconds => format!("{:.3} s", value.as_f64().unwrap_or(0.0)),
            Unit::Nanoseconds => format!("{} ns", number(value)),
            Unit::Microseconds => format!("{} µs", number(value)),
            Unit::Bytes => format!("{} bytes", number(value)),
            Unit::Share => format!("{:.1} %", value.as_f64().unwrap_or(0.0) * 100.0),
        }
    }
}

/// A number with its thousands set apart, and with a decimal if it is small and has any.
pub(crate) fn number(value: &Value) -> String {
    let Some(count) = value.as_u64() else {
        let amount = value.as_f64().unwrap_or(0.0);
        let digits = if amount.abs() < 1000.0 { 1 } else { 0 };
        let text = format!("{amount:.digits$}");
        let (whole, decimals) = match text.split_once('.') {
            Some((whole, decimals)) => (whole, format!(".{decimals}")),
            None => (&*text, String::new()),
        };
        return thousands(whole) + &decimals;
    };
    thousands(&count.to_string())
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (value, text) in [
            (json!(0), "0"),
            (json!(999), "999"),
            (json!(1_234_567), "1,234,567"),
            (json!(12.345), "12.3"),
            (json!(-1234.5), "-1,234"),
            (json!(1_000_000.4), "1,000,000"),
        ] {
            assert_eq!(number(&value), text);
        }
    }

    #[test]
    fn values_have_their_units() {
        let show = |unit, value| field("key", "label", unit).show(&value);
        assert_eq!(show(Unit::Share, json!([0.5, 0.0])).as_deref(), Some("50.0 %, 0.0 %"));
        assert_eq!(show(Unit::None, json!({"a": 0, "b": 1200})).as_deref(), Some("1,200 b"));
        assert_eq!(show(Unit::None, json!({"a": 0})).as_deref(), Some("none"));
        let pools = json!([{"name": "rx_0_0", "in_use": 1024, "mbufs": 4095}]);
        assert_eq!(show(Unit::None, pools).as_deref(), Some("rx_0_0 1,024 of 4,095"));
        assert_eq!(show(Unit::Bytes, json!(null)), None);
    }
}
