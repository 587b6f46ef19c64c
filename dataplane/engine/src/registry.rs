//! Which sessions there are, for the control plane. Broadcast never looks here.

use std::net::SocketAddr;
use std::time::Instant;

use hioload_net::FlowId;
use papaya::HashMap;

use crate::SessionId;

/// What the control plane knows of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionEntry {
    /// The worker that owns it.
    pub worker: usize,
    /// Its connection on that worker.
    pub flow: FlowId,
    /// Address and port of the other side.
    pub peer: SocketAddr,
    /// When it was opened.
    pub opened: Instant,
}

/// All open sessions, spread over shards by FNV-1a of their id.
///
/// Workers write when a session opens or closes. Reads take no lock and hold up no worker.
pub struct Registry {
    shards: Box<[HashMap<SessionId, SessionEntry>]>,
}

impl Registry {
    /// An empty registry of `shards` shards, one at least.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| HashMap::new()).collect() }
    }

    /// The entry of a session that is open.
    pub fn get(&self, id: SessionId) -> Option<SessionEntry> {
        self.shard(id).pin().get(&id).copied()
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.shards.iter().map(HashMap::len).sum()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many sessions each shard holds.
    pub fn shard_lens(&self) -> Vec<usize> {
        self.shards.iter().map(HashMap::len).collect()
    }

    pub(crate) fn insert(&self, id: SessionId, entry: SessionEntry) {
        self.shard(id).pin().insert(id, entry);
    }

    pub(crate) fn remove(&self, id: SessionId) {
        self.shard(id).pin().remove(&id);
    }

    fn shard(&self, id: SessionId) -> &HashMap<SessionId, SessionEntry> {
        let count = self.shards.len() as u64;
        let index = usize::try_from(fnv1a(id.get()) % count).expect("below the number of shards");
        &self.shards[index]
    }
}

/// FNV-1a, 64 bits, over the little-endian bytes of `value`.
fn fnv1a(value: u64) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    value
        .to_le_bytes()
        .iter()
        .fold(OFFSET_BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(worker: usize) -> SessionEntry {
        SessionEntry {
            worker,
            flow: FlowId { index: 1, generation: 0 },
            peer: ([127, 0, 0, 1], 4000).into(),
            opened: Instant::now(),
        }
    }

    #[test]
    fn fnv1a_gives_the_published_value_of_eight_zero_bytes() {
        assert_eq!(fnv1a(0), 0xa8c7_f832_281a_39c5);
    }

    #[test]
    fn a_session_is_found_while_it_is_open() {
        let registry = Registry::new(16);
        let id = SessionId::new(3, 41);
        registry.insert(id, entry(3));
        assert_eq!(registry.get(id).map(|entry| entry.worker), Some(3));
        registry.remove(id);
        assert!(registry.get(id).is_none());
    }

    #[test]
    fn consecutive_sessions_spread_over_all_shards() {
        let registry = Registry::new(16);
        for sequence in 0..1600 {
            registry.insert(SessionId::new(0, sequence), entry(0));
        }
        assert!(registry.shard_lens().iter().all(|&len| (50..=150).contains(&len)));
        assert_eq!(registry.len(), 1600);
    }
}
