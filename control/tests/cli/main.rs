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
mod serve;
#[cfg_attr(windows, expect(dead_code, reason = "signals are tested on Unix alone"))]
mod server;
#[cfg(unix)]
mod stats;
