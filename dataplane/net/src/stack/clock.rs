//! The time that the stack goes by: that in which its worker is there to listen.

use std::time::{Duration, Instant};

use smoltcp::time::Instant as StackInstant;

/// A worker looks at its ports once in a millisecond, or more often. One that has not for so many
/// nanoseconds was held up, by the system or by a handler.
const HELD_UP_NS_MIN: u64 = 500_000_000;

/// Leaves out what a worker has missed: or all peers would have been silent for that long when it
/// goes on, though nobody has asked them, and be given up at once.
pub(crate) struct Clock {
    /// Where the time of the stack begins.
    origin: Instant,
    /// Nanoseconds from there to the last look, and those of them that were missed.
    seen: u64,
    missed: u64,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { origin: now, seen: 0, missed: 0 }
    }

    /// The time at a look of the worker, twice.
    #[inline]
    pub(crate) fn look(&mut self, now: Instant) -> (Instant, StackInstant) {
        let since = now.saturating_duration_since(self.origin).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let unseen = since.saturating_sub(self.seen);
        if unseen >= HELD_UP_NS_MIN {
            self.missed += unseen;
        }
        self.seen = since;
        if self.missed == 0 {
            return (now, instant(since));
        }
        let counted = since.saturating_sub(self.missed);
        (self.origin + Duration::from_nanos(counted), instant(counted))
    }
}

#[expect(clippy::cast_possible_wrap, reason = "a thousandth of 64 bits")]
fn instant(nanos: u64) -> StackInstant {
    StackInstant::from_micros((nanos / 1000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_the_worker_has_missed_does_not_count() {
        let begin = Instant::now();
        let millis = Duration::from_millis;
        let mut clock = Clock::new(begin);
        for (seen, counted) in [(499, 499), (1_000, 499), (1_001, 500), (60_000, 500)] {
            let expected = (begin + millis(counted), StackInstant::from_millis(counted as i64));
            assert_eq!(clock.look(begin + millis(seen)), expected, "{seen}");
        }
    }
}
