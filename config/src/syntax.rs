//! Errors of TOML itself, and what of the tree can be trusted beside them.
//!
//! The parser recovers from an error and goes on, so that one run reports them all. A fault inside
//! a scalar (a duration without quotes) spoils that value only. After a fault of structure (a table
//! header without its bracket) what follows may have been read into the wrong place, so nothing
//! beyond it is judged.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::error::Located;
use crate::kind::quoted;
use crate::schema::Key;

type Span = Range<usize>;

/// The syntax errors of a text.
pub(crate) struct Syntax {
    errors: Vec<(Span, String)>,
    /// Where trust in the tree ends.
    trusted_until: usize,
}

impl Syntax {
    /// `root` and `errors` are what the parser made of `text`.
    pub(crate) fn new(text: &str, root: &DeTable<'_>, errors: &[Error]) -> Self {
        let mut scalars = Vec::new();
        root.iter().for_each(|(_, value)| collect_scalars(value, &mut scalars));
        scalars.sort_by_key(|span| span.start);
        let structural = errors.iter().filter(|error| !is_local(error, &scalars)).map(span_of);
        let trusted_until = structural.map(|span| span.start).min().unwrap_or(usize::MAX);
        let errors = errors.iter().map(|error| (span_of(error), message(text, error))).collect();
        Syntax { errors, trusted_until }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether a value at `span` was read as it was meant.
    pub(crate) fn trusts(&self, span: &Span) -> bool {
        span.start < self.trusted_until && !self.errors.iter().any(|(error, _)| touch(error, span))
    }

    /// Whether a name at `span` stands where it was meant to. Costs the same however many errors
    /// there are, since there may be as many names.
    pub(crate) fn trusts_name(&self, span: &Span) -> bool {
        span.end < self.trusted_until
    }

    /// The errors as faults; `values` says where the value of each key is.
    pub(crate) fn into_faults(self, values: &BTreeMap<Key, Span>) -> impl Iterator<Item = Located> {
        let trusted_until = self.trusted_until;
        self.errors.into_iter().map(move |(span, message)| {
            let trusted = values.iter().filter(|(_, value)| value.start < trusted_until);
            let touched = trusted.filter(|(_, value)| touch(&span, value));
            // Of a table within an array and its key, the key.
            let key = touched.min_by_key(|(_, value)| value.len());
            let key = key.map(|(key, _)| key.to_string());
            Located { offset: Some(span.start), key, message }
        })
    }
}

/// Whether two spans overlap or meet.
fn touch(a: &Span, b: &Span) -> bool {
    a.start <= b.end && b.start <= a.end
}

// How the parser words the two most common errors.
const DUPLICATE_KEY: &str = "duplicate key";
const NOT_QUOTED: &str = "string values must be quoted";

fn message(text: &str, error: &Error) -> String {
    let got = || text.get(span_of(error)).filter(|got| !got.is_empty());
    match (error.message(), got()) {
        (DUPLICATE_KEY, Some(name)) => {
            format!("expected each key and table once, got {} again", quoted(name))
        }
        // Not with what was written, which may be a secret.
        (message, Some(_)) if message.starts_with(NOT_QUOTED) => {
            "expected a value, got text without quotes".to_owned()
        }
        (message, None) if message.starts_with(NOT_QUOTED) => {
            "expected a value, got none".to_owned()
        }
        (message, _) => format!("not valid TOML: {message}"),
    }
}

/// An error without a span is one of the whole text.
fn span_of(error: &Error) -> Span {
    error.span().unwrap_or(0..0)
}

/// Whether the rest of the tree is as it was meant. Of duplicates the first counts.
fn is_local(error: &Error, scalars: &[Span]) -> bool {
    let span = span_of(error);
    let candidate = scalars.partition_point(|scalar| scalar.end < span.start);
    let in_scalar = scalars.get(candidate).is_some_and(|scalar| scalar.start <= span.start);
    in_scalar || error.message() == DUPLICATE_KEY
}

/// The parser bounds the depth of nesting, and so of this recursion.
fn collect_scalars(value: &Spanned<DeValue<'_>>, scalars: &mut Vec<Span>) {
    match value.get_ref() {
        DeValue::Array(array) => {
            array.iter().for_each(|value| collect_scalars(value, scalars));
        }
        DeValue::Table(table) => {
            table.iter().for_each(|(_, value)| collect_scalars(value, scalars));
        }
        _ => scalars.push(value.span()),
    }
}
