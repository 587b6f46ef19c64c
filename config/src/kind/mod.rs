//! Kinds of values: how each is read from TOML, checked and printed.
//!
//! A kind holds the rules that concern one key alone. They are the same for a value from a file,
//! from a flag or from code, because all three pass through `check`.

mod address;
mod choice;
mod cpus;
mod eal;
mod number;
mod port;
mod text;

pub use address::AdminAddressError;
pub(crate) use address::{Admin, Listen, Networks, overlap};
pub(crate) use choice::{Choice, Flag};
pub(crate) use cpus::CpuList;
pub(crate) use eal::{EalArguments, EalMemory, FilePrefix};
pub(crate) use number::{Auto, Count, Sessions, Size, Time, Word};
pub(crate) use port::{Addresses, Gateways, LcoreList, Pci, Routes, Vdev};
pub(crate) use text::{OriginList, Subprotocols, Token, UrlPath};

use std::fmt::{self, Write as _};

use toml::Spanned;
use toml::de::DeValue;

/// A kind of value: `T` is what it is in a checked configuration.
pub(crate) trait Kind<T> {
    /// The value that was written. Judges its form only.
    fn read(&self, value: &DeValue<'_>) -> Result<T, Vec<Refusal>>;

    /// Every rule that the value breaks.
    fn check(&self, value: &T) -> Vec<Refusal>;

    /// The value as TOML that `read` turns into an equal one (a secret excepted).
    fn print(&self, value: &T) -> String;
}

/// Why a value is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Which element of a list is meant; `None` for the value as a whole.
    pub(crate) element: Option<usize>,
    expected: String,
    got: String,
}

impl Refusal {
    fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Refusal { element: None, expected: expected.into(), got: got.into() }
    }

    /// Names a word that would have been right, too.
    fn or_word(mut self, word: &str) -> Self {
        self.expected = format!("{} or {word:?}", self.expected);
        self
    }

    fn of_element(self, index: usize) -> Self {
        Refusal { element: Some(index), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}

/// What was written, for a message: short, on one line, without control characters.
pub(crate) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(integer) => shortened(&integer.to_string()),
        DeValue::Float(float) => shortened(float.as_str()),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A text in quotes for a message.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 64;
    match text.char_indices().nth(CHARACTERS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// A text as a TOML basic string.
pub(crate) fn toml_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a `String` does not fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Texts as a TOML array.
fn toml_array<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = texts.into_iter().map(|text| toml_string(text.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// The elements of an array that must all be strings.
fn strings<'v>(
    array: &'v [Spanned<DeValue<'_>>],
    expected: &str,
) -> Result<Vec<&'v str>, Vec<Refusal>> {
    let string = |(index, element): (usize, &'v Spanned<DeValue<'_>>)| {
        let value = element.get_ref();
        value.as_str().ok_or_else(|| Refusal::new(expected, shown(value)).of_element(index))
    };
    collect(array.iter().enumerate().map(string))
}

/// All the values, or all the refusals.
fn collect<T>(
    results: impl IntoIterator<Item = Result<T, Refusal>>,
) -> Result<Vec<T>, Vec<Refusal>> {
    let (mut values, mut refusals) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() { Ok(values) } else { Err(refusals) }
}

/// Refuses each text that was there before.
fn repeated(texts: &[String]) -> impl Iterator<Item = Refusal> {
    texts.iter().enumerate().filter(|(index, text)| texts[..*index].contains(text)).map(
        |(index, text)| {
            Refusal::new("each entry once", format!("{} again", quoted(text))).of_element(index)
        },
    )
}
