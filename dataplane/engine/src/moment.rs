//! Moments in eight bytes, for what is kept of each connection.

use std::time::{Duration, Instant};

/// A moment, told by the [`Epoch`] of all workers; an `Instant` takes twice the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Later than every other.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// As a number, to be turned back by [`from_raw`](Self::from_raw).
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// Nanoseconds from `earlier` to here; zero where that is later.
    pub(crate) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// When the workers were made, from which moments are counted in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(pub(crate) Instant);

impl Epoch {
    /// What is before the epoch counts as the epoch, and after 584 years time stands still.
    pub(crate) fn moment(self, at: Instant) -> Moment {
        let since = at.saturating_duration_since(self.0).as_nanos();
        Moment(u64::try_from(since).unwrap_or(u64::MAX).min(u64::MAX - 1))
    }

    /// `None` for [`Moment::NEVER`].
    pub(crate) fn instant(self, moment: Moment) -> Option<Instant> {
        if moment == Moment::NEVER {
            return None;
        }
        self.0.checked_add(Duration::from_nanos(moment.0))
    }

    /// How long ago `moment` was at `now`.
    pub(crate) fn since(self, moment: Moment, now: Instant) -> Duration {
        Duration::from_nanos(self.moment(now).0.saturating_sub(moment.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_instant_it_was_made_of_and_never_is_later() {
        let epoch = Epoch(Instant::now());
        let at = epoch.0 + Duration::from_nanos(1_234_567_890_123);
        let moment = epoch.moment(at);
        assert_eq!(epoch.instant(moment), Some(at));
        assert_eq!(epoch.moment(epoch.0 - Duration::from_secs(1)), epoch.moment(epoch.0));
        assert!(moment < Moment::NEVER);
        assert_eq!(epoch.instant(Moment::NEVER), None);
    }
}
