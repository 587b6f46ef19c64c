//! Counts, sizes and durations within bounds, and words in their place.

use std::fmt::Display;
use std::time::Duration;

use toml::de::DeValue;

use super::{Kind, Refusal, shown, toml_string};
use crate::config::CLIENTS_MAX;
use crate::{SessionsMax, duration, size};

/// A whole number from `min` to `max`.
pub(crate) struct Count<T> {
    pub(crate) min: T,
    pub(crate) max: T,
}

impl<T: Display> Count<T> {
    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }
}

impl<T: Copy + Display + PartialOrd + TryFrom<i128>> Kind<T> for Count<T> {
    fn read(&self, value: &DeValue<'_>) -> Result<T, Vec<Refusal>> {
        integer(value).ok_or_else(|| vec![Refusal::new(self.expected(), shown(value))])
    }

    fn check(&self, value: &T) -> Vec<Refusal> {
        if (self.min..=self.max).contains(value) {
            return Vec::new();
        }
        vec![Refusal::new(self.expected(), value.to_string())]
    }

    fn print(&self, value: &T) -> String {
        value.to_string()
    }
}

/// A size in bytes from `min` to `max`: `"64 KiB"`, or a bare number of bytes.
pub(crate) struct Size {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl Kind<usize> for Size {
    fn read(&self, value: &DeValue<'_>) -> Result<usize, Vec<Refusal>> {
        let bytes = match value {
            DeValue::String(text) => size::parse(text),
            _ => integer(value),
        };
        bytes.ok_or_else(|| vec![Refusal::new("a size such as \"64 KiB\"", shown(value))])
    }

    fn check(&self, bytes: &usize) -> Vec<Refusal> {
        if (self.min..=self.max).contains(bytes) {
            return Vec::new();
        }
        let expected =
            format!("a size from {} to {}", size::print(self.min), size::print(self.max));
        vec![Refusal::new(expected, size::print(*bytes))]
    }

    fn print(&self, bytes: &usize) -> String {
        toml_string(&size::print(*bytes))
    }
}

/// A duration from `min` to `max`: `"30s"`.
pub(crate) struct Time {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl Kind<Duration> for Time {
    fn read(&self, value: &DeValue<'_>) -> Result<Duration, Vec<Refusal>> {
        let duration = value.as_str().and_then(duration::parse);
        duration.ok_or_else(|| vec![Refusal::new("a duration such as \"30s\"", shown(value))])
    }

    fn check(&self, value: &Duration) -> Vec<Refusal> {
        if (self.min..=self.max).contains(value) {
            return Vec::new();
        }
        let expected = format!(
            "a duration from {} to {}",
            duration::print(self.min),
            duration::print(self.max)
        );
        vec![Refusal::new(expected, duration::print(*value))]
    }

    fn print(&self, value: &Duration) -> String {
        toml_string(&duration::print(*value))
    }
}

/// A word that stands for one value, or any value of another kind.
pub(crate) struct Word<K, T> {
    pub(crate) word: &'static str,
    /// A value that means what the word means.
    pub(crate) synonym: Option<T>,
    pub(crate) kind: K,
}

impl<T: PartialEq, K: Kind<T>> Kind<Option<T>> for Word<K, T> {
    /// `None` for the word.
    fn read(&self, value: &DeValue<'_>) -> Result<Option<T>, Vec<Refusal>> {
        if value.as_str() == Some(self.word) {
            return Ok(None);
        }
        match self.kind.read(value) {
            Ok(value) => Ok(Some(value).filter(|value| self.synonym.as_ref() != Some(value))),
            Err(refusals) => Err(or_word(refusals, self.word)),
        }
    }

    fn check(&self, value: &Option<T>) -> Vec<Refusal> {
        let refusals = value.as_ref().map_or_else(Vec::new, |value| self.kind.check(value));
        or_word(refusals, self.word)
    }

    fn print(&self, value: &Option<T>) -> String {
        value.as_ref().map_or_else(|| toml_string(self.word), |value| self.kind.print(value))
    }
}

/// `"auto"`, which stands for what the host suggests, or any value of another kind.
pub(crate) struct Auto<K, T> {
    pub(crate) suggested: fn() -> T,
    pub(crate) kind: K,
}

impl<T, K: Kind<T>> Kind<T> for Auto<K, T> {
    fn read(&self, value: &DeValue<'_>) -> Result<T, Vec<Refusal>> {
        if value.as_str() == Some("auto") {
            return Ok((self.suggested)());
        }
        self.kind.read(value).map_err(|refusals| or_word(refusals, "auto"))
    }

    fn check(&self, value: &T) -> Vec<Refusal> {
        or_word(self.kind.check(value), "auto")
    }

    /// The value itself: what is printed says what will happen on this host.
    fn print(&self, value: &T) -> String {
        self.kind.print(value)
    }
}

/// `"auto"`, `"off"`, or the number of sessions that there may be.
pub(crate) struct Sessions;

impl Sessions {
    const COUNT: Word<Count<usize>, usize> =
        Word { word: "off", synonym: None, kind: Count { min: 1, max: CLIENTS_MAX } };
}

impl Kind<SessionsMax> for Sessions {
    fn read(&self, value: &DeValue<'_>) -> Result<SessionsMax, Vec<Refusal>> {
        if value.as_str() == Some("auto") {
            return Ok(SessionsMax::Auto);
        }
        match Self::COUNT.read(value) {
            Ok(count) => Ok(count.map_or(SessionsMax::Off, SessionsMax::Count)),
            Err(refusals) => Err(or_word(refusals, "auto")),
        }
    }

    fn check(&self, value: &SessionsMax) -> Vec<Refusal> {
        match value {
            SessionsMax::Auto | SessionsMax::Off => Vec::new(),
            SessionsMax::Count(count) => or_word(Self::COUNT.check(&Some(*count)), "auto"),
        }
    }

    fn print(&self, value: &SessionsMax) -> String {
        match value {
            SessionsMax::Auto => toml_string("auto"),
            SessionsMax::Off => toml_string("off"),
            SessionsMax::Count(count) => count.to_string(),
        }
    }
}

fn or_word(refusals: Vec<Refusal>, word: &str) -> Vec<Refusal> {
    refusals.into_iter().map(|refusal| refusal.or_word(word)).collect()
}

pub(super) fn integer<T: TryFrom<i128>>(value: &DeValue<'_>) -> Option<T> {
    let integer = value.as_integer()?;
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()?.try_into().ok()
}
