//! From the text of a file to a checked configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::check::{Relation, faults_of_keys, relations};
use crate::error::{ConfigError, Located};
use crate::kind::{Kind, Refusal, quoted, shown};
use crate::print::values;
use crate::schema::{Key, PORTS, Tables, Visitor, key, port_key, visit, visit_each};
use crate::syntax::Syntax;
use crate::{Config, suggest};

/// Far more than a file with every key and every list full.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads and parses the file at `path`, as [`parse`] does.
pub(crate) fn load(path: &Path, change: impl FnOnce(&mut Config)) -> Result<Config, ConfigError> {
    let origin = path.display().to_string();
    let bytes = read_bounded(path)
        .map_err(|error| ConfigError::whole(&origin, format!("cannot be read: {error}")))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_large(&origin));
    }
    match str::from_utf8(&bytes) {
        Ok(text) => parse(text, &origin, change),
        Err(error) => {
            let offset = error.valid_up_to();
            let message = format!("expected UTF-8, got the byte 0x{:02x}", bytes[offset]);
            let fault = Located { offset: Some(offset), key: None, message };
            // The lines before the fault are what places it.
            let before = String::from_utf8_lossy(&bytes[..offset]);
            Err(ConfigError::in_text(&origin, &before, vec![fault]))
        }
    }
}

/// Stops one byte beyond the limit, so that a device without an end is no trap.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_large(origin: &str) -> ConfigError {
    ConfigError::whole(origin, "expected at most 1 MiB, got a larger file".to_owned())
}

/// Parses `text`; `origin` is what messages call it. The rules between keys hold for what `change`
/// makes of it.
pub(crate) fn parse(
    text: &str,
    origin: &str,
    change: impl FnOnce(&mut Config),
) -> Result<Config, ConfigError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(too_large(origin));
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    let root = root.get_ref();
    let syntax = Syntax::new(text, root, &errors);
    let mut reader = Reader {
        root,
        syntax: &syntax,
        known: Vec::new(),
        places: BTreeMap::new(),
        faulty: BTreeSet::new(),
        changed: BTreeSet::new(),
        faults: Vec::new(),
        relations: Vec::new(),
    };
    let mut config = Config::default();
    visit(&mut config, &mut reader);
    reader.settle_workers(&mut config);
    reader.refuse_unknown_names();
    let read = config.clone();
    change(&mut config);
    reader.check_changed(&read, &config);
    if syntax.is_sound() {
        let broken = mem::take(&mut reader.relations);
        reader.refuse_relations(relations(&config, broken, &reader.faulty));
    }
    let Reader { mut faults, places, .. } = reader;
    faults.extend(syntax.into_faults(&places));
    if faults.is_empty() { Ok(config) } else { Err(ConfigError::in_text(origin, text, faults)) }
}

/// Takes the value of each key from the tree.
struct Reader<'t, 'i> {
    root: &'t DeTable<'i>,
    syntax: &'t Syntax,
    /// Every key there is.
    known: Vec<Key>,
    /// Where in the text the values are.
    places: BTreeMap<Key, Range<usize>>,
    /// Keys whose values are refused already.
    faulty: BTreeSet<Key>,
    /// Keys that do not say any more what the text says.
    changed: BTreeSet<Key>,
    faults: Vec<Located>,
    /// Rules between keys that are broken already.
    relations: Vec<Relation>,
}

impl Visitor for Reader<'_, '_> {
    fn key<T>(&mut self, key: Key, kind: &impl Kind<T>, target: &mut T) {
        if key.index.is_none_or(|index| index == 0) {
            self.known.push(key);
        }
        let Some(value) = self.table_of(key).and_then(|table| table.get(key.name)) else {
            return;
        };
        self.places.insert(key, value.span());
        if !self.syntax.trusts(&value.span()) {
            return;
        }
        let refusals = match kind.read(value.get_ref()) {
            Ok(read) => {
                *target = read;
                kind.check(target)
            }
            Err(refusals) => refusals,
        };
        for refusal in refusals {
            self.faulty.insert(key);
            self.refuse_at(place_of(value, &refusal), key.to_string(), refusal.to_string());
        }
    }

    fn tables<T: Default>(
        &mut self,
        tables: &Tables,
        elements: &mut Vec<T>,
        each: fn(usize, &mut T, &mut Self),
    ) {
        let count = self.count(tables);
        elements.resize_with(count, T::default);
        visit_each(elements, each, self);
        if count == 0 {
            // The keys of a table that is not there are known all the same.
            let broken = self.relations.len();
            each(0, &mut T::default(), self);
            self.relations.truncate(broken);
        }
    }

    fn refuse(&mut self, relation: Relation) {
        self.relations.push(relation);
    }
}

impl<'t, 'i> Reader<'t, 'i> {
    /// The table of the file that `key` is in, where there is one.
    fn table_of(&self, key: Key) -> Option<&'t DeTable<'i>> {
        let value = match (key.index, key.table.split_once('.')) {
            (Some(index), Some((outer, name))) => {
                let outer = self.root.get(outer)?.get_ref().as_table()?;
                outer.get(name)?.get_ref().as_array()?.get(index)?
            }
            _ => self.root.get(key.table)?,
        };
        value.get_ref().as_table()
    }

    /// How many tables there are to be read. Notes where each begins.
    fn count(&mut self, tables: &Tables) -> usize {
        let Some(value) = self.table_of(tables.key).and_then(|table| table.get(tables.key.name))
        else {
            return 0;
        };
        let Some(array) = value.get_ref().as_array() else {
            if self.syntax.trusts(&value.span()) {
                self.faulty.insert(tables.key);
                let got = shown(value.get_ref());
                let message = format!("expected tables under [[{}]], got {got}", tables.path);
                self.refuse_at(value.span(), tables.key.to_string(), message);
            }
            return 0;
        };
        for (index, element) in array.iter().take(tables.max).enumerate() {
            let key = Key { table: tables.path, index: Some(index), name: "" };
            self.places.insert(key, element.span());
            if !element.get_ref().is_table() && self.syntax.trusts(&element.span()) {
                self.faulty.insert(key);
                let message = format!("expected a table, got {}", shown(element.get_ref()));
                self.refuse_at(element.span(), key.to_string(), message);
            }
        }
        if let Some(element) = array.get(tables.max) {
            self.faulty.insert(tables.key);
            let message = tables.too_many(array.len());
            self.refuse_at(element.span(), tables.key.to_string(), message);
        }
        array.len().min(tables.max)
    }

    /// Where the file leaves the count of workers open, other keys say it.
    fn settle_workers(&self, config: &mut Config) {
        let count = self.table_of(key("server", "workers")).and_then(|table| table.get("workers"));
        let is_open = count.is_none_or(|count| count.get_ref().as_str() == Some("auto"));
        let lcores = (0..config.dpdk.ports.len()).map(|index| port_key(index, "lcores"));
        let mut others = lcores.chain([key("server", "cpus"), PORTS.key]);
        if is_open && !others.any(|key| self.faulty.contains(&key)) {
            config.server.workers = config.workers_auto();
        }
    }

    fn refuse_at(&mut self, span: Range<usize>, key: String, message: String) {
        self.faults.push(Located { offset: Some(span.start), key: Some(key), message });
    }

    /// Takes note of the keys that were changed since they were read, and checks each by itself.
    fn check_changed(&mut self, read: &Config, config: &Config) {
        let (before, after) = (values(read), values(config));
        self.changed = after
            .into_iter()
            .filter_map(|(key, value)| (before.get(&key) != Some(&value)).then_some(key))
            .collect();
        for (key, message) in faults_of_keys(config) {
            if self.changed.contains(&key) {
                self.faulty.insert(key);
                self.refuse_changed(key, message);
            }
        }
    }

    /// Puts each broken rule where the file set the first of its keys that is set, or nowhere if
    /// that was changed since.
    fn refuse_relations(&mut self, relations: Vec<Relation>) {
        for Relation { keys, message } in relations {
            let is_set = |key: &&Key| self.changed.contains(key) || self.places.contains_key(key);
            // The defaults break no rule, so one of the keys is set.
            let key = *keys.iter().find(is_set).unwrap_or(&keys[0]);
            match self.places.get(&key).cloned() {
                Some(span) if !self.changed.contains(&key) => {
                    self.refuse_at(span, key.to_string(), message);
                }
                _ => self.refuse_changed(key, message),
            }
        }
    }

    fn refuse_changed(&mut self, key: Key, message: String) {
        self.faults.push(Located { offset: None, key: Some(key.to_string()), message });
    }

    fn refuse_unknown_names(&mut self) {
        for (name, value) in self.root {
            let is_table = value.get_ref().is_table();
            let is_known = |key: &Key| key.index.is_none() && key.table == name.get_ref().as_ref();
            if !self.known.iter().any(is_known) {
                let what = if is_table { "unknown table" } else { "unknown key" };
                let hint = suggest::for_root(name.get_ref(), &self.known);
                self.refuse_name(name.span(), bare(name.get_ref()), &format!("{what}: {hint}"));
            } else if let Some(table) = value.get_ref().as_table() {
                self.refuse_unknown_keys(name.get_ref(), None, table);
            } else if self.syntax.trusts(&value.span()) {
                let got = shown(value.get_ref());
                let message = format!("expected a table, got {got}");
                self.refuse_at(value.span(), name.get_ref().to_string(), message);
            }
        }
    }

    /// `path` and `index` are those of the table, as in a [`Key`].
    fn refuse_unknown_keys(&mut self, path: &str, index: Option<usize>, table: &DeTable<'_>) {
        for (name, value) in table {
            let name_is = |key: &Key| key.table == path && key.name == name.get_ref().as_ref();
            if self.known.iter().any(name_is) {
                continue;
            }
            let inner = format!("{path}.{}", name.get_ref());
            if self.known.iter().any(|key| key.table == inner) {
                let elements = value.get_ref().as_array().into_iter().flatten();
                for (index, element) in elements.enumerate() {
                    if let Some(table) = element.get_ref().as_table() {
                        self.refuse_unknown_keys(&inner, Some(index), table);
                    }
                }
                continue;
            }
            let (path_shown, header) = match index {
                None => (path.to_owned(), format!("[{path}]")),
                Some(index) => (format!("{path}[{index}]"), format!("[[{path}]]")),
            };
            let hint = suggest::for_key(path, &header, name.get_ref(), &self.known);
            let shown = format!("{path_shown}.{}", bare(name.get_ref()));
            self.refuse_name(name.span(), shown, &format!("unknown key: {hint}"));
        }
    }

    fn refuse_name(&mut self, span: Range<usize>, path: String, message: &str) {
        if self.syntax.trusts_name(&span) {
            self.refuse_at(span, path, message.to_owned());
        }
    }
}

/// The element that is refused, or the value as a whole.
fn place_of(value: &Spanned<DeValue<'_>>, refusal: &Refusal) -> Range<usize> {
    let array = value.get_ref().as_array();
    let element = array.zip(refusal.element).and_then(|(array, index)| array.get(index));
    element.unwrap_or(value).span()
}

/// A key as it stands in a file: bare where it can be (TOML 1.0, "Keys"), else in quotes.
fn bare(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}
