//! A load generator that plays WebSocket clients, and checks all that they get.
//!
//! In comes a command line, out comes a [`std::process::ExitCode`] and a report. In between:
//!
//! ```text
//! cli -> plan -> run --(phases)--> fleet: a driver per thread, its clients, their inbox
//!                 |                  pace (when to send), message (what), outgoing (framed),
//!                 |                  frames (what came), check (was it right), ledger (who has
//!                 |                  it), latency
//!                 |                  --(transport)--> kernel: sockets | packet: frames
//!                 '-> report <------ shared (what both sides tell each other)
//! ```
//!
//! - `cli`, `plan`: the flags, and what they mean together
//! - `run`: the phases of a run, and the patience with each
//! - `driver/`: what the clients of a thread do, on whatever carries their bytes
//! - `transport`: the seam below; `kernel/`: the sockets of the system; `packet/`: a TCP of its own,
//!   on a port of DPDK's or on a wire in memory with a server behind it (`ring`)
//! - `hostile/`: clients of a thread that do harm, beside those of its driver: SYNs of nobody, requests
//!   that never end, and what breaks the rules
//! - `inbox`, `message`, `check`, `ledger`, `pace`, `latency`: what is sent, and what comes of it
//! - `upgrade`: the HTTP request and its answer; `outgoing`: frames of a client; `frames`: a strict
//!   reader of what servers send
//! - `interrupt`: the signals that end a run before its time
//! - `process`, `limits`: CPU and memory of the server, descriptors of this process
//! - `mix`: scenarios of phases in which clients come and go; `driver/mix` and `run/stages` play them
//! - `admin`, `server`: asks an appliance what it counts, and what that was in the measurement
//! - `series`: how the run went over time
//! - `report`, `progress`: what people and programs see; `report/page` is the one with charts,
//!   `host` the CPU, system and command line that it names
//!
//! Nothing is checked by the code that it checks: upgrade and framing are the client's side of RFC
//! 6455, written for this and tested against tungstenite. Nothing is allocated per message, since the
//! generator must cost far less than what it measures.
#![forbid(unsafe_code)]

mod admin;
mod check;
mod cli;
mod driver;
mod fleet;
mod frames;
mod host;
mod hostile;
mod inbox;
mod interrupt;
mod kernel;
mod latency;
mod ledger;
mod limits;
mod link;
mod message;
mod mix;
mod outcome;
mod outgoing;
mod pace;
mod packet;
mod plan;
mod process;
mod progress;
mod report;
mod ring;
mod run;
mod series;
mod server;
mod shared;
mod transport;
mod upgrade;

use std::io::{self, Write};
use std::process::ExitCode;

pub use cli::Cli;

use crate::host::Provenance;
use crate::hostile::Hostility;
use crate::interrupt::Interrupt;

/// A check failed, or the run could not be made.
const EXIT_FAILED: u8 = 1;

/// Does what the flags say, and prints what came of it.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    // A report is begun before the run.
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            let _ = writeln!(io::stderr(), "hioload-pktgen: signals cannot be caught: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let (plan, output) = match cli.plan() {
        Ok(planned) => planned,
        Err(error) => error.exit(),
    };
    if let Some(seed) = plan.hostile.and_then(Hostility::seed) {
        // Whatever comes of the run, this is what it takes to make it again.
        let _ = writeln!(io::stderr(), "hioload-pktgen: --seed {seed}");
    }
    let report = match run::conduct(plan, interrupt) {
        Ok(report) => report,
        Err(reason) => {
            // Where nobody reads it, the status still tells.
            let _ = writeln!(io::stderr(), "hioload-pktgen: {reason}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    if let (true, Some(verdict)) = (output.as_json, report.verdict()) {
        let _ = writeln!(io::stderr(), "hioload-pktgen: {verdict}");
        for example in report.examples() {
            let _ = writeln!(io::stderr(), "  {example}");
        }
    }
    let text = if output.as_json {
        // Numbers, strings and lists: there is nothing in it that JSON could not say.
        serde_json::to_string(&report).unwrap_or_default()
    } else {
        report.to_string().trim_end().to_owned()
    };
    let printed = writeln!(io::stdout(), "{text}");
    let written = output
        .report
        .map_or(Ok(()), |file| file.finish(&report::render(&report, &Provenance::now())?));
    if let Err(reason) = &written {
        let _ = writeln!(io::stderr(), "hioload-pktgen: --report {reason}");
    }
    if report.ok && printed.is_ok() && written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_FAILED)
    }
}
