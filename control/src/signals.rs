//! Signals: the first one drains, the second one ends the process at once.

use std::io;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use hioload::Handle;
use tracing::info;

/// 128 and the number of SIGINT, as a shell says it.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Signals that come so soon after the first one are the same request: `timeout`, for one, sends its
/// signal to the process and then to its group.
const SAME_REQUEST_TIME_MAX: Duration = Duration::from_millis(100);

/// Signals that are caught, and wait.
pub(crate) struct Signals(imp::Signals);

/// Catches the signals that ask a process to end.
///
/// # Errors
/// When the system does not let them be caught.
pub(crate) fn catch() -> io::Result<Signals> {
    imp::catch().map(Signals)
}

impl Signals {
    /// Drains `handle` at the first signal, also one that came before this call.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn drain(self, handle: Handle) -> io::Result<()> {
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            let mut signals = self.0;
            let Some(name) = imp::next(&mut signals) else { return };
            let first = Instant::now();
            info!(signal = %name, "draining; a second signal ends at once");
            handle.drain();
            while imp::next(&mut signals).is_some() {
                if first.elapsed() > SAME_REQUEST_TIME_MAX {
                    // At once: without waiting for the log, whose reader may be why somebody is in
                    // such a hurry.
                    process::exit(EXIT_SECOND_SIGNAL);
                }
            }
        })?;
        Ok(())
    }
}

#[cfg(unix)]
mod imp {
    use std::io;

    use nix::sys::signal::SigSet;
    use signal_hook::consts::{SIGINT, SIGTERM};
    pub(super) use signal_hook::iterator::Signals;

    pub(super) fn catch() -> io::Result<Signals> {
        // A process inherits what its parent blocks, and that would wait for ever: a drain that was
        // asked for, and the frames of a tap of DPDK's, which it tells of by signals.
        SigSet::empty().thread_set_mask()?;
        Signals::new([SIGINT, SIGTERM])
    }

    pub(super) fn next(signals: &mut Signals) -> Option<&'static str> {
        let signal = signals.forever().next()?;
        Some(if signal == SIGINT { "SIGINT" } else { "SIGTERM" })
    }
}

#[cfg(windows)]
mod imp {
    use std::io;

    use crossbeam_channel::{Receiver, bounded};

    pub(super) type Signals = Receiver<()>;

    pub(super) fn catch() -> io::Result<Signals> {
        let (sender, signals) = bounded(2);
        let handler = move || {
            // More than two tell nothing new.
            let _ = sender.try_send(());
        };
        ctrlc::set_handler(handler).map_err(io::Error::other)?;
        Ok(signals)
    }

    pub(super) fn next(signals: &mut Signals) -> Option<&'static str> {
        signals.recv().ok().map(|()| "Ctrl-C or Ctrl-Break")
    }
}
