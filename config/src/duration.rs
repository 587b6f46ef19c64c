//! Durations as text: `30s`.

use std::time::Duration;

use crate::size::split_unit;

const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a whole number and one of `ns`, `us`, `ms`, `s`, `m`, `h`, with or without a space between
/// them. `None` for anything else, and for more than a `Duration` holds.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = split_unit(text)?;
    let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    from_nanos(digits.parse::<u128>().ok()?.checked_mul(factor)?)
}

/// Writes `duration` in the largest unit that loses nothing.
pub(crate) fn print(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let fits = |(_, factor): &(&str, u128)| nanos.is_multiple_of(*factor);
    let (unit, factor) = UNITS.into_iter().find(fits).unwrap_or(("ns", 1));
    format!("{}{unit}", nanos / factor)
}

fn from_nanos(nanos: u128) -> Option<Duration> {
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_in_units_from_nanoseconds_to_hours() {
        let table = [
            ("0s", Duration::ZERO),
            ("7ns", Duration::from_nanos(7)),
            ("20us", Duration::from_micros(20)),
            ("500ms", Duration::from_millis(500)),
            ("30s", Duration::from_secs(30)),
            ("30 s", Duration::from_secs(30)),
            ("2m", Duration::from_secs(120)),
            ("1h", Duration::from_secs(3600)),
        ];
        for (text, duration) in table {
            assert_eq!(parse(text), Some(duration), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let refused = [
            "",
            "30",
            "s",
            "-1s",
            "+1s",
            "1.5s",
            "1h30m",
            "30 sec",
            "30S",
            "1d",
            "30  s",
            "30s ",
            "99999999999999999999s",
            "999999999999999999999999999999999999999999h",
        ];
        for text in refused {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_duration_prints_in_the_largest_unit_that_loses_nothing() {
        let printed = [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000]
            .map(|millis| print(Duration::from_millis(millis)));
        assert_eq!(printed, ["0s", "1ms", "999ms", "1s", "1500ms", "1m", "90s", "1h"]);
    }

    proptest! {
        #[test]
        fn every_duration_survives_printing(seconds: u64, nanos in 0..1_000_000_000_u32) {
            for duration in [
                Duration::new(seconds, nanos),
                Duration::from_secs(seconds),
                Duration::from_nanos(seconds),
                Duration::from_millis(nanos.into()),
            ] {
                prop_assert_eq!(parse(&print(duration)), Some(duration));
            }
        }
    }
}
