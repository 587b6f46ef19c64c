//! What is wrong with a configuration.

use std::error::Error;
use std::fmt;

/// Faults beyond this many are counted, not listed.
const FAULTS_MAX: usize = 50;

/// Everything that is wrong with a configuration.
///
/// Prints one fault per line, in the order of the file:
/// `hioload.toml:7:15: websocket.message_max: expected a size such as "64 KiB", got "64 kib/s"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    origin: Option<String>,
    faults: Vec<Fault>,
    omitted: usize,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where in the file; `None` where the fault is in no one place of a file.
    pub place: Option<Place>,
    /// The dotted path of the key, such as `server.listen`, or what else set it; `None` where it is
    /// about no one key.
    pub key: Option<String>,
    /// What was expected and what was found. Never shows the value of a secret.
    pub message: String,
}

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl ConfigError {
    /// One fault that is about `origin` as a whole.
    pub(crate) fn whole(origin: &str, message: String) -> Self {
        let fault = Fault { place: None, key: None, message };
        ConfigError { origin: Some(origin.to_owned()), faults: vec![fault], omitted: 0 }
    }

    /// Faults of a text. Each comes with its byte offset in the text, where it has one.
    pub(crate) fn in_text(origin: &str, text: &str, mut located: Vec<Located>) -> Self {
        located.sort_by_key(|fault| fault.offset);
        Self::listing(Some(origin.to_owned()), text, located)
    }

    /// Faults of a configuration that was built in code.
    pub(crate) fn in_code(located: Vec<Located>) -> Self {
        Self::listing(None, "", located)
    }

    fn listing(origin: Option<String>, text: &str, mut located: Vec<Located>) -> Self {
        let omitted = located.len().saturating_sub(FAULTS_MAX);
        located.truncate(FAULTS_MAX);
        let faults = located.into_iter().map(|fault| fault.into_fault(text)).collect();
        ConfigError { origin, faults, omitted }
    }

    /// The faults in the order of the file, or of its keys where there is none; at least one, at
    /// most 50.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The same, for whoever has more to say of them: which flag it was that set a key.
    pub fn faults_mut(&mut self) -> &mut [Fault] {
        &mut self.faults
    }

    /// How many faults were left out of the list because it was full.
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            // A key in no place of the file was set elsewhere.
            let origin = self.origin.as_ref();
            if let Some(origin) = origin.filter(|_| fault.place.is_some() || fault.key.is_none()) {
                write!(f, "{origin}:")?;
                if let Some(Place { line, column }) = fault.place {
                    write!(f, "{line}:{column}:")?;
                }
                f.write_str(" ")?;
            }
            fault.fmt(f)?;
        }
        match self.omitted {
            0 => Ok(()),
            1 => f.write_str("\nand 1 more fault"),
            omitted => write!(f, "\nand {omitted} more faults"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Error for ConfigError {}

/// A fault whose place is still a byte offset.
pub(crate) struct Located {
    pub(crate) offset: Option<usize>,
    pub(crate) key: Option<String>,
    pub(crate) message: String,
}

impl Located {
    fn into_fault(self, text: &str) -> Fault {
        let place = self.offset.map(|offset| Place::at(text.as_bytes(), offset));
        Fault { place, key: self.key, message: self.message }
    }
}

impl Place {
    /// The place of the byte at `offset`. Takes bytes, since the text before a byte that is no
    /// UTF-8 has places, too.
    pub(crate) fn at(text: &[u8], offset: usize) -> Place {
        let before = text.get(..offset).unwrap_or(text);
        // A byte order mark is no character of the first line.
        let before = before.strip_prefix("\u{feff}".as_bytes()).unwrap_or(before);
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
        Place { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown_key(offset: usize) -> Located {
        Located { offset: Some(offset), key: None, message: "unknown key".to_owned() }
    }

    #[test]
    fn columns_count_characters_and_not_bytes() {
        let text = "\u{feff}one\n\u{e9}\u{e9} = 1\n";
        let offset = text.find('1').unwrap();
        assert_eq!(Place::at(text.as_bytes(), offset), Place { line: 2, column: 6 });
        assert_eq!(Place::at(text.as_bytes(), 3), Place { line: 1, column: 1 });
        assert_eq!(Place::at("1\n\u{feff}2".as_bytes(), 5), Place { line: 2, column: 2 });
    }

    #[test]
    fn faults_beyond_fifty_are_counted_and_the_first_ones_kept() {
        let text = "x\n".repeat(60);
        let located = (0..60).rev().map(|line| unknown_key(line * 2)).collect();
        let error = ConfigError::in_text("f", &text, located);
        assert_eq!(error.faults().len(), 50);
        assert_eq!(error.omitted(), 10);
        let printed = error.to_string();
        assert!(printed.starts_with("f:1:1: unknown key\nf:2:1: unknown key\n"), "{printed}");
        assert!(printed.ends_with("f:50:1: unknown key\nand 10 more faults"), "{printed}");
    }
}
