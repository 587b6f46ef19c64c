//! Deadlines of flows.

use std::time::{Duration, Instant};

use hioload_buffer::ChunkedVec;

use crate::FlowId;

/// Deadlines of a worker's flows, told apart to one tick.
///
/// There is no way to cancel an entry: its owner looks, when the flow is named by
/// [`expire`](Self::expire), whether a deadline of the flow still stands, and schedules it again
/// if it was moved. So a deadline that moves with every message (an idle limit) costs nothing
/// when it moves, and one entry per flow suffices. A flow may have several entries, and an entry
/// may outlive its flow; its [`FlowId`] is void then.
///
/// A flow is named at the first tick that begins at or after its deadline: never early, and late
/// by less than a tick.
///
/// It is a hierarchical wheel: a deadline is filed by the highest group of six bits in which its
/// tick differs from the present one, and moves to a lower level when that group is reached. So
/// an entry is touched once per level at the most, and a deadline of hours two or three times.
/// Entries are kept in a slab, 20 bytes each, and allocate only when there are more than ever before.
pub struct TimerWheel {
    origin: Instant,
    tick_ns: u64,
    /// Ticks that have passed; every entry in a slot is due later.
    elapsed: u64,
    /// Nothing that waits is due before, as far as is known: most turns end before the tick does.
    tick_ends: Instant,
    levels: [Level; LEVELS],
    /// Entries taken from a slot that was reached, or due when they came.
    reached: u32,
    entries: ChunkedVec<Entry>,
    /// Entries that were used.
    used: u32,
    free: u32,
    len: usize,
}

impl TimerWheel {
    /// Flows that one call of [`expire`](Self::expire) names at most.
    pub const EXPIRED_PER_CALL_MAX: usize = 1024;

    /// A wheel that begins at `now`. A `tick` below one millisecond counts as one.
    pub fn new(now: Instant, tick: Duration) -> Self {
        let tick = tick.max(Duration::from_millis(1));
        Self {
            origin: now,
            tick_ns: u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX),
            elapsed: 0,
            tick_ends: now,
            levels: std::array::from_fn(|_| Level::new()),
            reached: NONE,
            entries: ChunkedVec::new(),
            used: 0,
            free: NONE,
            len: 0,
        }
    }

    /// Adds a deadline of `flow`. One that has passed is reported by the next
    /// [`expire`](Self::expire).
    pub fn schedule(&mut self, flow: FlowId, at: Instant) {
        let tick = self.nanoseconds(at).div_ceil(self.tick_ns);
        let entry = Entry { flow, tick: Tick::new(tick), next: NONE };
        let index = if self.free == NONE {
            assert!(self.used < NONE, "2^32 deadlines wait at once");
            self.used += 1;
            self.used - 1
        } else {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            index
        };
        *self.entries.reach(index as usize, || entry) = entry;
        self.len += 1;
        self.file(index);
    }

    /// Appends to `expired` the flows whose deadlines have passed, in no particular order within
    /// a tick.
    ///
    /// Touches at most [`EXPIRED_PER_CALL_MAX`](Self::EXPIRED_PER_CALL_MAX) entries; when there are
    /// more, [`next`](Self::next) names a moment that has passed, and the next call goes on.
    #[inline]
    pub fn expire(&mut self, now: Instant, expired: &mut Vec<FlowId>) {
        if self.reached != NONE || now >= self.tick_ends {
            self.advance(now, expired);
        }
    }

    fn advance(&mut self, now: Instant, expired: &mut Vec<FlowId>) {
        let present = self.nanoseconds(now) / self.tick_ns;
        let mut budget = Self::EXPIRED_PER_CALL_MAX;
        loop {
            while self.reached != NONE {
                if budget == 0 {
                    return;
                }
                budget -= 1;
                self.settle_one(expired);
            }
            let Some(place) = self.earliest().filter(|place| place.start <= present) else { break };
            self.elapsed = place.start;
            self.reached = self.levels[place.level].take(place.slot);
        }
        self.elapsed = self.elapsed.max(present);
        self.tick_ends = self.instant(self.elapsed.saturating_add(1)).unwrap_or(self.origin);
    }

    /// When to call [`expire`](Self::expire) next; `None` without entries.
    ///
    /// No entry expires before this moment. It may be early, once per level of the wheel for
    /// each deadline that is far away, but then the call makes progress: the moment after it is
    /// a later one.
    pub fn next(&self) -> Option<Instant> {
        let tick = if self.reached != NONE { self.elapsed } else { self.earliest()?.start };
        self.instant(tick)
    }

    /// When a tick begins; `None` where no clock gets to.
    fn instant(&self, tick: u64) -> Option<Instant> {
        self.origin.checked_add(Duration::from_nanos(tick.checked_mul(self.tick_ns)?))
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no entry waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes one entry off the reached ones: reports it, or files it on a lower level.
    fn settle_one(&mut self, expired: &mut Vec<FlowId>) {
        let index = self.reached;
        let entry = &mut self.entries[index as usize];
        self.reached = entry.next;
        if entry.tick.get() <= self.elapsed {
            expired.push(entry.flow);
            entry.next = self.free;
            self.free = index;
            self.len -= 1;
        } else {
            self.file(index);
        }
    }

    /// Links an entry where its tick belongs.
    fn file(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        if entry.tick.get() <= self.elapsed {
            entry.next = self.reached;
            self.reached = index;
            return;
        }
        let tick = entry.tick.get();
        let level = (tick ^ self.elapsed).ilog2() / BITS;
        let slot = (tick >> (level * BITS)) & SLOT_MASK;
        let level = &mut self.levels[level as usize];
        level.occupied |= 1 << slot;
        entry.next = std::mem::replace(&mut level.slots[slot as usize], index);
    }

    /// The slot that is reached first.
    ///
    /// What is on a level differs from the present tick in that level's group of bits first, so
    /// everything on lower levels comes earlier, and within a level the lowest slot does.
    fn earliest(&self) -> Option<Place> {
        let (level, number) =
            self.levels.iter().zip(0u32..).find(|(level, _)| level.occupied != 0)?;
        let slot = level.occupied.trailing_zeros();
        let shift = number * BITS;
        let groups_above = self.elapsed >> shift >> BITS << BITS;
        let start = (groups_above | u64::from(slot)) << shift;
        Some(Place { level: number as usize, slot: slot as usize, start })
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

const NONE: u32 = u32::MAX;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const SLOT_MASK: u64 = (1 << BITS) - 1;
/// Enough for every tick that 64 bits can count.
const LEVELS: usize = 11;

/// 64 chains of entries, and which of them are not empty.
struct Level {
    occupied: u64,
    slots: [u32; SLOTS],
}

impl Level {
    fn new() -> Self {
        Self { occupied: 0, slots: [NONE; SLOTS] }
    }

    fn take(&mut self, slot: usize) -> u32 {
        self.occupied &= !(1 << slot);
        std::mem::replace(&mut self.slots[slot], NONE)
    }
}

/// A slot that is not empty, and the tick at which it begins.
struct Place {
    level: usize,
    slot: usize,
    start: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    flow: FlowId,
    /// The tick at which the flow is named.
    tick: Tick,
    next: u32,
}

const _: () = assert!(size_of::<Entry>() == 20);

/// A `u64` in halves, so that an entry is not padded to eight bytes.
#[derive(Clone, Copy)]
struct Tick([u32; 2]);

impl Tick {
    #[expect(clippy::cast_possible_truncation, reason = "each half is what is meant")]
    fn new(tick: u64) -> Self {
        Self([(tick >> 32) as u32, tick as u32])
    }

    fn get(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }
}

#[cfg(test)]
mod tests;
