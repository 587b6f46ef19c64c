//! Who gets in: limits that hold over all workers together.
//!
//! Workers come here when a connection or a session begins or ends, never on the way of a message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_utils::CachePadded;
use hioload_config::{Limits, SessionsMax};
use hioload_protocol::http::Refusal;
use papaya::{Compute, HashMap, Operation};

use crate::counters::Counters;
use crate::rate::{Rate, SharedBucket};

/// Seconds after which a client may try again that found the server, or its share of it, full.
const RETRY_AFTER_S: u32 = 10;

/// Seconds after which a client may try again that came with too many others.
const RETRY_AFTER_RUSH_S: u32 = 1;

/// A limit that a client has run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Sessions,
    SessionsPerPrefix,
    ConnectionsPerPrefix,
    UpgradeRate,
}

impl Limit {
    /// The answer to the client, and one more on the limit's counter.
    pub(crate) fn refuse(self, counters: &Counters) -> Refusal {
        match self {
            Self::Sessions => {
                counters.limit_sessions.add(1);
                Refusal::unavailable("the server has as many sessions as it takes", RETRY_AFTER_S)
            }
            Self::SessionsPerPrefix => {
                counters.limit_sessions_per_prefix.add(1);
                Refusal::too_many("too many sessions from your address", RETRY_AFTER_S)
            }
            Self::ConnectionsPerPrefix => {
                counters.limit_connections_per_prefix.add(1);
                Refusal::too_many("too many connections from your address", RETRY_AFTER_S)
            }
            Self::UpgradeRate => {
                counters.limit_upgrade_rate.add(1);
                Refusal::too_many("too many clients have come at once", RETRY_AFTER_RUSH_S)
            }
        }
    }
}

/// The counts that all workers share. A limit that is off counts nothing.
pub(crate) struct Admission {
    sessions: Option<Gauge>,
    sessions_by_prefix: Option<ByPrefix>,
    connections_by_prefix: Option<ByPrefix>,
    upgrades: Option<SharedBucket>,
}

impl Admission {
    /// Nobody is in yet. `SessionsMax::Auto` sets no limit here: what descriptors allow is known
    /// above, and told as a count.
    pub(crate) fn new(limits: &Limits) -> Self {
        let sessions_max = match limits.sessions_max {
            SessionsMax::Count(max) => Some(max),
            SessionsMax::Auto | SessionsMax::Off => None,
        };
        let by_prefix = |max| ByPrefix::new(max, limits.prefix_v4_bits, limits.prefix_v6_bits);
        Self {
            sessions: sessions_max.map(Gauge::new),
            sessions_by_prefix: limits.sessions_per_prefix_max.map(by_prefix),
            connections_by_prefix: limits.connections_per_prefix_max.map(by_prefix),
            upgrades: limits
                .upgrades_per_second_max
                .map(|per_second| SharedBucket::new(Rate::new(per_second.into()))),
        }
    }

    /// Counts a connection in; `disconnect` follows once it is gone.
    ///
    /// # Errors
    /// The limit that it would exceed; it is not counted then.
    pub(crate) fn connect(&self, peer: IpAddr) -> Result<(), Limit> {
        match &self.connections_by_prefix {
            Some(prefixes) if !prefixes.enter(peer) => Err(Limit::ConnectionsPerPrefix),
            _ => Ok(()),
        }
    }

    /// Whether a connection could be counted in at this moment.
    pub(crate) fn has_room(&self, peer: IpAddr) -> bool {
        self.connections_by_prefix.as_ref().is_none_or(|prefixes| prefixes.has_room(peer))
    }

    pub(crate) fn disconnect(&self, peer: IpAddr) {
        if let Some(prefixes) = &self.connections_by_prefix {
            prefixes.leave(peer);
        }
    }

    /// Counts a session in; `leave` follows once it has ended. The rate comes last: who finds no
    /// place takes nothing from those who come after.
    ///
    /// # Errors
    /// The limit that it would exceed; it is not counted then.
    pub(crate) fn enter(&self, client: IpAddr, now: Instant) -> Result<(), Limit> {
        if let Some(prefixes) = &self.sessions_by_prefix
            && !prefixes.enter(client)
        {
            return Err(Limit::SessionsPerPrefix);
        }
        if let Some(sessions) = &self.sessions
            && !sessions.enter()
        {
            if let Some(prefixes) = &self.sessions_by_prefix {
                prefixes.leave(client);
            }
            return Err(Limit::Sessions);
        }
        if let Some(upgrades) = &self.upgrades
            && !upgrades.take(now)
        {
            self.leave(client);
            return Err(Limit::UpgradeRate);
        }
        Ok(())
    }

    pub(crate) fn leave(&self, client: IpAddr) {
        if let Some(prefixes) = &self.sessions_by_prefix {
            prefixes.leave(client);
        }
        if let Some(sessions) = &self.sessions {
            sessions.leave();
        }
    }
}

/// How many there are, never more than a number of them.
struct Gauge {
    max: usize,
    count: CachePadded<AtomicUsize>,
}

impl Gauge {
    fn new(max: usize) -> Self {
        Self { max, count: CachePadded::default() }
    }

    // Nothing is published by the count, so the order of other accesses does not matter.
    fn enter(&self) -> bool {
        let one_more = |count| (count < self.max).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many there are of each address prefix. A prefix of which there is none has no entry, so the
/// map grows with those who are in and not with those who try. Its hash is keyed at random: who
/// can choose addresses cannot make them collide.
struct ByPrefix {
    max: usize,
    mask_v4: u32,
    mask_v6: u128,
    counts: HashMap<IpAddr, usize>,
}

impl ByPrefix {
    fn new(max: usize, bits_v4: u8, bits_v6: u8) -> Self {
        Self {
            max,
            mask_v4: u32::MAX.checked_shl(32 - u32::from(bits_v4)).unwrap_or(0),
            mask_v6: u128::MAX.checked_shl(128 - u32::from(bits_v6)).unwrap_or(0),
            counts: HashMap::new(),
        }
    }

    fn enter(&self, address: IpAddr) -> bool {
        let one_more = |entry: Option<(&IpAddr, &usize)>| match entry.map_or(0, |(_, count)| *count)
        {
            count if count < self.max => Operation::Insert(count + 1),
            _ => Operation::Abort(()),
        };
        !matches!(self.counts.pin().compute(self.prefix(address), one_more), Compute::Aborted(()))
    }

    fn has_room(&self, address: IpAddr) -> bool {
        self.counts.pin().get(&self.prefix(address)).is_none_or(|count| *count < self.max)
    }

    fn leave(&self, address: IpAddr) {
        let one_less = |entry: Option<(&IpAddr, &usize)>| match entry {
            Some((_, count)) if *count > 1 => Operation::Insert(count - 1),
            Some(_) => Operation::Remove,
            None => Operation::Abort(()),
        };
        self.counts.pin().compute(self.prefix(address), one_less);
    }

    /// An IPv4 address in IPv6 clothes (RFC 4291 section 2.5.5.2) is an IPv4 address.
    fn prefix(&self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & self.mask_v4).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & self.mask_v6).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn limits(sessions: usize, per_prefix: usize) -> Admission {
        Admission::new(&Limits {
            sessions_max: SessionsMax::Count(sessions),
            sessions_per_prefix_max: Some(per_prefix),
            connections_per_prefix_max: Some(per_prefix),
            prefix_v4_bits: 24,
            ..Limits::default()
        })
    }

    fn enter(admission: &Admission, client: IpAddr) -> Result<(), Limit> {
        admission.enter(client, Instant::now())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn prefixes(admission: &Admission) -> usize {
        admission.sessions_by_prefix.as_ref().expect("the limit is on").counts.len()
    }

    #[test]
    fn addresses_of_one_prefix_share_a_limit_whatever_they_wear() {
        let admission = limits(9, 2);
        assert_eq!(enter(&admission, ip("192.0.2.1")), Ok(()));
        assert_eq!(enter(&admission, ip("::ffff:192.0.2.77")), Ok(()));
        assert_eq!(enter(&admission, ip("192.0.2.200")), Err(Limit::SessionsPerPrefix));
        assert_eq!(enter(&admission, ip("192.0.3.1")), Ok(()));
        assert_eq!(enter(&admission, ip("2001:db8:0:1::1")), Ok(()));
        assert_eq!(enter(&admission, ip("2001:db8:0:1:ffff::")), Ok(()));
        assert_eq!(enter(&admission, ip("2001:db8:0:1::2")), Err(Limit::SessionsPerPrefix));
        assert_eq!(enter(&admission, ip("2001:db8:0:2::2")), Ok(()));

        admission.leave(ip("192.0.2.77"));
        assert_eq!(enter(&admission, ip("192.0.2.200")), Ok(()));
    }

    #[test]
    fn whoever_is_refused_is_not_counted() {
        let admission = limits(1, 1);
        assert_eq!(enter(&admission, ip("192.0.2.1")), Ok(()));
        assert_eq!(enter(&admission, ip("192.0.3.1")), Err(Limit::Sessions));
        assert_eq!(prefixes(&admission), 1);
        admission.leave(ip("192.0.2.1"));
        assert_eq!(enter(&admission, ip("192.0.3.1")), Ok(()));
    }

    #[test]
    fn whoever_comes_with_too_many_others_takes_no_place() {
        let upgrades_per_second_max = Some(2);
        let admission = Admission::new(&Limits {
            upgrades_per_second_max,
            sessions_max: SessionsMax::Count(3),
            ..Limits::default()
        });
        let now = Instant::now();
        let enter =
            |after_ms| admission.enter(ip("192.0.2.1"), now + Duration::from_millis(after_ms));
        assert_eq!([enter(0), enter(0)], [Ok(()), Ok(())]);
        assert_eq!([enter(0), enter(0)], [Err(Limit::UpgradeRate); 2]);
        assert_eq!(enter(500), Ok(()));
        // What finds no place leaves its turn to others.
        assert_eq!([enter(1000), enter(1000)], [Err(Limit::Sessions); 2]);
        admission.leave(ip("192.0.2.1"));
        assert_eq!(enter(1000), Ok(()));
    }

    #[test]
    fn a_prefix_of_any_length_is_cut_off() {
        for (bits_v4, bits_v6) in [(1, 1), (32, 128)] {
            let prefixes = ByPrefix::new(1, bits_v4, bits_v6);
            let both_v4 = prefixes.enter(ip("255.0.0.1")) && prefixes.enter(ip("255.0.0.2"));
            let both_v6 = prefixes.enter(ip("ffff::1")) && prefixes.enter(ip("ffff::2"));
            assert_eq!((both_v4, both_v6), (bits_v4 == 32, bits_v6 == 128));
        }
    }

    #[test]
    fn the_limits_hold_for_threads_that_come_and_go_at_once_and_nothing_is_left() {
        let admission = limits(3, 2);
        let most = AtomicUsize::new(0);
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..4_u8 {
                let (admission, most, inside) = (&admission, &most, &inside);
                scope.spawn(move || {
                    for round in 0..500_u16 {
                        let address = IpAddr::from([10, 0, (round % 3) as u8, thread]);
                        if enter(admission, address).is_ok() {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            admission.leave(address);
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(prefixes(&admission), 0);
        assert_eq!(admission.sessions.as_ref().map(|it| it.count.load(Ordering::SeqCst)), Some(0));
    }
}
