//! Token buckets: so many a second, and what a second allows at once after a pause.
//!
//! A bucket is one number, the moment at which it will be full again (the generic cell rate
//! algorithm, ITU-T I.371): taking moves it on, and it may not lie further ahead than a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use hioload_net::FlowId;

const SECOND_NS: u64 = 1_000_000_000;

/// So many a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    per_second: u64,
}

impl Rate {
    /// `per_second` is at least one.
    pub(crate) fn new(per_second: u64) -> Self {
        Self { per_second: per_second.max(1) }
    }

    /// How many a second.
    pub(crate) fn get(self) -> u64 {
        self.per_second
    }

    /// Takes `count` out of the bucket that is full at `full_at`, and says when it will be full
    /// again; `None` when it does not hold as many. Times are nanoseconds of one clock; `grace`
    /// stretches the second.
    fn take(self, full_at: u64, count: u64, now: u64, grace: u64) -> Option<u64> {
        let cost = count.saturating_mul(SECOND_NS) / self.per_second;
        let full_at = full_at.max(now).saturating_add(cost);
        (full_at - now <= SECOND_NS.saturating_add(grace)).then_some(full_at)
    }
}

/// A bucket that all workers share.
pub(crate) struct SharedBucket {
    rate: Rate,
    epoch: Instant,
    full_at: CachePadded<AtomicU64>,
}

impl SharedBucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, epoch: Instant::now(), full_at: CachePadded::default() }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let now = nanoseconds(now.saturating_duration_since(self.epoch));
        let take = |full_at| self.rate.take(full_at, 1, now, 0);
        // Nothing is published by the bucket, so the order of other accesses does not matter.
        self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// A rate that a session has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Messages { per_second: u64 },
    Bytes { per_second: u64 },
}

impl Exceeded {
    /// For the Close frame.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Messages { per_second } => format!("more than {per_second} messages per second"),
            Self::Bytes { per_second } => format!("more than {per_second} bytes per second"),
        }
    }
}

/// Two buckets for each session of a worker. They lie beside the sessions, by the place of their
/// flow, so that they take no memory where no rate is limited.
pub(crate) struct SessionRates {
    messages: Option<Rate>,
    bytes: Option<Rate>,
    epoch: Instant,
    buckets: Vec<Buckets>,
}

#[derive(Clone, Copy, Default)]
struct Buckets {
    messages_full_at: u64,
    bytes_full_at: u64,
}

const _: () = assert!(size_of::<Buckets>() == 16);

impl SessionRates {
    pub(crate) fn new(messages: Option<Rate>, bytes: Option<Rate>, now: Instant) -> Self {
        Self { messages, bytes, epoch: now, buckets: Vec::new() }
    }

    /// A session begins, with full buckets.
    pub(crate) fn open(&mut self, flow: FlowId) {
        if self.is_off() {
            return;
        }
        let place = flow.index as usize;
        if self.buckets.len() <= place {
            self.buckets.resize(place + 1, Buckets::default());
        }
        self.buckets[place] = Buckets::default();
    }

    /// Takes what a session has sent out of its buckets: `bytes` in all, and perhaps the end of a
    /// message. `unread_for` is how long they may have waited for this worker to read them: they
    /// may be of a second and of that time.
    ///
    /// # Errors
    /// The rate that is exceeded.
    pub(crate) fn take(
        &mut self,
        flow: FlowId,
        bytes: usize,
        is_message: bool,
        now: Instant,
        unread_for: Duration,
    ) -> Result<(), Exceeded> {
        if self.is_off() {
            return Ok(());
        }
        let Some(buckets) = self.buckets.get_mut(flow.index as usize) else { return Ok(()) };
        let now = nanoseconds(now.saturating_duration_since(self.epoch));
        let grace = nanoseconds(unread_for);
        if let Some(rate) = self.bytes {
            let per_second = rate.get();
            buckets.bytes_full_at = rate
                .take(buckets.bytes_full_at, bytes as u64, now, grace)
                .ok_or(Exceeded::Bytes { per_second })?;
        }
        if let Some(rate) = self.messages.filter(|_| is_message) {
            let per_second = rate.get();
            buckets.messages_full_at = rate
                .take(buckets.messages_full_at, 1, now, grace)
                .ok_or(Exceeded::Messages { per_second })?;
        }
        Ok(())
    }

    fn is_off(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_second_is_allowed_at_once_and_then_one_at_a_time() {
        for per_second in [1, 3, 7, 1000, 250_000] {
            let rate = Rate::new(per_second);
            let mut full_at = 0;
            for nth in 0..per_second {
                full_at = rate.take(full_at, 1, 5 * MS, 0).unwrap_or_else(|| panic!("{nth}"));
            }
            assert_eq!(rate.take(full_at, 1, 5 * MS, 0), None, "{per_second}");
            let next = 5 * MS + SECOND_NS / per_second;
            let full_at = rate.take(full_at, 1, next, 0).expect("one more");
            assert_eq!(rate.take(full_at, 1, next, 0), None, "{per_second}");
        }
    }

    #[test]
    fn what_waited_unread_is_not_held_against_the_sender() {
        let rate = Rate::new(10);
        assert_eq!(rate.take(0, 40, 0, 0), None);
        let full_at = rate.take(0, 40, 0, 3 * SECOND_NS).expect("of four seconds");
        assert_eq!(rate.take(full_at, 1, 0, 3 * SECOND_NS), None);
    }

    #[test]
    fn a_place_that_is_used_again_has_full_buckets() {
        let now = Instant::now();
        let flow = |generation| FlowId { index: 3, generation };
        let mut rates = SessionRates::new(Some(Rate::new(1)), None, now);
        rates.open(flow(0));
        assert_eq!(rates.take(flow(0), 9, true, now, Duration::ZERO), Ok(()));
        let exceeded = Err(Exceeded::Messages { per_second: 1 });
        assert_eq!(rates.take(flow(0), 9, true, now, Duration::ZERO), exceeded);
        assert_eq!(rates.take(flow(0), 9, false, now, Duration::ZERO), Ok(()));
        rates.open(flow(1));
        assert_eq!(rates.take(flow(1), 9, true, now, Duration::ZERO), Ok(()));
    }

    #[test]
    fn sessions_take_no_memory_where_no_rate_is_limited() {
        let mut rates = SessionRates::new(None, None, Instant::now());
        rates.open(FlowId { index: 1000, generation: 0 });
        assert_eq!(rates.buckets.capacity(), 0);
    }

    proptest! {
        /// The oracle counts: in no second are there more than the rate and what a second allows
        /// at once, and one is refused only when the bucket is empty.
        #[test]
        fn never_more_than_the_rate_and_a_burst(
            per_second in 1..50_u64,
            pauses in vec(0..400 * MS, 1..200),
        ) {
            let rate = Rate::new(per_second);
            let (mut full_at, mut now) = (0, 0);
            let mut taken = Vec::new();
            for pause in pauses {
                now += pause;
                match rate.take(full_at, 1, now, 0) {
                    Some(next) => {
                        full_at = next;
                        taken.push(now);
                    }
                    None => prop_assert!(full_at - now + SECOND_NS / per_second > SECOND_NS),
                }
            }
            for (nth, &start) in taken.iter().enumerate() {
                let within = taken[nth..].iter().take_while(|at| **at - start < SECOND_NS).count();
                prop_assert!(within as u64 <= 2 * per_second, "{within} of {per_second}");
            }
        }
    }
}
