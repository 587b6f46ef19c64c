//! The `hioload` program: `serve` runs the appliance, `check` says what a file means, `stats` what
//! a running appliance is doing.
//!
//! Exit status: 0 done; 1 it could not start or go on, or no appliance answered; 2 bad flags or
//! configuration; 3 the end of the drain cut clients off; 130 a second signal ended it.
#![forbid(unsafe_code)]

mod cli;
mod inspect;
mod limits;
mod logging;
mod serve;
mod signals;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use hioload::Config;

use crate::cli::{Cli, Command};

/// It could not start or go on.
const EXIT_FAILED: u8 = 1;

/// Bad flags or configuration; clap exits with the same.
const EXIT_USAGE: u8 = 2;

/// The end of the drain cut clients off.
const EXIT_CUT_OFF: u8 = 3;

fn main() -> ExitCode {
    match Cli::parse().into_command() {
        Command::Serve(flags) => serve::run(&flags),
        Command::Check { file } => check(&file),
        Command::Stats(flags) => inspect::stats(&flags),
    }
}

/// Prints the configuration that the file makes, and the memory that its ports need here, or all
/// that is wrong with it.
fn check(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => return refuse(&error, EXIT_USAGE),
    };
    let mut text = config.to_toml();
    if let Some(capacity) = hioload::capacity(&config) {
        if let Err(error) = capacity.check(&config.dpdk.memory) {
            return refuse(&format_args!("{}: {error}", file.display()), EXIT_USAGE);
        }
        // What is printed is a configuration still.
        text.push_str("\n# Memory on this host:\n");
        text.extend(capacity.to_string().lines().map(|line| format!("# {line}\n")));
    }
    print(&text, "the configuration")
}

/// Prints what was asked for, which is `what`.
fn print(text: &str, what: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // `hioload check FILE | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => refuse(&format_args!("cannot print {what}: {error}"), EXIT_FAILED),
    }
}

/// Says why this is the end, and with what exit status. Faults of a file begin with its name, as
/// editors expect it, so nothing stands before them.
fn refuse(reason: &dyn fmt::Display, status: u8) -> ExitCode {
    // Where nobody reads it, the status still tells.
    let _ = writeln!(io::stderr(), "{reason}");
    ExitCode::from(status)
}
