//! Memory of one NUMA node, in pieces that are shorter than pages.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::numa::Pages;

/// Every piece starts at a cache line.
const PIECE_ALIGN: usize = 64;
/// Bytes that the system is asked for at once. Pages that nobody has touched yet take no memory.
const REGION_BYTES: usize = 1 << 20;
/// Longer pieces have a region each.
const SHARING_BYTES_MAX: usize = REGION_BYTES / 8;

/// Regions of pages of one node. Those of a region are given out in pieces of one length, and go
/// back to the system together when the last piece has come back.
///
/// A pool asks when it grows and shrinks, not for a block that was used before: so a lock will do.
pub(super) struct NodeMemory {
    node: usize,
    regions: Mutex<Regions>,
}

/// Each region goes by the address at which it starts.
#[derive(Default)]
struct Regions {
    by_start: BTreeMap<usize, Region>,
    /// The length of the pieces and the start of each region with a free piece.
    with_room: BTreeSet<(usize, usize)>,
}

struct Region {
    pages: Pages,
    piece_bytes: usize,
    pieces: usize,
    /// Numbers of the pieces that nobody has.
    free: Vec<usize>,
}

impl NodeMemory {
    /// Memory of `node`, after a first region has been had.
    pub(super) fn new(node: usize) -> io::Result<Self> {
        drop(Pages::map(REGION_BYTES, node)?);
        Ok(Self { node, regions: Mutex::default() })
    }

    /// The start of `bytes` that nobody else has, at a cache line; null when there are none.
    pub(super) fn alloc(&self, bytes: usize) -> *mut u8 {
        let piece_bytes = bytes.max(1).next_multiple_of(PIECE_ALIGN);
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        match regions.with_room_for(piece_bytes, self.node) {
            Ok(start) => regions.take_piece(start),
            Err(_) => ptr::null_mut(),
        }
    }

    /// Takes back what `alloc` gave and nobody uses any more.
    pub(super) fn dealloc(&self, memory: *mut u8) {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.give_back(memory.addr());
    }
}

impl Regions {
    /// A region with a free piece of this length: the lowest one, so that others become empty, or
    /// a new one.
    fn with_room_for(&mut self, piece_bytes: usize, node: usize) -> io::Result<usize> {
        let mut same = self.with_room.range((piece_bytes, 0)..=(piece_bytes, usize::MAX));
        if let Some((_, start)) = same.next() {
            return Ok(*start);
        }
        let alone = piece_bytes > SHARING_BYTES_MAX;
        let pieces = if alone { 1 } else { REGION_BYTES / piece_bytes };
        let pages = Pages::map(pieces * piece_bytes, node)?;
        let start = pages.start().addr().get();
        let free = (0..pieces).rev().collect();
        self.by_start.insert(start, Region { pages, piece_bytes, pieces, free });
        self.with_room.insert((piece_bytes, start));
        Ok(start)
    }

    fn take_piece(&mut self, start: usize) -> *mut u8 {
        let region = self.by_start.get_mut(&start).expect("a region with room is there");
        let piece = region.free.pop().expect("a region with room has a free piece");
        if region.free.is_empty() {
            self.with_room.remove(&(region.piece_bytes, start));
        }
        region.pages.start().as_ptr().wrapping_add(piece * region.piece_bytes)
    }

    fn give_back(&mut self, address: usize) {
        let below = self.by_start.range_mut(..=address).next_back();
        let (&start, region) = below.expect("memory of one of the regions");
        region.free.push((address - start) / region.piece_bytes);
        let key = (region.piece_bytes, start);
        if region.free.len() < region.pieces {
            self.with_room.insert(key);
        } else {
            self.with_room.remove(&key);
            self.by_start.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use proptest::prelude::*;

    use super::*;

    fn memory() -> NodeMemory {
        NodeMemory::new(crate::numa::nodes().expect("Linux says it")[0]).expect("its memory")
    }

    fn regions(memory: &NodeMemory) -> usize {
        memory.regions.lock().unwrap().by_start.len()
    }

    #[test]
    fn pieces_of_a_length_share_regions_which_go_when_they_are_empty() {
        let memory = memory();
        let in_two_regions = 2 * (REGION_BYTES / 192);
        let mut pieces: Vec<_> = (0..in_two_regions).map(|_| memory.alloc(192)).collect();
        assert_eq!(regions(&memory), 2);
        let long = memory.alloc(SHARING_BYTES_MAX + 1);
        assert_eq!(regions(&memory), 3);
        memory.dealloc(long);
        assert_eq!(regions(&memory), 2);
        // A hole is filled before more is asked for.
        memory.dealloc(pieces[7]);
        assert_eq!(memory.alloc(192), pieces[7]);
        pieces.push(memory.alloc(192));
        assert_eq!(regions(&memory), 3);
        memory.dealloc(pieces.pop().unwrap());
        assert_eq!(regions(&memory), 2);
        for piece in pieces {
            memory.dealloc(piece);
        }
        assert_eq!(regions(&memory), 0);
    }

    #[test]
    fn more_than_there_is_to_address_is_not_had() {
        assert!(memory().alloc(1 << 50).is_null());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_piece_is_in_two_hands(
            steps in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..300_000), 1..200),
        ) {
            let memory = memory();
            // The oracle: who has which piece, and a byte that nobody else may change.
            let mut held: Vec<(*mut u8, usize, u8)> = Vec::new();
            let check = |(piece, bytes, mark): (*mut u8, usize, u8)| {
                // SAFETY: the piece has this length, every byte of it was written, and it is
                // given back only after this.
                let bytes = unsafe { slice::from_raw_parts(piece, bytes) };
                bytes.iter().all(|byte| *byte == mark)
            };
            for (index, (at, bytes)) in steps.into_iter().enumerate() {
                if index % 3 == 2 {
                    let gone = held.swap_remove(at.index(held.len()));
                    prop_assert!(check(gone));
                    memory.dealloc(gone.0);
                }
                let bytes = if bytes % 2 == 0 { bytes } else { 192 << (bytes % 4) };
                let piece = memory.alloc(bytes);
                prop_assert!(!piece.is_null() && piece.addr().is_multiple_of(PIECE_ALIGN));
                let mark = index.to_le_bytes()[0];
                // SAFETY: the piece has this length, and nobody else refers to it.
                unsafe { piece.write_bytes(mark, bytes) };
                held.push((piece, bytes, mark));
            }
            for piece in held {
                prop_assert!(check(piece));
                memory.dealloc(piece.0);
            }
            prop_assert_eq!(regions(&memory), 0);
        }
    }
}
