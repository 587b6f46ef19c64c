//! Readiness of sockets, and how a thread that waits for it is woken.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};

use crate::Wake;

/// Names the waker among events; sockets have lower tokens.
const WAKE: Token = Token(usize::MAX);

/// Events taken from the system at once; the others come with the next call.
const EVENTS_PER_WAIT: usize = 1024;

/// One poller, for one thread.
pub(super) struct Poller {
    poll: Poll,
    events: Events,
    waker: Arc<KernelWaker>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        let waker = Arc::new(KernelWaker { state: AtomicU8::new(AWAKE), waker });
        Ok(Self { poll, events: Events::with_capacity(EVENTS_PER_WAIT), waker })
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    pub(super) fn waker(&self) -> &Arc<KernelWaker> {
        &self.waker
    }

    /// Waits for events and returns them, wakes left out. None when woken or interrupted.
    ///
    /// The waker is heard from one call to the next: what a thread did before it called `wake` is
    /// seen by whoever looks after this call returns, and a `wake` after that look makes the next
    /// call return at once.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = &mio::event::Event>> {
        let may_sleep = timeout != Some(Duration::ZERO) && self.waker.fall_asleep();
        let timeout = if may_sleep { timeout } else { Some(Duration::ZERO) };
        let result = self.poll.poll(&mut self.events, timeout);
        self.waker.wake_up();
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(self.events.iter().filter(|event| event.token() != WAKE)),
        }
    }
}

/// Wakes the thread of a [`Poller`]. While that thread is awake this is one atomic exchange and
/// no system call.
pub(super) struct KernelWaker {
    state: AtomicU8,
    waker: mio::Waker,
}

/// The thread works, and nobody has called since it last woke up.
const AWAKE: u8 = 0;
/// The thread sleeps, or is about to.
const ASLEEP: u8 = 1;
/// Somebody has called since the thread last woke up.
const CALLED: u8 = 2;

impl KernelWaker {
    /// Announces that the thread goes to sleep; `false` when it must not, as it was called.
    fn fall_asleep(&self) -> bool {
        let awake = self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        awake.is_ok()
    }

    fn wake_up(&self) {
        self.state.swap(AWAKE, Ordering::AcqRel);
    }
}

impl Wake for KernelWaker {
    fn wake(&self) {
        // Always an exchange, never a load alone: it orders this call before or after the one in
        // `wake_up`, and in the first case what the caller did before is seen by the thread.
        if self.state.swap(CALLED, Ordering::AcqRel) == ASLEEP
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake a worker");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(20));

    #[test]
    fn waking_an_awake_thread_makes_no_system_call_and_is_remembered() {
        let mut poller = Poller::new().expect("a poller");
        poller.waker().wake();
        poller.waker().wake();
        let before = Instant::now();
        poller.poll.poll(&mut poller.events, Some(Duration::ZERO)).expect("a poll");
        assert!(poller.events.is_empty(), "the system was called");
        assert_eq!(poller.wait(LONG).expect("a wait").count(), 0);
        assert!(before.elapsed() < Duration::from_secs(10), "the call was forgotten");
    }

    #[test]
    fn a_sleeping_thread_is_woken_from_another() {
        let mut poller = Poller::new().expect("a poller");
        let waker = Arc::clone(poller.waker());
        let before = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while waker.state.load(Ordering::Acquire) != ASLEEP {
                    std::thread::yield_now();
                }
                waker.wake();
            });
            assert_eq!(poller.wait(LONG).expect("a wait").count(), 0);
        });
        assert!(before.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_hundred_thousand_wakes_in_a_race_lose_none() {
        const WAKES: u32 = 100_000;
        let mut poller = Poller::new().expect("a poller");
        let waker = Arc::clone(poller.waker());
        let (sent, seen) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for wake in 1..=WAKES {
                    sent.store(wake, Ordering::Relaxed);
                    waker.wake();
                    // In step, so that each wake meets a thread that is about to sleep.
                    while seen.load(Ordering::Relaxed) < wake {
                        std::hint::spin_loop();
                    }
                }
            });
            while seen.load(Ordering::Relaxed) < WAKES {
                let before = Instant::now();
                assert_eq!(poller.wait(LONG).expect("a wait").count(), 0);
                assert!(before.elapsed() < Duration::from_secs(10), "a wake was lost");
                seen.store(sent.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        });
    }
}
