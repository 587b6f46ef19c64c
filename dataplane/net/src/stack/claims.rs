//! On which worker of a port a connection begins whose SYN comes to several of them.
//!
//! A SYN that comes twice, once by each of two queues, would begin two connections with the same ends.
//! So the first worker says that it is its own, in a table that all workers of the port share; another
//! one passes it on, as it does with a segment of a connection that it does not know.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::table::FlowKey;

/// How long after a SYN another one may be the same. A client has given up by then.
const HELD_SECONDS: u64 = 60;

/// Later connections take the places of earlier ones, whose SYN may begin a second one then. With ten
/// thousand of them in a second that is after a third of a second, half of the time.
const SLOTS: usize = 4096;

/// The bits of a claim, from above: 32 of the ends' hash, 8 of the worker, 24 of the time in seconds.
/// None is a claim of nobody's at the beginning.
const WORKER_SHIFT: u32 = 24;
const SECONDS_MAX: u64 = (1 << WORKER_SHIFT) - 1;

/// Who has begun which connections lately.
#[derive(Debug)]
pub(crate) struct Claims {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
    origin: Instant,
}

impl Claims {
    pub(crate) fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
            hasher: RandomState::new(),
            origin: Instant::now(),
        }
    }

    /// Whether the connection of a SYN that has come to `worker` may begin there, which others are
    /// then told; `false` where it may have begun on another one. Never waits.
    pub(crate) fn claim(&self, key: &FlowKey, worker: u8, now: Instant) -> bool {
        let hash = self.hasher.hash_one(key.ends());
        let seconds = now.saturating_duration_since(self.origin).as_secs() & SECONDS_MAX;
        let claim = hash >> 32 << 32 | (u64::from(worker) + 1) << WORKER_SHIFT | seconds;
        // The lower bits choose the place, the upper ones tell connections apart.
        let place = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        let is_anothers = |there: u64| {
            // The other worker's time may be ahead of this one's by a turn.
            let age = seconds.wrapping_add(HELD_SECONDS).wrapping_sub(there) & SECONDS_MAX;
            let differs = (there ^ claim) >> WORKER_SHIFT;
            // The same ends, and another worker.
            there != 0 && differs != 0 && differs >> 8 == 0 && age < 2 * HELD_SECONDS
        };
        let take = |there| (!is_anothers(there)).then_some(claim);
        self.slots[place].fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn key(remote_port: u16, port: u8) -> FlowKey {
        FlowKey::new(IpAddr::from([192, 0, 2, 1]).into(), remote_port, 80, 0, port)
    }

    #[test]
    fn a_connection_is_the_first_workers_for_a_minute() {
        let claims = Claims::new();
        let at = |seconds| claims.origin + Duration::from_secs(seconds);
        assert!(claims.claim(&key(1, 0), 0, at(0)));
        assert!(!claims.claim(&key(1, 3), 1, at(0)), "whatever number the port has there");
        assert!(claims.claim(&key(2, 0), 1, at(0)), "another one may begin anywhere");
        assert!(claims.claim(&key(1, 0), 0, at(1)), "its own it may begin anew");
        assert!(!claims.claim(&key(1, 0), 1, at(0)), "though its clock is behind");
        assert!(!claims.claim(&key(1, 0), 1, at(60)));
        assert!(claims.claim(&key(1, 0), 1, at(61)));
    }

    #[test]
    fn of_workers_that_claim_at_the_same_time_one_gets_it() {
        let rounds: Vec<Claims> = std::iter::repeat_with(Claims::new).take(200).collect();
        let (now, start) = (Instant::now(), Barrier::new(2));
        let claimed = |worker| {
            let claim = |claims: &Claims| {
                start.wait();
                claims.claim(&key(1, 0), worker, now)
            };
            rounds.iter().map(claim).collect::<Vec<_>>()
        };
        let (first, second) = thread::scope(|scope| {
            let other = scope.spawn(|| claimed(1));
            (claimed(0), other.join().expect("it ends"))
        });
        assert!(first.iter().zip(&second).all(|(first, second)| first != second));
    }
}
