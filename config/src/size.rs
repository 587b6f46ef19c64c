//! Sizes in bytes as text: `64 KiB`.

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a whole number and one of `B`, `KiB`, `MiB`, `GiB`, with or without a space between them.
/// `None` for anything else, and for more than this platform can address.
pub(crate) fn parse(text: &str) -> Option<usize> {
    let (digits, unit) = split_unit(text)?;
    let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(factor)?.try_into().ok()
}

/// Writes `bytes` in the largest unit that loses nothing.
pub(crate) fn print(bytes: usize) -> String {
    let bytes = bytes as u64;
    let fits = |(_, factor): &(&str, u64)| bytes != 0 && bytes.is_multiple_of(*factor);
    let (unit, factor) = UNITS.into_iter().find(fits).unwrap_or(("B", 1));
    format!("{} {unit}", bytes / factor)
}

/// Parts a number from its unit. A sign, a fraction or a second space is left in the unit, which
/// no unit then matches.
pub(crate) fn split_unit(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    Some((digits, rest.strip_prefix(' ').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_in_binary_units() {
        let table = [
            ("0 B", 0),
            ("512 B", 512),
            ("64 KiB", 65_536),
            ("64KiB", 65_536),
            ("1 MiB", 1_048_576),
            ("3 GiB", 3_221_225_472),
        ];
        for (text, bytes) in table {
            assert_eq!(parse(text), Some(bytes), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        let refused = [
            "",
            " ",
            "64",
            "KiB",
            "64  KiB",
            "64 KiB ",
            " 64 KiB",
            "64 kib",
            "64 KB",
            "64 kib/s",
            "-1 B",
            "+1 B",
            "1.5 MiB",
            "1_000 B",
            "18446744073709551616 B",
            "17179869184 GiB",
        ];
        for text in refused {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_size_prints_in_the_largest_unit_that_loses_nothing() {
        let printed = [0, 1, 1023, 1024, 1025, 5 << 20, 1 << 30].map(print);
        assert_eq!(printed, ["0 B", "1 B", "1023 B", "1 KiB", "1025 B", "5 MiB", "1 GiB"]);
    }

    proptest! {
        #[test]
        fn every_size_survives_printing(bytes: usize, shift in 0..40_u32) {
            let bytes = bytes >> shift << (shift / 2);
            prop_assert_eq!(parse(&print(bytes)), Some(bytes));
        }
    }
}
