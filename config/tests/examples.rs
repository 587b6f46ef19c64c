//! The example files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hioload_config::{Config, Device, Lcores, ListenAddress, Port};

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
    let expected = [
        "chat.toml",
        "dpdk-one-nic.toml",
        "dpdk-two-nics.toml",
        "feed.toml",
        "minimal.toml",
        "reference.toml",
    ];
    assert_eq!(names, BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn the_reference_sets_every_key_to_its_default() {
    let text = fs::read_to_string(folder().join("reference.toml")).unwrap();
    assert_eq!(Config::parse(&text, "reference.toml").unwrap(), Config::default());
    assert_eq!(keys(&text), keys(&Config::default().to_toml()));
}

#[test]
fn the_reference_documents_every_key_of_a_port_with_its_default() {
    let text = fs::read_to_string(folder().join("reference.toml")).unwrap();
    // Prose has a space behind its "#".
    let is_setting = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let uncommented = |line| match str::strip_prefix(line, "#") {
        Some(setting) if is_setting(setting) => setting,
        _ => line,
    };
    let text = text.lines().map(uncommented).collect::<Vec<_>>().join("\n");
    let default = "listen = [\"127.0.0.1:8080\", \"[::1]:8080\"]";
    let text = text.replace(default, "listen = \":8080\"");

    let config = Config::parse(&text, "reference.toml").unwrap();
    assert_eq!(keys(&text), keys(&config.to_toml()));
    let expected = Port {
        device: Device::Pci("0000:03:00.0".to_owned()),
        addresses: ["10.0.0.1/24", "fd00::1/64"].map(|it| it.parse().unwrap()).to_vec(),
        ..Port::default()
    };
    assert_eq!(config.dpdk.ports, [expected]);
}

#[test]
fn the_example_of_two_nics_has_a_worker_for_each_lcore() {
    let config = Config::load(folder().join("dpdk-two-nics.toml")).unwrap();
    let lcores: Vec<_> = config.dpdk.ports.iter().map(|port| port.lcores.clone()).collect();
    let expected = [1..=7, 17..=23].map(|cpus| Lcores::List(cpus.collect()));
    assert_eq!(lcores, expected);
    assert_eq!(config.server.workers, 14);
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
