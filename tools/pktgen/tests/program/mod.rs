//! The program in a process of its own.

use std::process::Command;

use serde_json::Value;

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

impl Ran {
    /// A figure; one within an object behind a dot, as in `hostile.syns`.
    pub(crate) fn number(&self, field: &str) -> u64 {
        let value = field.split('.').fold(&self.json, |value, name| &value[name]);
        value.as_u64().unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }
}

/// Runs it with these flags, and `--json`, against a server.
pub(crate) fn run(target: &str, flags: &str) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_hioload-pktgen"))
        .args(flags.split(' '))
        .args(["--target", target, "--json"])
        .output()
        .expect("it runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.lines().count() <= 1, "one line of JSON: {stdout}");
    Ran {
        status: output.status.code().unwrap_or_else(|| panic!("{}: {flags}", output.status)),
        json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
