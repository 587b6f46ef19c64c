//! Which flow a segment belongs to.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher13;

/// A secret that peers must not learn, or they could choose addresses that collide.
#[derive(Clone, Copy, Debug)]
pub struct HashKey(pub u64, pub u64);

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Both ends of a connection, the port's number and its address for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    /// IPv4 addresses are mapped into IPv6 (RFC 4291 section 2.5.5.2).
    remote: [u8; 16],
    remote_port: u16,
    local_port: u16,
    /// Among the addresses of the port.
    pub(crate) address: u8,
    pub(crate) port: u8,
}

impl FlowKey {
    pub(crate) fn new(remote: SocketAddr, local_port: u16, address: u8, port: u8) -> Self {
        let ip = match remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self { remote: ip.octets(), remote_port: remote.port(), local_port, address, port }
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        (IpAddr::from(self.remote).to_canonical(), self.remote_port).into()
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // In three words, of which the hash takes one each.
        let half = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.remote[at..at + 8]);
            u64::from_ne_bytes(bytes)
        };
        state.write_u64(half(0));
        state.write_u64(half(8));
        let ports = u64::from(self.remote_port) << 32 | u64::from(self.local_port) << 16;
        state.write_u64(ports | u64::from(self.address) << 8 | u64::from(self.port));
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
    use super::*;

    #[test]
    fn a_connection_is_found_by_all_that_names_it_and_by_nothing_less() {
        let mut map = FlowMap::new(4, HashKey(1, 2));
        let remote: SocketAddr = ([192, 0, 2, 1], 4000).into();
        let key = FlowKey::new(remote, 80, 0, 0);
        map.insert(key, Entry::Flow(7));
        assert_eq!(map.get(&key), Some(Entry::Flow(7)));
        assert_eq!(key.remote(), remote);
        for other in [
            FlowKey::new(([192, 0, 2, 2], 4000).into(), 80, 0, 0),
            FlowKey::new(([192, 0, 2, 1], 4001).into(), 80, 0, 0),
            FlowKey::new(remote, 81, 0, 0),
            FlowKey::new(remote, 80, 1, 0),
            FlowKey::new(remote, 80, 0, 1),
        ] {
            assert_eq!(map.get(&other), None, "{other:?}");
        }
        map.remove(&key);
        assert_eq!(map.get(&key), None);
    }
}
