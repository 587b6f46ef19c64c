//! What a worker does while nothing comes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::options::Idle;
use crate::Wake;

/// Wakes a worker that sleeps between two looks at its ports.
#[derive(Debug, Default)]
pub struct StackWaker {
    woken: AtomicBool,
    asleep: AtomicBool,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Wake for StackWaker {
    fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.bell.notify_one();
        }
    }
}

impl StackWaker {
    fn sleep(&self, timeout: Duration) {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(true, Ordering::SeqCst);
        if !self.woken.load(Ordering::SeqCst) {
            // Whoever waits too short looks once more than needed.
            drop(self.bell.wait_timeout(guard, timeout));
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Whether somebody has woken the worker since the last call.
    fn take(&self) -> bool {
        self.woken.load(Ordering::Relaxed) && self.woken.swap(false, Ordering::SeqCst)
    }
}

/// The longest sleep of a worker. Others may change it while the worker runs, when they learn how long
/// its receive rings last. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct IdleStep(Arc<AtomicU64>);

impl IdleStep {
    /// Sleeps of this length at most, which is rounded down to nanoseconds.
    pub fn new(longest: Duration) -> Self {
        let step = Self::default();
        step.set(Some(longest));
        step
    }

    /// From here on the worker sleeps that long at most; with `None` it does not sleep.
    pub fn set(&self, longest: Option<Duration>) {
        let nanos = longest.map_or(0, |it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(nanos, Ordering::Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then_some(Duration::from_nanos(nanos))
    }
}

/// Counts empty looks, and sleeps when there were enough of them.
pub(crate) struct Idler {
    policy: Idle,
    waker: Arc<StackWaker>,
    empty_looks: u32,
}

impl Idler {
    pub(crate) fn new(policy: Idle, waker: Arc<StackWaker>) -> Self {
        Self { policy, waker, empty_looks: 0 }
    }

    pub(crate) fn waker(&self) -> Arc<StackWaker> {
        Arc::clone(&self.waker)
    }

    /// Something came or was due.
    pub(crate) fn found_work(&mut self) {
        self.empty_looks = 0;
    }

    /// Nothing came, and the worker has nothing else to do for as long as `timeout`.
    pub(crate) fn rest(&mut self, timeout: Duration) {
        if self.waker.take() {
            self.empty_looks = 0;
            return;
        }
        self.empty_looks = self.empty_looks.saturating_add(1);
        match &self.policy {
            Idle::Adaptive { spins, step }
                if self.empty_looks > *spins
                    && let Some(step) = step.get() =>
            {
                self.waker.sleep(step.min(timeout));
            }
            Idle::Adaptive { .. } | Idle::Busy => std::hint::spin_loop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    fn sleeping(longest: Duration) -> Idle {
        Idle::Adaptive { spins: 0, step: IdleStep::new(longest) }
    }

    #[test]
    fn whoever_is_woken_while_it_sleeps_wakes_at_once() {
        let waker = Arc::new(StackWaker::default());
        let step = Duration::from_secs(60);
        let mut idler = Idler::new(sleeping(step), Arc::clone(&waker));
        let begin = Instant::now();
        let other = thread::spawn(move || {
            while !waker.asleep.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            waker.wake();
        });
        idler.rest(step);
        other.join().expect("it wakes");
        assert!(begin.elapsed() < step);
    }

    #[test]
    fn a_worker_that_was_woken_before_does_not_sleep() {
        let waker = Arc::new(StackWaker::default());
        let step = Duration::from_secs(60);
        let mut idler = Idler::new(sleeping(step), Arc::clone(&waker));
        waker.wake();
        let begin = Instant::now();
        idler.rest(step);
        assert!(begin.elapsed() < step);
        assert!(!waker.take(), "once is enough");
    }

    #[test]
    fn a_worker_keeps_to_what_it_may_sleep_now() {
        let minute = Duration::from_secs(60);
        let step = IdleStep::new(minute);
        let policy = Idle::Adaptive { spins: 0, step: step.clone() };
        let mut idler = Idler::new(policy, Arc::default());
        let begin = Instant::now();
        step.set(None);
        idler.rest(minute);
        step.set(Some(Duration::from_millis(1)));
        idler.rest(minute);
        assert!(begin.elapsed() < minute);
    }
}
