//! How many connections the workers of an appliance may have together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the connections of all workers, so that the limit holds for their sum however unevenly a
/// port spreads them. Touched where a connection begins and ends, and nowhere else.
#[derive(Debug)]
pub struct FlowLimit {
    max: usize,
    count: AtomicUsize,
}

impl FlowLimit {
    /// At most `max` connections, half-open ones included.
    pub fn new(max: usize) -> Self {
        Self { max, count: AtomicUsize::new(0) }
    }

    /// Takes the place of one connection, if there is one. Never more than `max` are taken, and one
    /// that is free is given to somebody.
    pub(crate) fn take(&self) -> bool {
        let one_more = |count: usize| (count < self.max).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Gives back the places of `count` connections.
    pub(crate) fn give_back(&self, count: usize) {
        self.count.fetch_sub(count, Ordering::Relaxed);
    }

    /// Whether three quarters are taken.
    pub(crate) fn is_crowded(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= self.max / 4 * 3
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_take_at_once_get_as_many_as_there_are() {
        let limit = FlowLimit::new(1000);
        let takes = |limit: &FlowLimit| (0..400).filter(|_| limit.take()).count();
        let taken: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| takes(&limit))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 1000);

        limit.give_back(251);
        assert!(!limit.is_crowded());
        assert!(limit.take() && limit.is_crowded());
    }
}
