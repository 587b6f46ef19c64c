//! What an unknown name may have been meant to be.

use crate::schema::Key;

/// A hint for an unknown key of `table`, among all the known `keys`.
pub(crate) fn for_key(table: &str, name: &str, keys: &[Key]) -> String {
    if let Some(home) = keys.iter().find(|key| key.name == name) {
        return format!("it belongs to [{}]", home.table);
    }
    let here = || keys.iter().filter(|key| key.table == table).map(|key| key.name);
    hint(name, here(), &format!("[{table}] has"))
}

/// A hint for an unknown name outside of every table.
pub(crate) fn for_root(name: &str, keys: &[Key]) -> String {
    if let Some(home) = keys.iter().find(|key| key.name == name) {
        return format!("it belongs to [{}]", home.table);
    }
    let mut tables: Vec<_> = keys.iter().map(|key| key.table).collect();
    tables.dedup();
    hint(name, tables.into_iter(), "the tables are")
}

fn hint<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone, intro: &str) -> String {
    match nearest(name, known.clone()) {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None => format!("{intro} {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The known name that takes the fewest edits, unless that is more than a third of it.
fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    const BYTES_MAX: usize = 64;
    if name.len() > BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let ranked = known.map(|known| (edits(&name, known), known)).min()?;
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
        let nearest = |name| nearest(name, known.into_iter());
        assert_eq!(nearest("worker"), Some("workers"));
        assert_eq!(nearest("Session-Shards"), Some("session_shards"));
        assert_eq!(nearest("data_path"), Some("datapath"));
        assert_eq!(nearest("threads"), None);
        assert_eq!(nearest(&"w".repeat(1000)), None);
    }
}
