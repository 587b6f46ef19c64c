//! The example files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hioload_config::{Config, ListenAddress};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn every_example_is_a_valid_configuration() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.validate(), Ok(()), "{}", path.display());
        names.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let expected = ["chat.toml", "feed.toml", "minimal.toml", "reference.toml"];
    assert_eq!(names, BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn the_reference_sets_every_key_to_its_default() {
    let text = fs::read_to_string(folder().join("reference.toml")).unwrap();
    assert_eq!(Config::parse(&text, "reference.toml").unwrap(), Config::default());
    assert_eq!(keys(&text), keys(&Config::default().to_toml()));
}

#[test]
fn the_minimal_example_changes_the_address_only() {
    let config = Config::load(folder().join("minimal.toml")).unwrap();
    let mut expected = Config::default();
    expected.server.listen = vec!["127.0.0.1:9000".parse::<ListenAddress>().unwrap()];
    assert_eq!(config, expected);
}

/// The dotted paths of the keys that a text sets, in order.
fn keys(text: &str) -> Vec<String> {
    let mut table = "";
    let mut keys = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name;
        } else if let Some((name, _)) = line.split_once(" = ") {
            keys.push(format!("{table}.{name}"));
        }
    }
    keys
}
