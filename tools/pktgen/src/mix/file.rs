//! Reads a scenario file: TOML in, a checked scenario or the place of a fault out.

use std::fmt::Display;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::{Mix, MixPhase, Sizes};
use crate::cli;
use crate::message::HEADER_BYTES;
use crate::plan::{CLIENTS_MAX, Load, SEQUENCES_MAX};

const PHASES_MAX: usize = 64;
const SIZE_MAX: i64 = 16 << 20;
const CONNECTIONS_MAX: i64 = 1_000_000;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    connections: Spanned<i64>,
    #[serde(default)]
    phase: Vec<Spanned<RawPhase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPhase {
    name: Spanned<String>,
    duration: Spanned<String>,
    connections: Option<Spanned<i64>>,
    publishers: Option<Spanned<i64>>,
    rate: Option<Spanned<f64>>,
    window: Option<Spanned<i64>>,
    size: Option<Spanned<Value>>,
    churn: Option<Spanned<f64>>,
    slow: Option<Spanned<i64>>,
    slow_pause: Option<Spanned<String>>,
}

/// A scenario from a file.
///
/// # Errors
/// What is wrong with it, by file, line and key.
pub(crate) fn load(path: &Path) -> Result<Mix, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|fault| fault.at(path, &text))
}

/// Something that is wrong at a place.
struct Fault {
    place: Range<usize>,
    message: String,
}

impl Fault {
    fn new(place: Range<usize>, key: &str, message: impl Display) -> Self {
        Self { place, message: format!("{key}: {message}") }
    }

    fn at(self, path: &Path, text: &str) -> String {
        let before = text.get(..self.place.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        format!("{}:{line}: {}", path.display(), self.message)
    }
}

fn parse(text: &str) -> Result<Mix, Fault> {
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let place = error.span().unwrap_or(0..0);
        // Of a value of the wrong type it says no more than that.
        let message = match key_before(text, place.start) {
            Some(key) if error.message().starts_with("invalid type") => {
                format!("{key}: {}", error.message())
            }
            _ => error.message().to_owned(),
        };
        Fault { place, message }
    })?;
    let connections = count(&raw.connections, "connections", 1..=CONNECTIONS_MAX)?;
    if raw.phase.is_empty() || raw.phase.len() > PHASES_MAX {
        let message = format!("expected 1 to {PHASES_MAX} tables [[phase]]");
        return Err(Fault::new(0..0, "phase", message));
    }
    let mut mix = Mix { connections, phases: Vec::with_capacity(raw.phase.len()) };
    for (number, phase) in raw.phase.iter().enumerate() {
        let before = mix.phases.last().map_or(connections, |phase| phase.connections);
        let phase = read_phase(&format!("phase[{number}]"), phase.get_ref(), before)?;
        mix.phases.push(phase);
    }
    // Publishers never leave, and all of them are known to be there when the first one speaks.
    for (number, phase) in mix.phases.iter().enumerate() {
        let raw = raw.phase[number].get_ref();
        let place = raw.publishers.as_ref().map_or(0..0, Spanned::span);
        let key = format!("phase[{number}].publishers");
        if phase.publishers > connections {
            let message = format!(
                "{} are more than the {connections} connections before the first phase",
                phase.publishers
            );
            return Err(Fault::new(place, &key, message));
        }
        let publishers = mix.publishers();
        if phase.connections < publishers {
            let place = raw.connections.as_ref().map_or(0..0, Spanned::span);
            let message = format!("fewer than the {publishers} publishers, which stay throughout");
            return Err(Fault::new(place, &format!("phase[{number}].connections"), message));
        }
    }
    too_many(&mix, &raw).map_or(Ok(mix), Err)
}

/// The key of the line whose value begins at a place.
fn key_before(text: &str, place: usize) -> Option<&str> {
    let line = text.get(..place)?.lines().next_back()?;
    line.split_once('=').map(|(key, _)| key.trim())
}

/// What no run has memory for.
fn too_many(mix: &Mix, raw: &Raw) -> Option<Fault> {
    let clients = mix.readers() + mix.slow();
    let at = |phase: usize, key: &str, message: String| {
        Fault::new(raw.phase[phase].span(), &format!("phase[{phase}].{key}"), message)
    };
    let first = |is_it: &dyn Fn(&MixPhase) -> bool| mix.phases.iter().position(is_it);
    if clients > CLIENTS_MAX {
        let phase = first(&|phase| phase.slow == mix.slow())?;
        let message =
            format!("{clients} with the connections of all phases, at most {CLIENTS_MAX}");
        return Some(at(phase, "slow", message));
    }
    // A sequence for each client and publisher is kept.
    if mix.publishers() * clients > SEQUENCES_MAX {
        let phase = first(&|phase| phase.publishers == mix.publishers())?;
        let most = SEQUENCES_MAX / clients;
        let message = format!("too many for {clients} connections, at most {most}");
        return Some(at(phase, "publishers", message));
    }
    None
}

fn read_phase(key: &str, raw: &RawPhase, before: usize) -> Result<MixPhase, Fault> {
    let key = |name: &str| format!("{key}.{name}");
    let counted = |value: &Option<Spanned<i64>>, name: &str, range, default: usize| {
        value.as_ref().map_or(Ok(default), |value| count(value, &key(name), range))
    };
    if raw.name.get_ref().trim().is_empty() {
        return Err(Fault::new(raw.name.span(), &key("name"), "expected a name"));
    }
    let duration = time(&raw.duration, &key("duration"))?;
    let publishers = counted(&raw.publishers, "publishers", 1..=CONNECTIONS_MAX, 1)?;
    let connections = counted(&raw.connections, "connections", 1..=CONNECTIONS_MAX, before)?;
    let rate = raw.rate.as_ref().map(|rate| number(rate, &key("rate"), 0.001..=1e7)).transpose()?;
    let window = raw.window.as_ref();
    let window = window.map(|at| count(at, &key("window"), 1..=65_536)).transpose()?;
    if let (Some(at), Some(_)) = (&raw.window, rate) {
        return Err(Fault::new(at.span(), &key("window"), "there is a rate as well: choose one"));
    }
    let window = window.and_then(|window| u32::try_from(window).ok()).map(Load::Window);
    let load = rate.map(Load::Rate).or(window);
    let churn =
        raw.churn.as_ref().map_or(Ok(0.0), |churn| number(churn, &key("churn"), 0.0..=1e6))?;
    if let (Some(at), true) = (&raw.churn, churn > 0.0 && connections.max(before) <= publishers) {
        let message = "publishers stay connected, and there is nobody else";
        return Err(Fault::new(at.span(), &key("churn"), message));
    }
    let slow = counted(&raw.slow, "slow", 0..=CONNECTIONS_MAX, 0)?;
    let slow_pause =
        raw.slow_pause.as_ref().map(|pause| time(pause, &key("slow_pause"))).transpose()?;
    if let (Some(pause), 0) = (&raw.slow_pause, slow) {
        let message = "nobody is slow: set slow as well";
        return Err(Fault::new(pause.span(), &key("slow_pause"), message));
    }
    if let (Some(size), None) = (&raw.size, load) {
        let message = "no messages: set rate or window as well";
        return Err(Fault::new(size.span(), &key("size"), message));
    }
    let size = raw.size.as_ref();
    let sizes = size.map_or(Ok(Sizes::Fixed(64)), |size| sizes(size, &key("size")))?;
    let name = raw.name.get_ref().clone();
    Ok(MixPhase { name, duration, connections, publishers, load, sizes, churn, slow, slow_pause })
}

fn count(
    value: &Spanned<i64>,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Result<usize, Fault> {
    let expected = || {
        let message = format!("expected a whole number, {} to {}", range.start(), range.end());
        Fault::new(value.span(), key, message)
    };
    let count =
        Some(*value.get_ref()).filter(|count| range.contains(count)).ok_or_else(expected)?;
    usize::try_from(count).map_err(|_| expected())
}

fn number(
    value: &Spanned<f64>,
    key: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<f64, Fault> {
    Some(*value.get_ref()).filter(|number| range.contains(number)).ok_or_else(|| {
        let message = format!("expected a number, {} to {}", range.start(), range.end());
        Fault::new(value.span(), key, message)
    })
}

fn time(value: &Spanned<String>, key: &str) -> Result<Duration, Fault> {
    let fault = |message| Fault::new(value.span(), key, message);
    let time = cli::duration(value.get_ref()).map_err(fault)?;
    Some(time).filter(|time| !time.is_zero()).ok_or_else(|| fault(cli::NO_TIME))
}

const SIZES: &str = "expected a number of bytes; { min, max }; { median, max, spread }; or a list of \
                     { bytes, weight }";

fn sizes(value: &Spanned<Value>, key: &str) -> Result<Sizes, Fault> {
    let fault = |message: String| Fault::new(value.span(), key, message);
    match value.get_ref() {
        Value::Integer(bytes) => bytes_of(*bytes).map(Sizes::Fixed),
        Value::Table(table) => range_of(table),
        Value::Array(items) => weights_of(items),
        _ => Err(SIZES.to_owned()),
    }
    .map_err(fault)
}

fn bytes_of(bytes: i64) -> Result<usize, String> {
    let bytes = usize::try_from(bytes).ok().filter(|_| bytes <= SIZE_MAX);
    bytes
        .filter(|bytes| *bytes >= HEADER_BYTES)
        .ok_or_else(|| format!("expected a number of bytes, {HEADER_BYTES} to {SIZE_MAX}"))
}

fn range_of(table: &toml::Table) -> Result<Sizes, String> {
    if let Some(other) =
        table.keys().find(|key| !["min", "median", "max", "spread"].contains(&key.as_str()))
    {
        return Err(format!("unknown key {other:?}: {SIZES}"));
    }
    let bytes = |name: &str| {
        let value = table.get(name);
        // Something else than a whole number is none that there could be.
        let bytes = value.map(|value| bytes_of(value.as_integer().unwrap_or(0)));
        bytes.transpose().map_err(|reason| format!("{name}: {reason}"))
    };
    let min = bytes("min")?;
    let max = bytes("max")?.ok_or_else(|| format!("no max: {SIZES}"))?;
    let Some(median) = bytes("median")? else {
        let min = min.ok_or_else(|| format!("neither min nor median: {SIZES}"))?;
        if table.contains_key("spread") {
            return Err(format!("a spread without a median: {SIZES}"));
        }
        return if min <= max {
            Ok(Sizes::Uniform { min, max })
        } else {
            Err("min > max".to_owned())
        };
    };
    let spread = match table.get("spread") {
        Some(Value::Float(spread)) => *spread,
        Some(Value::Integer(spread @ 1..=100)) => f64::from(u8::try_from(*spread).unwrap_or(100)),
        None => 2.0,
        Some(_) => return Err("spread: expected a number, 1 to 100".to_owned()),
    };
    if !(1.0..=100.0).contains(&spread) {
        return Err("spread: expected a number, 1 to 100".to_owned());
    }
    let min = min.unwrap_or(HEADER_BYTES);
    if min > median || median > max {
        return Err("expected min, median and max in this order".to_owned());
    }
    Ok(Sizes::LogNormal { min, median, max, spread })
}

fn weights_of(items: &[Value]) -> Result<Sizes, String> {
    let mut sizes = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let table = item.as_table().filter(|table| {
            table.len() == 2 && table.contains_key("bytes") && table.contains_key("weight")
        });
        let table = table.ok_or_else(|| format!("[{number}]: expected {{ bytes, weight }}"))?;
        let bytes = bytes_of(table["bytes"].as_integer().unwrap_or(0))
            .map_err(|reason| format!("[{number}].bytes: {reason}"))?;
        let weight = table["weight"].as_integer().and_then(|weight| u32::try_from(weight).ok());
        let weight = weight.filter(|weight| *weight > 0).ok_or_else(|| {
            format!("[{number}].weight: expected a whole number, 1 to {}", u32::MAX)
        })?;
        sizes.push((bytes, weight));
    }
    if sizes.is_empty() { Err(SIZES.to_owned()) } else { Ok(Sizes::Weighted(sizes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Mix, String> {
        parse(text).map_err(|fault| fault.at(Path::new("a.toml"), text))
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let text = "connections = 7\n[[phase]]\nname = 'a'\nduration = '2s'\n\
                    [[phase]]\nname = 'b'\nduration = '3s'\nconnections = 9\nrate = 10\n";
        let mix = read(text).expect("a scenario");
        assert_eq!(mix.phases[0].connections, 7, "as many as before");
        assert_eq!((mix.phases[0].load, mix.phases[1].load), (None, Some(Load::Rate(10.0))));
        assert_eq!(mix.duration(), Duration::from_secs(5));
    }

    #[test]
    fn sizes_are_said_in_four_ways() {
        let sizes = |size: &str| {
            let text = format!(
                "connections = 1\n[[phase]]\nname = 'a'\nduration = '1s'\nrate = 1\nsize = {size}"
            );
            read(&text).map(|mix| mix.phases[0].sizes.clone())
        };
        assert_eq!(sizes("1024"), Ok(Sizes::Fixed(1024)));
        assert_eq!(sizes("{ min = 64, max = 128 }"), Ok(Sizes::Uniform { min: 64, max: 128 }));
        let tail = Sizes::LogNormal { min: 32, median: 200, max: 4096, spread: 2.5 };
        assert_eq!(sizes("{ median = 200, max = 4096, spread = 2.5 }"), Ok(tail));
        let weighted = Sizes::Weighted(vec![(64, 9), (1024, 1)]);
        assert_eq!(
            sizes("[{ bytes = 64, weight = 9 }, { bytes = 1024, weight = 1 }]"),
            Ok(weighted)
        );
        for (size, reason) in [
            ("31", "a number of bytes, 32 to"),
            ("'64'", "expected a number of bytes; {"),
            ("{ min = 64 }", "no max"),
            ("{ min = 32, median = 200.0, max = 16384 }", "size: median: expected a number of"),
            ("{ min = '32', median = 200, max = 16384 }", "size: min: expected a number of bytes"),
            ("{ min = 32, max = true }", "size: max: expected a number of bytes, 32 to"),
            ("{ max = 64, mean = 5 }", "unknown key \"mean\""),
            ("{ min = 65, max = 64 }", "min > max"),
            ("{ median = 65, max = 64 }", "in this order"),
            ("{ median = 64, max = 64, spread = 0.5 }", "spread: "),
            ("[]", "expected a number of bytes; {"),
            ("[{ bytes = 64 }]", "[0]: expected { bytes, weight }"),
            ("[{ bytes = 64, weight = 0 }]", "[0].weight: "),
        ] {
            let error = sizes(size).expect_err(size);
            assert!(error.starts_with("a.toml:6: phase[0].size: "), "{size}: {error}");
            assert!(error.contains(reason), "{size}: {error}");
        }
    }

    #[test]
    fn a_fault_is_told_by_line_and_key() {
        const PHASE: &str = "connections = 2\n[[phase]]\nname = 'a'\nduration = '1s'\n";
        for (text, fault) in [
            ("", "a.toml:1: missing field `connections`".to_owned()),
            ("connections = 2\n", "a.toml:1: phase: expected 1 to 64 tables".to_owned()),
            (
                "connections = 0\n",
                "a.toml:1: connections: expected a whole number, 1 to".to_owned(),
            ),
            (&format!("{PHASE}rate = -1"), "a.toml:5: phase[0].rate: expected a number".to_owned()),
            (&format!("{PHASE}rate = nan"), "a.toml:5: phase[0].rate: ".to_owned()),
            (&format!("{PHASE}rate = 'x'"), "a.toml:5: rate: invalid type".to_owned()),
            (
                &PHASE.replace("= 2", "= 1000000").replace("'1s'", "'1s'\nslow = 1"),
                "a.toml:2: phase[0].slow: 1000001 with".to_owned(),
            ),
            (
                &format!("{}publishers = 101", PHASE.replace("= 2", "= 1000000")),
                "a.toml:2: phase[0].publishers: too many for 1000000 connections, at most 100"
                    .to_owned(),
            ),
            (&format!("{PHASE}window = 0"), "a.toml:5: phase[0].window: expected a".to_owned()),
            (
                &format!("{PHASE}rate = 1\nwindow = 1"),
                "a.toml:6: phase[0].window: there".to_owned(),
            ),
            (&format!("{PHASE}speed = 1"), "a.toml:5: unknown field `speed`".to_owned()),
            (&format!("{PHASE}slow_pause = '1s'"), "a.toml:5: phase[0].slow_pause: ".to_owned()),
            (&format!("{PHASE}size = 64"), "a.toml:5: phase[0].size: no messages".to_owned()),
            (&format!("{PHASE}publishers = 3"), "a.toml:5: phase[0].publishers: 3 are".to_owned()),
            (
                &format!("{PHASE}publishers = 2\nconnections = 1"),
                "a.toml:6: phase[0].connections: fewer than the 2 publishers".to_owned(),
            ),
            (
                &format!("{PHASE}publishers = 2\nchurn = 1"),
                "a.toml:6: phase[0].churn: publishers stay".to_owned(),
            ),
            (&PHASE.replace("1s", "1"), "a.toml:4: phase[0].duration: expected".to_owned()),
            (&PHASE.replace("1s", "0s"), "a.toml:4: phase[0].duration: expected".to_owned()),
            (&PHASE.replace("'a'", "''"), "a.toml:3: phase[0].name: ".to_owned()),
            (&PHASE.replace("= 2", "="), "a.toml:1: ".to_owned()),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(&fault), "{text}: {error}");
        }
    }
}
