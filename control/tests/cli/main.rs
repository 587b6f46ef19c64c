//! The `hioload` program, as a shell sees it.

mod check;
mod connection_log;
#[cfg(target_os = "linux")]
mod cpus;
mod flags;
#[cfg(unix)]
mod log;
mod process;
mod serve;
mod server;
#[path = "../common/signals.rs"]
mod signals;
mod stats;
