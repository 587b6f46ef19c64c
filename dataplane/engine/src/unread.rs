//! Since when what a worker reads may have waited for it.

use std::time::Instant;

/// Follows rounds through the flows that are readable, first in, first out: once all that were
/// there when a round began have been read, nothing that is left is older than the round.
pub(crate) struct Unread {
    since: Instant,
    round_began: Instant,
    /// Flows of this round that have not been read.
    left: usize,
}

impl Unread {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, round_began: now, left: 0 }
    }

    /// A turn begins with `waiting` flows left by those before; others have become readable since
    /// `looked` at the earliest. Returns the earliest moment at which anything that is read in
    /// this turn can have come.
    pub(crate) fn begin_turn(&mut self, looked: Instant, waiting: usize) -> Instant {
        if waiting == 0 {
            *self = Self::new(looked);
        } else if self.left == 0 {
            *self = Self { since: self.round_began, round_began: looked, left: waiting };
        }
        self.since
    }

    /// The flow that has waited longest is read.
    pub(crate) fn took_one(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::*;

    /// Turns of a second each; in each some flows become readable and some are read. Returns how
    /// long ago, at most, `Unread` said that something may have come, and how long ago it had.
    fn longest(turns: impl Iterator<Item = (usize, usize)>) -> (Duration, Duration) {
        let start = Instant::now();
        let mut unread = Unread::new(start);
        let mut queue = VecDeque::new();
        let (mut said, mut waited) = (Duration::ZERO, Duration::ZERO);
        for (turn, (come, read)) in (1..).zip(turns) {
            let now = start + Duration::from_secs(turn);
            let looked = now - Duration::from_secs(1);
            let since = unread.begin_turn(looked, queue.len());
            queue.extend(std::iter::repeat_n(looked, come));
            for _ in 0..read {
                let Some(came) = queue.pop_front() else { break };
                unread.took_one();
                assert!(since <= came, "it came before");
                waited = waited.max(now - came);
            }
            said = said.max(now - since);
        }
        (said, waited)
    }

    #[test]
    fn who_reads_all_leaves_nothing_waiting() {
        let (said, _) = longest(std::iter::repeat_n((50, 64), 1000));
        assert_eq!(said, Duration::from_secs(1));
    }

    #[test]
    fn a_worker_that_is_always_a_little_behind_adds_no_more_than_two_rounds() {
        let first = std::iter::once((100, 64));
        let (said, waited) = longest(first.chain(std::iter::repeat_n((64, 64), 10_000)));
        assert_eq!(waited, Duration::from_secs(2));
        assert!(said <= 2 * waited, "{said:?}");
    }

    #[test]
    fn time_in_which_nothing_is_read_counts_in_full() {
        let congested = std::iter::repeat_n((1, 0), 60);
        let (said, waited) = longest(congested.chain(std::iter::once((0, 64))));
        assert_eq!((said, waited), (Duration::from_secs(61), Duration::from_secs(61)));
    }
}
