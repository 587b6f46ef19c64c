//! The log: text for people or JSON for programs, on standard error.
//!
//! Lines go through a bounded queue to a thread that writes them, so that a reader of the log who
//! falls asleep stops nobody. What does not fit is lost, and the loss is told.

use std::env::{self, VarError};
use std::io::{self, IsTerminal};
use std::panic;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hioload::config::{Control, LogFormat, LogLevel};
use tracing::{error, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Lines that wait to be written.
const LINES_MAX: usize = 8192;

/// How long the end of the log may take: a little longer than `WorkerGuard` waits for its writer.
const END_TIME_MAX: Duration = Duration::from_millis(1500);

/// The running log. On drop it writes what is queued, for about a second at most.
pub(crate) struct Log {
    lost: ErrorCounter,
    writer: Option<WorkerGuard>,
}

/// Starts the log of this process.
///
/// # Errors
/// When `RUST_LOG` is no filter, or there is a log already.
pub(crate) fn start(control: &Control) -> Result<Log, String> {
    let filter = filter(control.log_level)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(io::stderr());
    let lost = writer.error_counter();
    install(control.log_format, filter, writer)
        .map_err(|error| format!("cannot start the log: {error}"))?;
    panic::set_hook(Box::new(log_panic));
    Ok(Log { lost, writer: Some(guard) })
}

fn install(
    format: LogFormat,
    filter: EnvFilter,
    writer: NonBlocking,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let builder = fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => builder.compact().with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
}

/// The level of the configuration, refined by what `RUST_LOG` says of single parts.
fn filter(level: LogLevel) -> Result<EnvFilter, String> {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let directives = match env::var("RUST_LOG") {
        Ok(refinement) => format!("{level},{refinement}"),
        Err(VarError::NotPresent) => level.to_owned(),
        Err(error @ VarError::NotUnicode(_)) => return Err(format!("RUST_LOG: {error}")),
    };
    EnvFilter::builder()
        .parse(&directives)
        .map_err(|error| format!("RUST_LOG: {error}; write it as in RUST_LOG=hioload_engine=debug"))
}

/// A panic is a line of the log like others: written by the log's thread, in the log's format.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("without a message");
    let thread = thread::current();
    error!(thread = thread.name().unwrap_or("unnamed"), %location, "panic: {message}");
}

impl Drop for Log {
    fn drop(&mut self) {
        let lines = self.lost.dropped_lines();
        if lines > 0 {
            warn!(lines, "lines of the log were lost, since they were not read fast enough");
        }
        let writer = self.writer.take();
        // Where the queue is full, the guard says so on standard output, which may be the same pipe
        // that nobody reads: not on this thread, which is about to end the process.
        let (ended, end) = mpsc::channel::<()>();
        let ending = move || {
            drop(writer);
            drop(ended);
        };
        // Without a thread the closure is dropped here, and the guard in it.
        let _ = thread::Builder::new().name("log-end".to_owned()).spawn(ending);
        let _ = end.recv_timeout(END_TIME_MAX);
    }
}
