//! The `hioload` program, as a shell sees it.

mod check;
#[cfg(unix)]
mod connection_log;
#[cfg(target_os = "linux")]
mod cpus;
mod flags;
#[cfg(unix)]
mod log;
mod process;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod stats;
