//! What an unknown name may have been meant to be.

use crate::schema::Key;

/// A hint for an unknown key of the table at `path`, whose header is `header`, among all the known
/// `keys`.
pub(crate) fn for_key(path: &str, header: &str, name: &str, keys: &[Key]) -> String {
    if let Some(home) = home(name, keys) {
        return home;
    }
    let here = keys.iter().filter(|key| key.table == path).map(|key| key.name);
    let known: Vec<_> = here.chain(tables_within(path, keys)).collect();
    hint(name, &known, &format!("{header} has"))
}

/// A hint for an unknown name outside of every table.
pub(crate) fn for_root(name: &str, keys: &[Key]) -> String {
    if let Some(home) = home(name, keys) {
        return home;
    }
    let mut tables: Vec<_> = keys.iter().filter(|key| key.index.is_none()).collect();
    tables.dedup_by_key(|key| key.table);
    let tables: Vec<_> = tables.into_iter().map(|key| key.table).collect();
    hint(name, &tables, "the tables are")
}

/// Where a known name belongs, be it a key's or that of an array of tables within a table.
fn home(name: &str, keys: &[Key]) -> Option<String> {
    if let Some(key) = keys.iter().find(|key| key.name == name) {
        return Some(format!("it belongs to {}", key.header()));
    }
    let within = |key: &&Key| key.table.rsplit_once('.').is_some_and(|(_, last)| last == name);
    keys.iter().find(within).map(|key| format!("it is written {}", key.header()))
}

/// The names of the arrays of tables in the table at `path`.
fn tables_within<'k>(path: &str, keys: &'k [Key]) -> Vec<&'k str> {
    let name = |key: &'k Key| key.table.strip_prefix(path)?.strip_prefix('.');
    let mut names: Vec<_> = keys.iter().filter_map(name).collect();
    names.dedup();
    names
}

fn hint(name: &str, known: &[&str], intro: &str) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => format!("{intro} {}", known.join(", ")),
    }
}

/// The known name that takes the fewest edits, unless that is more than a third of it.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    const BYTES_MAX: usize = 64;
    if name.len() > BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let ranked = known.iter().map(|known| (edits(&name, known), *known)).min()?;
    (ranked.0 <= (ranked.1.len() / 3).max(2)).then_some(ranked.1)
}

/// Insertions, removals and replacements that turn one text into the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let table = [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ];
        for (from, to, count) in table {
            assert_eq!(edits(from, to), count, "{from} {to}");
            assert_eq!(edits(to, from), count, "{to} {from}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_unless_it_is_far() {
        let known = ["listen", "datapath", "workers", "session_shards"];
        let nearest = |name| nearest(name, &known);
        assert_eq!(nearest("worker"), Some("workers"));
        assert_eq!(nearest("Session-Shards"), Some("session_shards"));
        assert_eq!(nearest("data_path"), Some("datapath"));
        assert_eq!(nearest("threads"), None);
        assert_eq!(nearest(&"w".repeat(1000)), None);
    }
}
