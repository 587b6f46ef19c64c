//! Which sessions there are, for the control plane. Broadcast never looks here.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use hioload_net::FlowId;
use papaya::HashMap;

use crate::SessionId;

/// All open sessions, spread over shards by FNV-1a of their id.
///
/// Workers write when a session opens or closes. Reads take no lock and hold up no worker. Of a
/// session only its connection is here, so that an idle one costs little; whatever else there is
/// to know is asked of its worker.
pub struct Registry {
    shards: Box<[HashMap<SessionId, FlowId>]>,
    /// The sequence number of the last session that each worker has opened.
    newest: Box<[CachePadded<AtomicU64>]>,
}

/// Sessions in the order of their ids, found by [`Registry::page`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Each with its connection on the worker that its id names.
    pub(crate) sessions: Vec<(SessionId, FlowId)>,
    /// Whether there are sessions behind these.
    pub(crate) more: bool,
}

impl Registry {
    /// An empty registry of `shards` shards, one at least, for the sessions of `workers` workers.
    pub fn new(shards: usize, workers: usize) -> Self {
        Self {
            shards: (0..shards.max(1)).map(|_| HashMap::new()).collect(),
            newest: (0..workers).map(|_| CachePadded::default()).collect(),
        }
    }

    /// Whether the session is open, perhaps closing.
    pub fn contains(&self, id: SessionId) -> bool {
        self.get(id).is_some()
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

    /// The connection of a session that is open, on the worker that its id names.
    pub(crate) fn get(&self, id: SessionId) -> Option<FlowId> {
        self.shard(id).pin().get(&id).copied()
    }

    /// The `count` sessions with the smallest ids beyond `after`, in order.
    ///
    /// A session that is open throughout the call is seen. Costs one look-up per session where
    /// most of those that were ever opened are still there, and otherwise a walk through the
    /// whole registry, on the calling thread. No order is kept that workers would have to pay for.
    pub(crate) fn page(&self, mut after: Option<SessionId>, count: usize) -> Located {
        // One more than asked for tells whether there are more.
        let count_max = count + 1;
        let mut sessions = Vec::with_capacity(count_max);
        if !self.probe(&mut after, &mut sessions, count_max) {
            let mut smallest = Smallest::new(after, count_max - sessions.len());
            for shard in &self.shards {
                // Pinned one by one, so that what workers remove meanwhile is freed soon.
                for (&id, &flow) in &shard.pin() {
                    smallest.offer(id, flow);
                }
            }
            sessions.extend(smallest.into_sorted());
        }
        let more = sessions.len() > count;
        sessions.truncate(count);
        Located { sessions, more }
    }

    /// Looks up one id after the other from `after` on, until `found` has `count_max` sessions or
    /// there are no further ids. Gives up when that has cost as much as looking through all
    /// sessions would, says `false`, and leaves in `after` how far it came.
    fn probe(
        &self,
        after: &mut Option<SessionId>,
        found: &mut Vec<(SessionId, FlowId)>,
        count_max: usize,
    ) -> bool {
        let mut budget = self.len();
        let first_worker = after.map_or(0, |after| after.worker().get());
        for (worker, newest) in (0u16..).zip(&self.newest).skip(first_worker) {
            let first = match *after {
                Some(after) if after.worker().get() == usize::from(worker) => after.sequence() + 1,
                _ => 0,
            };
            // Behind the entry, so whoever reads this finds it.
            for sequence in first..=newest.load(Ordering::Acquire) {
                if found.len() == count_max {
                    return true;
                }
                if budget == 0 {
                    return false;
                }
                budget -= 1;
                let id = SessionId::new(worker, sequence);
                found.extend(self.get(id).map(|flow| (id, flow)));
                *after = Some(id);
            }
        }
        true
    }

    /// For the worker that owns the session, which numbers its sessions in the order of time.
    pub(crate) fn insert(&self, id: SessionId, flow: FlowId) {
        self.shard(id).pin().insert(id, flow);
        if let Some(newest) = self.newest.get(id.worker().get()) {
            newest.fetch_max(id.sequence(), Ordering::Release);
        }
    }

    pub(crate) fn remove(&self, id: SessionId) {
        self.shard(id).pin().remove(&id);
    }

    fn shard(&self, id: SessionId) -> &HashMap<SessionId, FlowId> {
        let count = self.shards.len() as u64;
        let index = usize::try_from(fnv1a(id.get()) % count).expect("below the number of shards");
        &self.shards[index]
    }
}

/// The smallest ids among those that were offered, in any order.
struct Smallest {
    /// Ids up to here are left out.
    after: Option<SessionId>,
    count: usize,
    /// Up to twice as many as wanted: when it is full, the larger half goes.
    kept: Vec<(SessionId, FlowId)>,
    /// None beyond this one can be among the smallest.
    bound: Option<SessionId>,
}

impl Smallest {
    fn new(after: Option<SessionId>, count: usize) -> Self {
        Self { after, count, kept: Vec::with_capacity(2 * count), bound: None }
    }

    fn offer(&mut self, id: SessionId, flow: FlowId) {
        let passed = self.after.is_some_and(|after| id <= after);
        if passed || self.bound.is_some_and(|bound| id > bound) {
            return;
        }
        self.kept.push((id, flow));
        if self.kept.len() == 2 * self.count {
            let last = self.count - 1;
            self.kept.select_nth_unstable_by_key(last, |&(id, _)| id);
            self.kept.truncate(self.count);
            self.bound = Some(self.kept[last].0);
        }
    }

    fn into_sorted(mut self) -> Vec<(SessionId, FlowId)> {
        self.kept.sort_unstable_by_key(|&(id, _)| id);
        self.kept.truncate(self.count);
        self.kept
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
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn flow(index: u32) -> FlowId {
        FlowId { index, generation: 0 }
    }

    /// Pages through the whole registry.
    fn pages(registry: &Registry, count: usize) -> Vec<SessionId> {
        let mut ids = Vec::new();
        loop {
            let page = registry.page(ids.last().copied(), count);
            ids.extend(page.sessions.iter().map(|&(id, _)| id));
            if !page.more {
                return ids;
            }
        }
    }

    #[test]
    fn fnv1a_gives_the_published_value_of_eight_zero_bytes() {
        assert_eq!(fnv1a(0), 0xa8c7_f832_281a_39c5);
    }

    #[test]
    fn a_session_is_found_while_it_is_open() {
        let registry = Registry::new(16, 4);
        let id = SessionId::new(3, 41);
        registry.insert(id, flow(5));
        assert_eq!(registry.get(id), Some(flow(5)));
        registry.remove(id);
        assert_eq!(registry.get(id), None);
    }

    #[test]
    fn consecutive_sessions_spread_over_all_shards() {
        let registry = Registry::new(16, 4);
        for sequence in 0..1600 {
            registry.insert(SessionId::new(0, sequence), flow(0));
        }
        assert!(registry.shard_lens().iter().all(|&len| (50..=150).contains(&len)));
        assert_eq!(registry.len(), 1600);
    }

    #[test]
    fn an_empty_registry_has_one_empty_page() {
        let page = Registry::new(4, 2).page(None, 10);
        assert_eq!(page, Located { sessions: Vec::new(), more: false });
    }

    #[test]
    fn a_few_old_sessions_are_found_among_ids_that_are_gone() {
        let registry = Registry::new(4, 2);
        let old: Vec<SessionId> =
            [(0, 1), (0, 900_000), (1, 5)].map(|(worker, it)| SessionId::new(worker, it)).into();
        old.iter().for_each(|&id| registry.insert(id, flow(0)));
        let gone = SessionId::new(0, 1 << 40);
        registry.insert(gone, flow(0));
        registry.remove(gone);
        assert_eq!(pages(&registry, 1), old);
        assert_eq!(pages(&registry, 3), old);
    }

    #[test]
    fn a_session_that_stays_is_listed_once_while_others_come_and_go() {
        const STAYING: u64 = 400;
        let registry = Registry::new(4, 2);
        let staying: Vec<SessionId> = (0..STAYING)
            .map(|number| SessionId::new(u16::from(number % 2 == 1), number * 100))
            .collect();
        staying.iter().for_each(|&id| registry.insert(id, flow(0)));
        let done = AtomicBool::new(false);

        std::thread::scope(|scope| {
            for worker in 0..2 {
                let (registry, done) = (&registry, &done);
                scope.spawn(move || {
                    // Enough at a time that the tables grow while they are read.
                    for round in 0.. {
                        let ids = (1..STAYING)
                            .map(|number| SessionId::new(worker, number * 100 + 1 + round % 99));
                        ids.clone().for_each(|id| registry.insert(id, flow(1)));
                        ids.for_each(|id| registry.remove(id));
                        if done.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                });
            }
            for _ in 0..10 {
                let mut seen = pages(&registry, 97);
                assert!(seen.is_sorted_by(|left, right| left < right), "in order, none twice");
                seen.retain(|id| {
                    id.get() & 0xffff_ffff_ffff_u64 == (id.get() & 0xffff_ffff_ffff_u64) / 100 * 100
                });
                let mut expected = staying.clone();
                expected.sort_unstable();
                assert_eq!(seen, expected);
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    proptest! {
        #[test]
        fn pages_are_the_ids_in_order(
            ids in prop::collection::btree_set((0..3u16, 0..500u64), 0..200),
            after in prop::option::of((0..3u16, 0..500u64)),
            count in 1..60usize,
            shards in 1..5usize,
        ) {
            let registry = Registry::new(shards, 3);
            let ids: BTreeSet<SessionId> =
                ids.into_iter().map(|(worker, sequence)| SessionId::new(worker, sequence)).collect();
            ids.iter().for_each(|&id| registry.insert(id, flow(0)));
            prop_assert_eq!(pages(&registry, count), ids.iter().copied().collect::<Vec<_>>());

            let after = after.map(|(worker, sequence)| SessionId::new(worker, sequence));
            let page = registry.page(after, count);
            let beyond: Vec<SessionId> =
                ids.into_iter().filter(|&id| after.is_none_or(|after| id > after)).collect();
            prop_assert_eq!(page.more, beyond.len() > count);
            let found: Vec<SessionId> = page.sessions.iter().map(|&(id, _)| id).collect();
            prop_assert_eq!(&found[..], &beyond[..count.min(beyond.len())]);
        }
    }
}
