//! The time that the stack goes by: that in which its worker is there to listen.

use std::time::{Duration, Instant};

/// A worker looks at its ports once in a millisecond, or more often. One that has not for so long
/// was held up, by the system or by a handler.
const HELD_UP_MIN: Duration = Duration::from_millis(500);

/// Leaves out what a worker has missed: or all peers would have been silent for that long when it
/// goes on, though nobody has asked them, and be given up at once.
pub(crate) struct Clock {
    seen: Instant,
    missed: Duration,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { seen: now, missed: Duration::ZERO }
    }

    /// The time at a look of the worker.
    pub(crate) fn look(&mut self, now: Instant) -> Instant {
        let since = now.saturating_duration_since(self.seen);
        if since >= HELD_UP_MIN {
            self.missed += since;
        }
        self.seen = now;
        if self.missed == Duration::ZERO {
            return now;
        }
        // No more was missed than has passed since there was a moment to begin with.
        now.checked_sub(self.missed).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_the_worker_has_missed_does_not_count() {
        let begin = Instant::now();
        let millis = Duration::from_millis;
        let mut clock = Clock::new(begin);
        assert_eq!(clock.look(begin + millis(499)), begin + millis(499));
        assert_eq!(clock.look(begin + millis(1_000)), begin + millis(499));
        assert_eq!(clock.look(begin + millis(1_001)), begin + millis(500));
        assert_eq!(clock.look(begin + millis(60_000)), begin + millis(500));
    }
}
