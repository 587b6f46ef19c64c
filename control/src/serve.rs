//! `hioload serve`: from flags to a running appliance, and to its end.

use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
use std::process::ExitCode;

use hioload::config::Config;
use hioload::{Appliance, Broadcast, Drained, ListenError, Logging, Metrics, Recovery, StartError};
use tracing::{error, info, warn};

use crate::cli::ServeFlags;
use crate::{EXIT_CUT_OFF, EXIT_FAILED, EXIT_USAGE, limits, logging, refuse, signals};

/// Serves until a signal, or the admin interface, ends it.
pub(crate) fn run(flags: &ServeFlags) -> ExitCode {
    let config = match flags.config() {
        Ok(config) => config,
        Err(faults) => return refuse(&faults, EXIT_USAGE),
    };
    let log = match logging::start(&config.control) {
        Ok(log) => log,
        Err(fault) => return refuse(&fault, EXIT_USAGE),
    };
    match serve(config) {
        Ok(status) => status,
        Err(reason) => {
            // What the log says of the way here comes first.
            drop(log);
            refuse(&reason, EXIT_FAILED)
        }
    }
}

fn serve(config: Config) -> Result<ExitCode, String> {
    // From here on a signal waits for the appliance, whose start it does not cut short.
    let signals = signals::catch().map_err(|error| {
        format!("cannot catch signals: {error}; run it as a process of its own")
    })?;
    let descriptors = limits::raise_descriptors();
    let appliance = start(config).map_err(|error| explain(&error))?;
    limits::report(&descriptors);
    signals
        .drain(appliance.handle())
        .map_err(|error| format!("cannot start a thread for signals: {error}"))?;
    match appliance.join() {
        Ok(drained) => Ok(report(drained)),
        Err(error) => {
            error!(%error, "the appliance could not go on");
            Ok(ExitCode::from(EXIT_FAILED))
        }
    }
}

fn start(config: Config) -> Result<Appliance, StartError> {
    Appliance::builder()
        .config(config)
        .handler(Broadcast)
        .layer(Logging::default())
        .layer(Recovery)
        .layer(Metrics::default())
        .chat_page()
        .start()
}

/// The error, and what to do about it where that is in the flags.
fn explain(error: &StartError) -> String {
    match error {
        // Where something else is missing, descriptors for one, another address is no help.
        StartError::Listen(ListenError::Address { cause, .. })
            if matches!(cause.kind(), AddrInUse | AddrNotAvailable | PermissionDenied) =>
        {
            format!("{error}; choose another address with --addr")
        }
        error => error.to_string(),
    }
}

fn report(Drained { closed, cut_off }: Drained) -> ExitCode {
    if cut_off == 0 {
        info!(closed, "drained: every client was closed in time");
        ExitCode::SUCCESS
    } else {
        warn!(closed, cut_off, "drained: clients were cut off at the end of control.drain_timeout");
        ExitCode::from(EXIT_CUT_OFF)
    }
}
