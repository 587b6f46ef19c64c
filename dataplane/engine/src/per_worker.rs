//! State that each worker has for itself.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_utils::CachePadded;
use hioload_config::WORKERS_MAX;

/// A worker of the appliance, by its number from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub(crate) u16);

impl WorkerId {
    /// The number of the worker.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// A value of its own for each worker, made when a worker first asks for it.
///
/// A handler is shared by all workers. What it changes with every message (a cache, a count, a
/// buffer to build answers in) is best kept here: no other worker waits for it or pulls its cache
/// line away. The lock around each value is free unless another thread reads through
/// [`for_each`](Self::for_each), which is how a probe sums up.
///
/// ```
/// # use hioload_engine as hioload;
/// use std::sync::Arc;
///
/// use hioload::{Handler, HandlerError, Message, Outbox, PerWorker, Session};
///
/// struct Shouting {
///     scratch: Arc<PerWorker<String>>,
/// }
///
/// impl Handler for Shouting {
///     fn on_message(&self, session: &Session, message: Message<'_>, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
///         let mut scratch = self.scratch.get(session.worker());
///         scratch.clear();
///         scratch.extend(message.text().unwrap_or("?").chars().map(|it| it.to_ascii_uppercase()));
///         out.broadcast(scratch.as_str());
///         Ok(())
///     }
/// }
///
/// let scratch = Arc::new(PerWorker::<String>::default());
/// let handler = Shouting { scratch: Arc::clone(&scratch) };
/// let mut bytes = 0;
/// scratch.for_each(|text| bytes += text.capacity()); // no worker has said anything yet
/// assert_eq!(bytes, 0);
/// # drop(handler);
/// ```
pub struct PerWorker<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    slots: Box<[OnceLock<Slot<T>>]>,
}

/// On the heap, so that there is a slot for every worker that there could be; on a cache line of
/// its own.
type Slot<T> = Box<CachePadded<Mutex<T>>>;

impl<T: Send> PerWorker<T> {
    /// Values that `make` makes.
    pub fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let slots = (0..WORKERS_MAX).map(|_| OnceLock::new()).collect();
        Self { make: Box::new(make), slots }
    }

    /// The value of `worker`, which is the worker that calls:
    /// [`Session::worker`](crate::Session::worker),
    /// [`UpgradeRequest::worker`](crate::UpgradeRequest::worker) or
    /// [`GetRequest::worker`](crate::GetRequest::worker).
    ///
    /// It is locked while the guard is kept: do not ask for it again meanwhile. After a panic that
    /// was caught the value is as the panic left it.
    pub fn get(&self, worker: WorkerId) -> MutexGuard<'_, T> {
        let slot = self.slots[worker.get()]
            .get_or_init(|| Box::new(CachePadded::new(Mutex::new((self.make)()))));
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the value of each worker that has one, from any thread. A worker that wants its
    /// value meanwhile waits, so be quick.
    pub fn for_each(&self, mut look: impl FnMut(&T)) {
        for slot in self.slots.iter().filter_map(OnceLock::get) {
            look(&slot.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl<T: Default + Send + 'static> Default for PerWorker<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T> fmt::Debug for PerWorker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.slots.iter().filter(|slot| slot.get().is_some()).count();
        f.debug_struct("PerWorker").field("workers", &workers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_value_of_its_own_and_a_probe_sees_all() {
        let counts = PerWorker::new(|| 100_u64);
        *counts.get(WorkerId(0)) += 1;
        *counts.get(WorkerId(511)) += 2;
        *counts.get(WorkerId(0)) += 1;
        assert_eq!((*counts.get(WorkerId(0)), *counts.get(WorkerId(511))), (102, 102));
        let mut seen = Vec::new();
        counts.for_each(|count| seen.push(*count));
        assert_eq!(seen, [102, 102]);
    }

    #[test]
    fn a_value_outlives_a_panic_that_was_caught() {
        let counts = PerWorker::<u64>::default();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut count = counts.get(WorkerId(1));
            *count = 7;
            panic!("while it is locked");
        }));
        assert!(caught.is_err());
        assert_eq!(*counts.get(WorkerId(1)), 7);
    }
}
