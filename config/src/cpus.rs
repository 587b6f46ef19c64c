//! Which CPUs the workers run on.

use std::fmt;

/// The highest number a CPU can have: Linux is built for up to 8,192 of them.
pub(crate) const CPU_MAX: usize = 8191;

/// Which CPUs the workers run on, each on one of its own. Written as `Display` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cpus {
    /// Wherever the system puts them.
    #[default]
    Off,
    /// The CPUs that the process may use, in their order.
    Auto,
    /// These, the first for worker 0. Written as a list of numbers and ranges: `0-3,6`.
    List(Vec<usize>),
}

/// As in a file: `off`, `auto` or `0-3,6`.
impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = match self {
            Cpus::Off => return f.write_str("off"),
            Cpus::Auto => return f.write_str("auto"),
            Cpus::List(cpus) => cpus,
        };
        let is_next = |a: &usize, b: &usize| a.checked_add(1) == Some(*b);
        for (index, run) in cpus.chunk_by(is_next).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match run {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                cpus => cpus.iter().try_for_each(|cpu| write!(f, "{comma}{cpu}"))?,
            }
        }
        Ok(())
    }
}

/// Reads a list such as `0-3,6`; `None` when it is something else. It may name a CPU twice.
pub(crate) fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_cpu(first)?, parse_cpu(last)?);
        // A list of more has named one of them before, and can be as long as a file otherwise.
        if first > last || cpus.len() > CPU_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn parse_cpu(digits: &str) -> Option<usize> {
    // `parse` would take a sign as well.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|cpu| is_number && *cpu <= CPU_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_its_order_and_printed_in_runs() {
        let table = [
            ("0", &[0][..], "0"),
            ("0-3,6", &[0, 1, 2, 3, 6], "0-3,6"),
            ("6,0-1,2,3", &[6, 0, 1, 2, 3], "6,0-3"),
            ("3,2,1", &[3, 2, 1], "3,2,1"),
            ("5-5,8191", &[5, 8191], "5,8191"),
            ("007", &[7], "7"),
            ("1,1", &[1, 1], "1,1"),
        ];
        for (text, cpus, printed) in table {
            assert_eq!(parse_list(text).as_deref(), Some(cpus), "{text}");
            assert_eq!(Cpus::List(cpus.to_vec()).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_not_read() {
        for text in [
            "",
            ",",
            "0,",
            ",0",
            "-",
            "0-",
            "-1",
            "3-0",
            "+1",
            "0 ",
            " 0",
            "0, 1",
            "0-3:2",
            "0-1-2",
            "a",
            "8192",
            "0-99999999999999999999",
            "\u{661}",
        ] {
            assert_eq!(parse_list(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_list_longer_than_all_cpus_ends_early() {
        assert_eq!(parse_list(&["0-8191"; 1000].join(",")), None);
    }

    #[test]
    fn the_last_number_there_is_ends_a_run() {
        assert_eq!(Cpus::List(vec![usize::MAX, 0]).to_string(), format!("{},0", usize::MAX));
    }
}
