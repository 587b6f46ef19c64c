//! The signals that ask a process to end: the first one ends the measurement, and the run reports what
//! there is; the second one ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// 128 and the number of SIGINT, as a shell says it.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Signals that come so soon after the first one are the same request: `timeout`, for one, sends its
/// signal to the process and then to its group.
const SAME_REQUEST_TIME_MAX: Duration = Duration::from_millis(100);

/// Whether the run is asked to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// When the system does not let them be caught.
    pub(crate) fn catch() -> io::Result<Self> {
        let interrupt = Self::default();
        imp::catch(First { interrupt: interrupt.clone(), at: None })?;
        Ok(interrupt)
    }

    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tells the first signal from the second one.
struct First {
    interrupt: Interrupt,
    at: Option<Instant>,
}

impl First {
    fn signalled(&mut self) {
        let first = *self.at.get_or_insert_with(Instant::now);
        self.interrupt.0.store(true, Ordering::Relaxed);
        if first.elapsed() > SAME_REQUEST_TIME_MAX {
            // Without the handlers of an ordinary exit: they would wait for threads that have
            // something to do.
            imp::exit(EXIT_SECOND_SIGNAL);
        }
    }
}

#[cfg(unix)]
mod imp {
    use std::io;
    use std::thread;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    pub(super) use signal_hook::low_level::exit;

    use super::First;

    pub(super) fn catch(mut first: First) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let thread = thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || signals.forever().for_each(|_| first.signalled()))?;
        Ok(())
    }
}

#[cfg(windows)]
mod imp {
    use std::io;
    pub(super) use std::process::exit;

    use super::First;

    pub(super) fn catch(mut first: First) -> io::Result<()> {
        ctrlc::set_handler(move || first.signalled()).map_err(io::Error::other)
    }
}
