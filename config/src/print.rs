//! A configuration as TOML.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Config;
use crate::check::Relation;
use crate::kind::Kind;
use crate::schema::{Key, Tables, Visitor, visit, visit_each};

/// The text of a file that says all that `config` says, defaults included. A secret shows as
/// `"***"`.
pub(crate) fn to_toml(config: &Config) -> String {
    let mut printer = Printer { text: String::new(), table: ("", None) };
    visit(&mut config.clone(), &mut printer);
    printer.text
}

struct Printer {
    text: String,
    /// The table that is being printed, and which of several.
    table: (&'static str, Option<usize>),
}

impl Visitor for Printer {
    fn key<T>(&mut self, key: Key, kind: &impl Kind<T>, value: &mut T) {
        let table = (key.table, key.index);
        if table != self.table {
            let gap = if self.text.is_empty() { "" } else { "\n" };
            let _ = writeln!(self.text, "{gap}{}", key.header());
            self.table = table;
        }
        let _ = writeln!(self.text, "{} = {}", key.name, kind.print(value));
    }

    fn tables<T: Default>(
        &mut self,
        _: &Tables,
        elements: &mut Vec<T>,
        each: fn(usize, &mut T, &mut Self),
    ) {
        visit_each(elements, each, self);
    }

    fn refuse(&mut self, _: Relation) {
        // What is printed need not be valid.
    }
}

/// What each key says, as it stands in a file. A secret shows as `"***"`.
pub(crate) fn values(config: &Config) -> BTreeMap<Key, String> {
    let mut values = Values(BTreeMap::new());
    visit(&mut config.clone(), &mut values);
    values.0
}

struct Values(BTreeMap<Key, String>);

impl Visitor for Values {
    fn key<T>(&mut self, key: Key, kind: &impl Kind<T>, value: &mut T) {
        self.0.insert(key, kind.print(value));
    }

    fn tables<T: Default>(
        &mut self,
        _: &Tables,
        elements: &mut Vec<T>,
        each: fn(usize, &mut T, &mut Self),
    ) {
        visit_each(elements, each, self);
    }

    fn refuse(&mut self, _: Relation) {
        // What is printed need not be valid.
    }
}
