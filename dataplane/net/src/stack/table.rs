//! Which flow a segment belongs to.

use std::collections::HashMap;
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
        state.write_u64(high);
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

/// All connections of a worker.
#[derive(Debug)]
pub(crate) struct FlowMap {
    entries: HashMap<FlowKey, Entry, HashKey>,
}

impl FlowMap {
    /// Has room for `capacity` from the beginning: growing would stop the worker for as long as it
    /// takes to move all.
    pub(crate) fn new(capacity: usize, key: HashKey) -> Self {
        Self { entries: HashMap::with_capacity_and_hasher(capacity, key) }
    }

    #[inline]
    pub(crate) fn get(&self, key: &FlowKey) -> Option<Entry> {
        self.entries.get(key).copied()
    }

    pub(crate) fn insert(&mut self, key: FlowKey, entry: Entry) {
        self.entries.insert(key, entry);
    }

    pub(crate) fn remove(&mut self, key: &FlowKey) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_connection_is_found_by_all_that_names_it_and_by_nothing_less() {
        let mut map = FlowMap::new(4, HashKey(1, 2));
        let remote = Address::from(IpAddr::from([192, 0, 2, 1]));
        let other_remote = Address::from(IpAddr::from([192, 0, 2, 2]));
        let key = FlowKey::new(remote, 4000, 80, 0, 0);
        map.insert(key, Entry::Flow(7));
        assert_eq!(map.get(&key), Some(Entry::Flow(7)));
        assert_eq!(key.remote(), ([192, 0, 2, 1], 4000).into());
        assert_eq!((FlowKey::new(remote, 1, 2, 3, 4).address(), key.port()), (3, 0));
        for other in [
            FlowKey::new(other_remote, 4000, 80, 0, 0),
            FlowKey::new(remote, 4001, 80, 0, 0),
            FlowKey::new(remote, 4000, 81, 0, 0),
            FlowKey::new(remote, 4000, 80, 1, 0),
            FlowKey::new(remote, 4000, 80, 0, 1),
        ] {
            assert_eq!(map.get(&other), None, "{other:?}");
        }
        map.remove(&key);
        assert_eq!(map.get(&key), None);
    }
}
