//! Which flow a segment belongs to.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::SocketAddr;

use siphasher::sip::SipHasher13;

use super::packet::Address;

/// A secret that peers must not learn, or they could choose addresses that collide.
#[derive(Clone, Copy, Debug)]
pub struct HashKey(pub u64, pub u64);

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Both ends of a connection, the port's number and its address for ours: three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    remote: Address,
    /// From above: the remote port, the local one, the place of the local address among those of
    /// the port, and the port.
    rest: u64,
}

impl FlowKey {
    #[inline]
    pub(crate) fn new(
        remote: Address,
        remote_port: u16,
        local_port: u16,
        address: u8,
        port: u8,
    ) -> Self {
        let ports = u64::from(remote_port) << 32 | u64::from(local_port) << 16;
        Self { remote, rest: ports | u64::from(address) << 8 | u64::from(port) }
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        let [_, _, high, low, ..] = self.rest.to_be_bytes();
        (self.remote.ip(), u16::from_be_bytes([high, low])).into()
    }

    pub(crate) fn local_port(&self) -> u16 {
        let [_, _, _, _, high, low, ..] = self.rest.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Both ends without the port, which another worker may count otherwise.
    pub(crate) fn ends(&self) -> (u64, u64, u64) {
        let (high, low) = self.remote.words();
        (high, low, self.rest >> 8)
    }

    /// The place of our address among those of the port.
    pub(crate) fn address(&self) -> u8 {
        self.rest.to_be_bytes()[6]
    }

    /// The port.
    #[inline]
    pub(crate) fn port(&self) -> usize {
        usize::from(self.rest.to_be_bytes()[7])
    }
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (high, low) = self.remote.words();
        // All of IPv4 has the same, and the hash takes in how much was written.
        if high != 0 {
            state.write_u64(high);
        }
        state.write_u64(low);
        state.write_u64(self.rest);
    }
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The place of its flow.
    Flow(u32),
    /// The place of what is left of it.
    TimeWait(u32),
}

/// How keys are hashed: by multiplications whose halves are folded, with words that nobody knows.
///
/// Whoever sees the hashes could find keys that collide sooner than with SipHash, which takes five
/// times as long. But nobody does: they lead to a bucket, and are told to nobody.
#[derive(Clone, Copy)]
struct Words([u64; 4]);

impl Words {
    fn new(key: HashKey) -> Self {
        Self([0, 1, 2, 3].map(|number: u8| key.hash_one((b"flows", number))))
    }

    #[inline]
    fn hash(&self, key: &FlowKey) -> u64 {
        let Self([a, b, c, d]) = *self;
        let (high, low) = key.remote.words();
        let first = fold(low ^ a, key.rest ^ b);
        // The first half of an address of IPv4 is zero.
        fold(first ^ high ^ c, d)
    }
}

/// The product of two words, in one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each half is what is meant")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// The hash of a [`FlowKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash(u32);

/// All connections of a worker: where each is, by the hash of its key. The keys themselves are
/// there, and nowhere else, so that a bucket is eight bytes and a look at it one cache line, which
/// can be fetched ahead.
///
/// A bucket is taken by linear probing, and never more than half of them are.
pub(crate) struct FlowMap {
    words: Words,
    buckets: Vec<Bucket>,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    hash: u32,
    /// [`EMPTY`], or a place and [`TIME_WAIT`].
    entry: u32,
}

const EMPTY: u32 = u32::MAX;
const TIME_WAIT: u32 = 1 << 31;

impl Entry {
    fn packed(self) -> u32 {
        match self {
            Self::Flow(place) => place,
            Self::TimeWait(place) => place | TIME_WAIT,
        }
    }

    fn of(packed: u32) -> Self {
        if packed & TIME_WAIT == 0 {
            Self::Flow(packed)
        } else {
            Self::TimeWait(packed & !TIME_WAIT)
        }
    }
}

impl FlowMap {
    /// Has room for `capacity` from the beginning: growing would stop the worker for as long as it
    /// takes to move all.
    pub(crate) fn new(capacity: usize, key: HashKey) -> Self {
        let buckets = capacity.max(4).saturating_mul(2).next_power_of_two();
        Self {
            words: Words::new(key),
            buckets: vec![Bucket { hash: 0, entry: EMPTY }; buckets],
            len: 0,
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "all bits of the hash are as good")]
    pub(crate) fn hash(&self, key: &FlowKey) -> KeyHash {
        KeyHash(self.words.hash(key) as u32)
    }

    /// Has what [`candidate`](Self::candidate) needs come into the caches.
    #[inline]
    pub(crate) fn prefetch(&self, hash: KeyHash) {
        hioload_mem::prefetch(&self.buckets[self.home(hash.0)]);
    }

    /// The first connection with this hash, which another one may share.
    #[inline]
    pub(crate) fn candidate(&self, hash: KeyHash) -> Option<Entry> {
        self.find(hash, |_| true)
    }

    /// The connection with this hash of which `is_it` says that it is the right one.
    pub(crate) fn find(&self, hash: KeyHash, is_it: impl Fn(Entry) -> bool) -> Option<Entry> {
        let mut at = self.home(hash.0);
        loop {
            let bucket = self.buckets[at];
            if bucket.entry == EMPTY {
                return None;
            }
            if bucket.hash == hash.0 && is_it(Entry::of(bucket.entry)) {
                return Some(Entry::of(bucket.entry));
            }
            at = self.behind(at);
        }
    }

    /// Adds a connection that is not there.
    pub(crate) fn insert(&mut self, key: &FlowKey, entry: Entry) {
        if (self.len + 1) * 2 > self.buckets.len() {
            self.grow();
        }
        self.len += 1;
        let KeyHash(hash) = self.hash(key);
        self.put(Bucket { hash, entry: entry.packed() });
    }

    /// Takes a connection out, which is there as `entry`.
    pub(crate) fn remove(&mut self, key: &FlowKey, entry: Entry) {
        let KeyHash(hash) = self.hash(key);
        let wanted = Bucket { hash, entry: entry.packed() };
        let mut hole = self.home(hash);
        while self.buckets[hole] != wanted {
            if self.buckets[hole].entry == EMPTY {
                return;
            }
            hole = self.behind(hole);
        }
        self.len -= 1;
        // Whoever stands behind the hole because its own place was taken moves into it.
        let mut at = self.behind(hole);
        while self.buckets[at].entry != EMPTY {
            let from_home = at.wrapping_sub(self.home(self.buckets[at].hash)) & self.mask();
            let from_hole = at.wrapping_sub(hole) & self.mask();
            if from_home >= from_hole {
                self.buckets[hole] = self.buckets[at];
                hole = at;
            }
            at = self.behind(at);
        }
        self.buckets[hole].entry = EMPTY;
    }

    #[cold]
    fn grow(&mut self) {
        let buckets = vec![Bucket { hash: 0, entry: EMPTY }; self.buckets.len() * 2];
        let before = std::mem::replace(&mut self.buckets, buckets);
        before.into_iter().filter(|it| it.entry != EMPTY).for_each(|it| self.put(it));
    }

    fn put(&mut self, bucket: Bucket) {
        let mut at = self.home(bucket.hash);
        while self.buckets[at].entry != EMPTY {
            at = self.behind(at);
        }
        self.buckets[at] = bucket;
    }

    #[inline]
    fn mask(&self) -> usize {
        self.buckets.len() - 1
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & self.mask()
    }

    #[inline]
    fn behind(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_says_both_ends_and_differs_with_any_of_them() {
        let remote = Address::from(IpAddr::from([192, 0, 2, 1]));
        let other_remote = Address::from(IpAddr::from([192, 0, 2, 2]));
        let key = FlowKey::new(remote, 4000, 80, 1, 2);
        assert_eq!(key.remote(), ([192, 0, 2, 1], 4000).into());
        assert_eq!((key.address(), key.port()), (1, 2));
        for other in [
            FlowKey::new(other_remote, 4000, 80, 1, 2),
            FlowKey::new(remote, 4001, 80, 1, 2),
            FlowKey::new(remote, 4000, 81, 1, 2),
            FlowKey::new(remote, 4000, 80, 0, 2),
            FlowKey::new(remote, 4000, 80, 1, 0),
        ] {
            assert_ne!(key, other);
        }
    }

    fn key(number: u16) -> FlowKey {
        FlowKey::new(Address::from(IpAddr::from([192, 0, 2, 1])), number, 80, 0, 0)
    }

    proptest! {
        /// Beside a `HashMap`. There are few hashes, so that most connections share theirs.
        #[test]
        fn connections_are_found_until_they_are_taken_out(
            steps in prop::collection::vec((0_u16..60, any::<bool>(), any::<bool>()), 0..400),
        ) {
            let mut map = FlowMap::new(4, HashKey(1, 2));
            let mut oracle: HashMap<u16, Entry> = HashMap::new();
            for (number, inserts, waits) in steps {
                // Numbers that share a key's hash are told apart by their entries.
                let hashed = key(number % 10);
                let place = u32::from(number);
                let entry = if waits { Entry::TimeWait(place) } else { Entry::Flow(place) };
                match oracle.get(&number).copied() {
                    None if inserts => {
                        map.insert(&hashed, entry);
                        oracle.insert(number, entry);
                    }
                    Some(there) if !inserts => {
                        map.remove(&hashed, there);
                        oracle.remove(&number);
                    }
                    _ => map.remove(&hashed, Entry::Flow(1 << 20)),
                }
                prop_assert_eq!(map.len, oracle.len());
                for number in 0..60 {
                    let hash = map.hash(&key(number % 10));
                    let expected = oracle.get(&number).copied();
                    let found = map.find(hash, |entry| Some(entry) == expected);
                    prop_assert_eq!(found, expected);
                    prop_assert!(expected.is_none() || map.candidate(hash).is_some());
                }
            }
        }
    }
}
