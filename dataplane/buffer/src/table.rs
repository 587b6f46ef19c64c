//! The frames that a worker's sessions refer to, by index.

use std::mem;

use crate::Frame;

/// An entry of one worker's [`FrameTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameId(u32);

struct Entry {
    frame: Option<Frame>,
    /// References held on this worker; the next free entry when there is no frame.
    references_or_next: u32,
    /// References given back as sent since the last [`FrameTable::take_sent`].
    sent: u32,
}

impl Entry {
    fn new(frame: Frame) -> Self {
        Self { frame: Some(frame), references_or_next: 1, sent: 0 }
    }
}

const END: u32 = u32::MAX;

/// The frames in use on one worker, each with a plain count of the references to it.
///
/// A reference is four bytes and costs an addition, not an atomic operation. Whoever holds one
/// gives it back with [`release`](Self::release); with the last the frame is dropped.
///
/// Each frame has a stamp, a number of the caller's. Of references that are given back with
/// [`release_sent`](Self::release_sent) the table counts how many there were with each, at the cost
/// of an addition beside the other one.
pub struct FrameTable {
    entries: Vec<Entry>,
    /// The stamp of each entry. Apart, since it is looked at once per frame and not per reference.
    stamps: Vec<u64>,
    /// Entries whose `sent` is not zero, and some that have been used again since.
    sent: Vec<u32>,
    /// Stamps of frames that are gone, with what was sent of each.
    sent_and_gone: Vec<(u64, u32)>,
    free: u32,
    used: usize,
    memory_bytes: usize,
}

impl FrameTable {
    /// A table without entries.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            stamps: Vec::new(),
            sent: Vec::new(),
            sent_and_gone: Vec::new(),
            free: END,
            used: 0,
            memory_bytes: 0,
        }
    }

    /// Takes `frame` in with one reference, which the caller holds.
    pub fn insert(&mut self, frame: Frame, stamp: u64) -> FrameId {
        self.used += 1;
        self.memory_bytes += frame.memory_bytes();
        if self.free == END {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 frames");
            self.entries.push(Entry::new(frame));
            self.stamps.push(stamp);
            return FrameId(index);
        }
        let index = self.free;
        let entry = &mut self.entries[index as usize];
        self.free = entry.references_or_next;
        *entry = Entry::new(frame);
        self.stamps[index as usize] = stamp;
        FrameId(index)
    }

    /// One more reference to the frame of `id`, which is returned.
    ///
    /// # Panics
    /// When every reference of `id` was given back.
    pub fn retain(&mut self, id: FrameId) -> &Frame {
        let entry = &mut self.entries[id.0 as usize];
        entry.references_or_next += 1;
        entry.frame.as_ref().expect("a reference holds its frame")
    }

    /// Gives one reference back; with the last the frame is dropped and `id` is void.
    #[inline]
    pub fn release(&mut self, id: FrameId) {
        let entry = &mut self.entries[id.0 as usize];
        entry.references_or_next -= 1;
        if entry.references_or_next == 0 {
            self.drop_frame(id);
        }
    }

    /// Gives one reference back whose frame was sent; see [`take_sent`](Self::take_sent).
    #[inline]
    pub fn release_sent(&mut self, id: FrameId) {
        let entry = &mut self.entries[id.0 as usize];
        if entry.sent == 0 {
            self.sent.push(id.0);
        }
        entry.sent += 1;
        entry.references_or_next -= 1;
        if entry.references_or_next == 0 {
            self.drop_frame(id);
        }
    }

    /// Once for each frame, when nobody refers to it.
    #[cold]
    fn drop_frame(&mut self, id: FrameId) {
        let entry = &mut self.entries[id.0 as usize];
        if entry.sent > 0 {
            self.sent_and_gone.push((self.stamps[id.0 as usize], mem::take(&mut entry.sent)));
        }
        let frame = entry.frame.take();
        self.memory_bytes -= frame.as_ref().map_or(0, Frame::memory_bytes);
        entry.references_or_next = self.free;
        self.free = id.0;
        self.used -= 1;
    }

    /// Tells how many references were given back as sent since the last call, frame by frame, with
    /// the stamp of each. Frames of the same stamp may come apart.
    #[inline]
    pub fn take_sent(&mut self, sink: impl FnMut(u64, u32)) {
        if !(self.sent.is_empty() && self.sent_and_gone.is_empty()) {
            self.tell_sent(sink);
        }
    }

    fn tell_sent(&mut self, mut sink: impl FnMut(u64, u32)) {
        for (stamp, count) in self.sent_and_gone.drain(..) {
            sink(stamp, count);
        }
        for index in self.sent.drain(..) {
            let count = mem::take(&mut self.entries[index as usize].sent);
            if count > 0 {
                sink(self.stamps[index as usize], count);
            }
        }
    }

    /// The frame of `id`.
    ///
    /// # Panics
    /// When every reference of `id` was given back.
    pub fn get(&self, id: FrameId) -> &Frame {
        self.entries[id.0 as usize].frame.as_ref().expect("a reference holds its frame")
    }

    /// Bytes of memory that the frames in the table keep, each insertion counted by itself.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Frames in the table.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether no frame is referred to.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }
}

impl Default for FrameTable {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{Pool, PoolOptions};

    #[test]
    fn a_frame_leaves_with_its_last_reference_and_its_entry_is_used_again() {
        let mut pool = Pool::new(PoolOptions::default());
        let mut table = FrameTable::new();
        let first = table.insert(pool.get(3).freeze(), 0);
        table.retain(first);
        table.release(first);
        assert_eq!(table.get(first).len(), 3);
        table.release(first);
        assert!(table.is_empty());
        let second = table.insert(pool.get(5).freeze(), 0);
        assert_eq!(second, first);
        assert_eq!(table.get(second).len(), 5);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert,
        /// Of the reference at this place, modulo their number.
        Retain(usize),
        Release(usize),
        ReleaseSent(usize),
        TakeSent,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Insert),
            any::<usize>().prop_map(Step::Retain),
            any::<usize>().prop_map(Step::Release),
            any::<usize>().prop_map(Step::ReleaseSent),
            Just(Step::TakeSent),
        ]
    }

    proptest! {
        /// Beside an oracle that keeps each reference apart.
        #[test]
        fn every_frame_lives_exactly_as_long_as_its_references(
            steps in prop::collection::vec(step(), 0..200)
        ) {
            let mut pool = Pool::new(PoolOptions::default());
            let mut table = FrameTable::new();
            let mut lengths = HashMap::new();
            let mut references = Vec::new();
            let mut sent: HashMap<u64, u32> = HashMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert => {
                        let id = table.insert(pool.get(number).freeze(), number as u64 / 3);
                        lengths.insert(id, number);
                        references.push(id);
                    }
                    Step::Retain(at) if !references.is_empty() => {
                        let id = references[at % references.len()];
                        table.retain(id);
                        references.push(id);
                    }
                    Step::Release(at) | Step::ReleaseSent(at) if !references.is_empty() => {
                        let id = references.swap_remove(at % references.len());
                        if matches!(step, Step::Release(_)) {
                            table.release(id);
                        } else {
                            *sent.entry(lengths[&id] as u64 / 3).or_default() += 1;
                            table.release_sent(id);
                        }
                        if !references.contains(&id) {
                            lengths.remove(&id);
                        }
                    }
                    Step::TakeSent => {
                        let mut taken: HashMap<u64, u32> = HashMap::new();
                        table.take_sent(|stamp, count| *taken.entry(stamp).or_default() += count);
                        prop_assert_eq!(taken, mem::take(&mut sent));
                    }
                    Step::Retain(_) | Step::Release(_) | Step::ReleaseSent(_) => {}
                }
                prop_assert_eq!(table.len(), lengths.len());
                prop_assert_eq!(pool.buffers_in_use(), lengths.len());
                let memory: usize =
                    lengths.keys().map(|id| table.get(*id).memory_bytes()).sum();
                prop_assert_eq!(table.memory_bytes(), memory);
                for id in &references {
                    prop_assert_eq!(table.get(*id).len(), lengths[id]);
                }
            }
        }
    }
}
