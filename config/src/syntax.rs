//! Errors of TOML itself, and what of the tree can be trusted beside them.
//!
//! The parser recovers from an error and goes on, so that one run reports them all. A fault inside
//! a scalar (a duration without quotes) spoils that value only. After a fault of structure (a table
//! header without its bracket) what follows may have been read into the wrong place, so nothing
//! beyond it is judged.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::error::Located;

type Span = Range<usize>;

/// The syntax errors of a text.
pub(crate) struct Syntax {
    errors: Vec<(Span, String)>,
    /// Where trust in the tree ends.
    trusted_until: usize,
}

impl Syntax {
    pub(crate) fn new(root: &DeTable<'_>, errors: &[Error]) -> Self {
        let mut scalars = Vec::new();
        root.iter().for_each(|(_, value)| collect_scalars(value, &mut scalars));
        scalars.sort_by_key(|span| span.start);
        let structural = errors.iter().filter(|error| !is_local(error, &scalars)).map(span_of);
        let trusted_until = structural.map(|span| span.start).min().unwrap_or(usize::MAX);
        let errors = errors.iter().map(|error| (span_of(error), message(error))).collect();
        Syntax { errors, trusted_until }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether a value at `span` was read as it was meant.
    pub(crate) fn trusts(&self, span: &Span) -> bool {
        let apart = |error: &Span| error.end < span.start || span.end < error.start;
        span.start < self.trusted_until && self.errors.iter().all(|(error, _)| apart(error))
    }

    pub(crate) fn into_faults(self) -> impl Iterator<Item = Located> {
        self.errors.into_iter().map(|(span, message)| Located {
            offset: Some(span.start),
            key: None,
            message,
        })
    }
}

const DUPLICATE_KEY: &str = "duplicate key";

fn message(error: &Error) -> String {
    match error.message() {
        DUPLICATE_KEY => "expected each key and table once, got this one again".to_owned(),
        message => format!("not valid TOML: {message}"),
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
