//! What `METRICS.md` says, compared with a scrape.

use std::collections::{BTreeMap, BTreeSet};

const DOCUMENTED: &str = include_str!("../../METRICS.md");

const OVER_DPDK: &str = "\n## Over DPDK\n";

/// What is said of metrics that every appliance exports.
pub(crate) fn always() -> &'static str {
    DOCUMENTED.split_once(OVER_DPDK).expect("it has this section").0
}

/// What is said of those that there are beside these while DPDK serves.
pub(crate) fn over_dpdk() -> &'static str {
    DOCUMENTED.split_once(OVER_DPDK).expect("it has this section").1
}

/// The rows of the table in a text.
pub(crate) fn documented(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with("| `hioload_"))
}

/// Fails, and says what to change, unless the table in a text has these rows.
#[track_caller]
pub(crate) fn assert_documented(text: &str, exported: &BTreeMap<&str, String>) {
    let documented: BTreeSet<&str> = documented(text).collect();
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

/// The table that documents a scrape: rows by name.
pub(crate) fn rows(scrape: &str) -> BTreeMap<&str, String> {
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
