//! A configuration as TOML.

use std::fmt::Write as _;

use crate::Config;
use crate::kind::Kind;
use crate::schema::{Key, Visitor, visit};

/// The text of a file that says all that `config` says, defaults included. A secret shows as
/// `"***"`.
pub(crate) fn to_toml(config: &Config) -> String {
    let mut printer = Printer { text: String::new(), table: "" };
    visit(&mut config.clone(), &mut printer);
    printer.text
}

struct Printer {
    text: String,
    table: &'static str,
}

impl Visitor for Printer {
    fn key<T>(&mut self, key: Key, kind: &impl Kind<T>, value: &mut T) {
        if key.table != self.table {
            let gap = if self.text.is_empty() { "" } else { "\n" };
            let _ = writeln!(self.text, "{gap}[{}]", key.table);
            self.table = key.table;
        }
        let _ = writeln!(self.text, "{} = {}", key.name, kind.print(value));
    }
}
