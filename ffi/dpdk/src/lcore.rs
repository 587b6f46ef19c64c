//! Closures on lcores.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::eal::Eal;
use crate::errno::Errno;

/// The number of an lcore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LcoreId(pub u32);

impl fmt::Display for LcoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The lcore whose thread calls; `None` on threads that the EAL has not made.
pub fn current_lcore() -> Option<LcoreId> {
    // SAFETY: reads a variable of the thread.
    let id = unsafe { dpdk_sys::shim_lcore_id() };
    (id != dpdk_sys::SHIM_LCORE_ID_ANY).then_some(LcoreId(id))
}

/// Why nothing was launched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The EAL has no worker of that number.
    #[error("there is no worker lcore {lcore}; there are {workers:?}")]
    NoSuchWorker {
        /// The number.
        lcore: LcoreId,
        /// The numbers that there are.
        workers: Vec<u32>,
    },
    /// It has not come to the end of what it was given before.
    #[error("lcore {0} is busy")]
    Busy(LcoreId),
    /// The EAL says no.
    #[error("lcore {lcore} cannot be launched: {errno}")]
    Refused {
        /// The number.
        lcore: LcoreId,
        /// The reason.
        errno: Errno,
    },
}

/// Something that runs on an lcore, or has run.
///
/// Dropping it while the closure runs leaves that running, and the EAL with it, to the end of the
/// process.
#[derive(Debug)]
pub struct LcoreHandle<T> {
    lcore: LcoreId,
    result: Receiver<thread::Result<T>>,
    /// Keeps the EAL while the lcore may run; `None` once it has been given up or joined.
    eal: Option<Eal>,
}

type Task = Box<dyn FnOnce() + Send>;

impl Eal {
    /// Runs a closure on a worker lcore. A panic ends the closure alone, and the handle says so.
    ///
    /// # Errors
    /// When there is no such worker, or it is busy.
    pub fn launch<T, F>(&self, lcore: LcoreId, run: F) -> Result<LcoreHandle<T>, LaunchError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let workers = self.workers();
        if !workers.contains(&lcore) {
            let workers = workers.iter().map(|worker| worker.0).collect();
            return Err(LaunchError::NoSuchWorker { lcore, workers });
        }
        let (send, result) = sync_channel(1);
        let task: Task = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(run));
            // Nobody waits where the handle is gone.
            let _ = send.send(result);
        });
        // A pointer to a trait object has two words, and DPDK hands over one.
        let task = Box::into_raw(Box::new(task));

        let control = self.control();
        // SAFETY: the lcore is a worker; `enter` takes the box apart exactly once.
        let launched =
            unsafe { dpdk_sys::rte_eal_remote_launch(Some(enter), task.cast::<c_void>(), lcore.0) };
        drop(control);
        if launched != 0 {
            // SAFETY: not launched, so the box is ours again.
            drop(unsafe { Box::from_raw(task) });
            let errno = Errno::of(launched);
            const EBUSY: i32 = 16;
            return Err(match errno.number() {
                EBUSY => LaunchError::Busy(lcore),
                _ => LaunchError::Refused { lcore, errno },
            });
        }
        Ok(LcoreHandle { lcore, result, eal: Some(self.clone()) })
    }
}

/// Where an lcore begins. No panic leaves it.
unsafe extern "C" fn enter(task: *mut c_void) -> c_int {
    // SAFETY: `launch` made it of a box, for this call alone.
    let task = unsafe { Box::from_raw(task.cast::<Task>()) };
    // The task catches the closure's panics; dropping its result may panic once more.
    match catch_unwind(AssertUnwindSafe(task)) {
        Ok(()) => 0,
        Err(panic) => {
            // Dropping what a panic carries may panic, too.
            mem::forget(panic);
            -1
        }
    }
}

impl<T> LcoreHandle<T> {
    /// The lcore.
    pub fn lcore(&self) -> LcoreId {
        self.lcore
    }

    /// Waits for the end of the closure, and gives what it returned.
    ///
    /// # Errors
    /// What the closure panicked with.
    pub fn join(mut self) -> thread::Result<T> {
        let result = self.result.recv().unwrap_or_else(|error| Err(Box::new(error)));
        self.finish();
        result
    }

    /// Waits for the end as [`join`](Self::join) does, but not for ever.
    ///
    /// # Errors
    /// The handle, when the time is over.
    pub fn join_within(mut self, time: Duration) -> Result<thread::Result<T>, Self> {
        let result = match self.result.recv_timeout(time) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => return Err(self),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Box::new(RecvTimeoutError::Disconnected) as Box<dyn Any + Send>)
            }
        };
        self.finish();
        Ok(result)
    }

    /// Waits until the lcore, which has given its result, can be launched again.
    fn finish(&mut self) {
        while self.running() {
            thread::yield_now();
        }
        self.eal = None;
    }

    fn running(&self) -> bool {
        // SAFETY: the lcore is a worker of the EAL, which runs while `self.eal` is there.
        self.eal.is_some()
            && unsafe { dpdk_sys::rte_eal_get_lcore_state(self.lcore.0) } == dpdk_sys::RUNNING
    }
}

impl<T> Drop for LcoreHandle<T> {
    fn drop(&mut self) {
        if self.running() {
            mem::forget(self.eal.take());
        }
    }
}
