//! What EAL, the part of DPDK that starts it, is told.

use toml::de::DeValue;

use super::{Kind, Refusal, collect, quoted, shown, strings, toml_array, toml_string};
use crate::{Memory, size};

use super::number::Size;

const MIB: usize = 1 << 20;

/// DPDK is built for this many (`RTE_MAX_NUMA_NODES`).
const NODES_MAX: usize = 32;
const PREFIX_BYTES_MAX: usize = 64;
const ARGUMENTS_MAX: usize = 64;
const ARGUMENT_BYTES_MAX: usize = 255;

/// EAL counts in MiB, in a 32-bit number.
const MEMORY: Size = Size { min: 0, max: (1_usize << 20).saturating_mul(MIB) };

/// `"auto"`, a size, or a list of sizes, the first for NUMA node 0.
pub(crate) struct EalMemory;

impl Kind<Memory> for EalMemory {
    fn read(&self, value: &DeValue<'_>) -> Result<Memory, Vec<Refusal>> {
        const EXPECTED: &str = "\"auto\", a size such as \"1 GiB\" or a list of them";
        match value {
            DeValue::String(text) if text == "auto" => Ok(Memory::Auto),
            DeValue::Array(array) => {
                let size = |(index, element): (usize, &toml::Spanned<DeValue<'_>>)| {
                    let value = element.get_ref();
                    let refusal = |_| Refusal::new("a size such as \"1 GiB\"", shown(value));
                    MEMORY.read(value).map_err(|it| refusal(it).of_element(index))
                };
                collect(array.iter().enumerate().map(size)).map(Memory::Nodes)
            }
            value => {
                let refusal = |_| vec![Refusal::new(EXPECTED, shown(value))];
                MEMORY.read(value).map(Memory::Each).map_err(refusal)
            }
        }
    }

    fn check(&self, memory: &Memory) -> Vec<Refusal> {
        match memory {
            Memory::Auto => Vec::new(),
            Memory::Each(bytes) => unusable(*bytes).into_iter().collect(),
            Memory::Nodes(nodes) if nodes.is_empty() || nodes.len() > NODES_MAX => {
                let expected = format!("sizes for 1 to {NODES_MAX} NUMA nodes");
                vec![Refusal::new(expected, nodes.len().to_string())]
            }
            Memory::Nodes(nodes) if nodes.iter().all(|bytes| *bytes == 0) => {
                vec![Refusal::new("memory of a NUMA node at least", "none")]
            }
            Memory::Nodes(nodes) => {
                let used = nodes.iter().enumerate().filter(|(_, bytes)| **bytes != 0);
                used.filter_map(|(index, bytes)| Some(unusable(*bytes)?.of_element(index)))
                    .collect()
            }
        }
    }

    fn print(&self, memory: &Memory) -> String {
        match memory {
            Memory::Auto => toml_string("auto"),
            Memory::Each(bytes) => toml_string(&size::print(*bytes)),
            Memory::Nodes(nodes) => toml_array(nodes.iter().map(|bytes| size::print(*bytes))),
        }
    }
}

fn unusable(bytes: usize) -> Option<Refusal> {
    let in_bounds = (MIB..=MEMORY.max).contains(&bytes);
    (!in_bounds || !bytes.is_multiple_of(MIB)).then(|| {
        let expected = format!("whole MiB from 1 MiB to {}", size::print(MEMORY.max));
        Refusal::new(expected, size::print(bytes))
    })
}

/// What sets this process apart from others on DPDK: part of the names of files.
pub(crate) struct FilePrefix;

impl Kind<String> for FilePrefix {
    fn read(&self, value: &DeValue<'_>) -> Result<String, Vec<Refusal>> {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| vec![Refusal::new("a name such as \"hioload\"", shown(value))])
    }

    fn check(&self, prefix: &String) -> Vec<Refusal> {
        let accepted = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let starts_well = prefix.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && prefix.len() <= PREFIX_BYTES_MAX && prefix.bytes().all(accepted) {
            return Vec::new();
        }
        let expected = format!(
            "1 to {PREFIX_BYTES_MAX} letters, digits and _-. that begin with a letter or digit"
        );
        vec![Refusal::new(expected, quoted(prefix))]
    }

    fn print(&self, prefix: &String) -> String {
        toml_string(prefix)
    }
}

/// Options of EAL that hioload sets by itself or that would end it, and the key to use instead.
const RESERVED: &[(&str, &str)] = &[
    ("--lcores", "dpdk.port lcores"),
    ("--main-lcore", "dpdk.port lcores"),
    ("--master-lcore", "dpdk.port lcores"),
    ("--socket-mem", "dpdk.memory"),
    ("--socket-limit", "dpdk.memory"),
    ("--file-prefix", "dpdk.file_prefix"),
    ("--no-huge", "dpdk.huge_pages"),
    ("--in-memory", "dpdk.huge_pages"),
    ("--no-shconf", "dpdk.huge_pages"),
    ("--vdev", "dpdk.port vdev"),
    ("--no-pci", "dpdk.port pci"),
    ("--allow", "dpdk.port pci"),
    ("--block", "dpdk.port pci"),
    ("--pci-whitelist", "dpdk.port pci"),
    ("--pci-blacklist", "dpdk.port pci"),
    ("--proc-type", ""),
    ("--help", ""),
    ("--version", ""),
];

/// The same for options of one letter. Others than these and those that are passed are not known.
const RESERVED_LETTERS: &[(char, &str)] = &[
    ('l', "dpdk.port lcores"),
    ('c', "dpdk.port lcores"),
    ('s', ""),
    ('S', ""),
    ('m', "dpdk.memory"),
    ('a', "dpdk.port pci"),
    ('b', "dpdk.port pci"),
    ('w', "dpdk.port pci"),
];

/// Options of one letter that are passed: a driver to load, memory channels and ranks.
const PASSED_LETTERS: &str = "dnr";

/// More arguments for EAL, none of which is one that hioload sets.
pub(crate) struct EalArguments;

impl Kind<Vec<String>> for EalArguments {
    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Vec<Refusal>> {
        const EXPECTED: &str = "a list of arguments such as [\"--log-level=lib.eal:debug\"]";
        let array = value.as_array().ok_or_else(|| vec![Refusal::new(EXPECTED, shown(value))])?;
        let texts = strings(array, "an argument such as \"--log-level=lib.eal:debug\"")?;
        Ok(texts.into_iter().map(str::to_owned).collect())
    }

    fn check(&self, arguments: &Vec<String>) -> Vec<Refusal> {
        if arguments.len() > ARGUMENTS_MAX {
            let expected = format!("at most {ARGUMENTS_MAX} arguments");
            return vec![Refusal::new(expected, arguments.len().to_string())];
        }
        let refusal = |(index, argument): (usize, &String)| {
            let expected = argument_fault(argument)?;
            Some(Refusal::new(expected, quoted(argument)).of_element(index))
        };
        arguments.iter().enumerate().filter_map(refusal).collect()
    }

    fn print(&self, arguments: &Vec<String>) -> String {
        toml_array(arguments)
    }
}

/// What should stand in the place of `argument`, where EAL may not have it.
fn argument_fault(argument: &str) -> Option<String> {
    let is_visible = |c: char| !c.is_control();
    if !(1..=ARGUMENT_BYTES_MAX).contains(&argument.len()) || !argument.chars().all(is_visible) {
        return Some(format!("1 to {ARGUMENT_BYTES_MAX} bytes without control characters"));
    }
    if argument.starts_with("--") {
        let name = argument.split_once('=').map_or(argument, |(name, _)| name);
        // EAL takes names that are cut short, as `getopt_long` does; "--" alone ends its options.
        let reserved = RESERVED.iter().find(|(reserved, _)| reserved.starts_with(name))?;
        return Some(without(reserved.0, reserved.1));
    }
    let letter = argument.strip_prefix('-')?.chars().next()?;
    if PASSED_LETTERS.contains(letter) {
        return None;
    }
    let reserved = RESERVED_LETTERS.iter().find(|(reserved, _)| *reserved == letter);
    Some(without(&format!("-{letter}"), reserved.map_or("", |(_, key)| key)))
}

fn without(option: &str, key: &str) -> String {
    match key {
        "" => format!("arguments without {option}, which is not for a server"),
        key => format!("arguments without {option}, which hioload sets from {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hioload_sets_itself_is_refused_however_it_is_written() {
        for argument in [
            "-l",
            "-l0-3",
            "-c",
            "-m",
            "-m512",
            "-a",
            "-a0000:03:00.0",
            "-vl0",
            "-h",
            "--",
            "--lcores",
            "--lcores=0@0",
            "--lc=0",
            "--main-lcore=1",
            "--socket-mem",
            "--socket-mem=64",
            "--file-prefix=x",
            "--file=x",
            "--vdev=net_null0",
            "--no-pci",
            "--no-huge",
            "--no-hu",
            "--in-memory",
            "--proc-type=secondary",
            "",
            "a\0b",
        ] {
            assert!(argument_fault(argument).is_some(), "{argument:?}");
        }
    }

    #[test]
    fn other_arguments_are_passed() {
        for argument in [
            "--log-level=lib.eal:debug",
            "--log-level",
            "lib.eal:8",
            "--iova-mode=va",
            "--huge-dir=/mnt/huge",
            "--no-hpet",
            "--single-file-segments",
            "--no-telemetry",
            "-n4",
            "-n",
            "4",
            "-d/usr/lib/pmd.so",
        ] {
            assert_eq!(argument_fault(argument), None, "{argument:?}");
        }
    }
}
