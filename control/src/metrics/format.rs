//! The two formats in which metrics are told, and which of them a client wants.

use axum::http::header::HeaderValue;

/// How a scrape is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The text format of Prometheus, version 0.0.4: what everything reads, `promtool` included.
    Text,
    /// OpenMetrics 1.0, for those who ask for it, as Prometheus does since 2.5.
    OpenMetrics,
}

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";

impl Format {
    /// The format that a client prefers by its `Accept` (RFC 9110 section 12.5.1). OpenMetrics has
    /// to be named; a client that says nothing, or nothing that we have, gets text.
    pub(crate) fn negotiate<'a>(accept: impl Iterator<Item = &'a HeaderValue>) -> Self {
        let (mut open_metrics, mut text) = (0, 0);
        for value in accept.filter_map(|value| value.to_str().ok()) {
            for range in value.split(',') {
                let (media_type, weight) = weighted(range);
                if media_type.eq_ignore_ascii_case(OPEN_METRICS) {
                    open_metrics = open_metrics.max(weight);
                } else if media_type.eq_ignore_ascii_case(TEXT) {
                    text = text.max(weight);
                }
            }
        }
        if open_metrics > 0 && open_metrics >= text { Format::OpenMetrics } else { Format::Text }
    }

    /// The media type, with the version.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A media range without its parameters, and its weight in thousandths. A weight that is none
/// counts as the least.
fn weighted(range: &str) -> (&str, u32) {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    (media_type, weight.map_or(1000, thousandths))
}

/// `qvalue` of RFC 9110 section 12.4.2: `0` to `1` with up to three digits.
fn thousandths(weight: &str) -> u32 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    match (whole, format!("{fraction:0<3}").parse()) {
        ("0", Ok(thousandths)) if digits => thousandths,
        ("1", Ok(0)) if digits => 1000,
        _ => 0,
    }
}

/// What was written as OpenMetrics, in the text format: there a counter's family bears the name of
/// its sample, with `_total`, and there is no mark at the end.
///
/// Samples are written the same in both. Every family begins with its help and then its type.
pub(super) fn to_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 512);
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_negotiated(accept: &[&str], format: Format) {
        let values: Vec<HeaderValue> =
            accept.iter().map(|value| value.parse().expect("a header value")).collect();
        assert_eq!(Format::negotiate(values.iter()), format, "{accept:?}");
    }

    #[test]
    fn prometheus_gets_the_format_it_prefers() {
        let since_2_5 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
            */*;q=0.1";
        assert_negotiated(&[since_2_5], Format::OpenMetrics);
        let since_3_0 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,\
            */*;q=0.2";
        assert_negotiated(&[since_3_0], Format::OpenMetrics);
        let told_to_use_text = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;q=0.5";
        assert_negotiated(&[told_to_use_text], Format::Text);
    }

    #[test]
    fn who_does_not_ask_for_open_metrics_gets_text() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [&["*/*"][..], &[], &[browser], &["application/json"], &["", ",;q"]] {
            assert_negotiated(accept, Format::Text);
        }
        for refused in ["q=0", "q=0.000", "q=2", "q=-1", "q=0.1234", "q=x"] {
            assert_negotiated(&[&format!("application/openmetrics-text;{refused}")], Format::Text);
        }
    }

    #[test]
    fn a_list_may_be_spread_over_fields_and_written_in_capitals() {
        assert_negotiated(
            &["text/plain;q=0.2, */*", "Application/OpenMetrics-Text ; Q=0.3"],
            Format::OpenMetrics,
        );
    }

    #[test]
    fn as_text_a_counter_bears_the_name_of_its_sample() {
        let open_metrics = "# HELP a_seconds Time\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n\
            a_seconds 1.5\n# HELP b Bs\n# TYPE b counter\nb_total 7\n# TYPE c counter\n\
            c_total{x=\"# HELP\\n\"} 8\n# EOF\n";
        assert_eq!(
            to_text(open_metrics),
            "# HELP a_seconds Time\n# TYPE a_seconds gauge\na_seconds 1.5\n\
             # HELP b_total Bs\n# TYPE b_total counter\nb_total 7\n# TYPE c_total counter\n\
             c_total{x=\"# HELP\\n\"} 8\n"
        );
    }
}
