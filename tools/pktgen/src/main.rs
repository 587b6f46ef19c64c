//! The `hioload-pktgen` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    hioload_pktgen::run(hioload_pktgen::Cli::parse())
}
