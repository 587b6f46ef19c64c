//! When clients look after what is not acknowledged.

/// The precision of a deadline, and how far ahead one is filed at once.
const TICK_NS: u64 = 4_000_000;
const SLOTS: usize = 1024;

/// Where a client is filed, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    pub(super) const NONE: Self = Self(u16::MAX);

    #[expect(clippy::cast_possible_truncation, reason = "below the number of slots")]
    fn of(tick: u64) -> Self {
        Self((tick % SLOTS as u64) as u16)
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A wheel of ticks. When the tick of a client comes, it looks whether its deadline still stands,
/// and is filed again if that has moved on. So a deadline that moves on with every acknowledgement
/// costs nothing when it moves. For one that moves to an earlier tick the client is filed there as
/// well, and passed over where it was before: it is due at the place only that it remembers.
#[derive(Debug)]
pub(super) struct Timers {
    slots: Vec<Vec<u32>>,
    /// The tick that is looked at next.
    tick: u64,
    filed: usize,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), tick: 0, filed: 0 }
    }

    /// Files a client for a deadline, unless it is filed for one that is no later.
    #[inline]
    pub(super) fn file(&mut self, client: u32, deadline_ns: u64, filed: &mut Slot) {
        let last = self.tick + SLOTS as u64 - 1;
        let tick = deadline_ns.div_ceil(TICK_NS).clamp(self.tick, last);
        if *filed == Slot::NONE || tick < self.tick_of(*filed) {
            *filed = Slot::of(tick);
            self.slots[filed.index()].push(client);
            self.filed += 1;
        }
    }

    /// The tick at which a slot is looked at next.
    fn tick_of(&self, slot: Slot) -> u64 {
        let slots = SLOTS as u64;
        self.tick + (u64::from(slot.0) + slots - self.tick % slots) % slots
    }

    /// Takes the clients whose tick has come into `due`, with the slots that they were in.
    pub(super) fn expire(&mut self, now_ns: u64, due: &mut Vec<(Slot, u32)>) {
        let now = now_ns / TICK_NS;
        if self.filed == 0 {
            self.tick = self.tick.max(now);
            return;
        }
        // Behind a long pause each slot is looked at once.
        let ticks = (now + 1).saturating_sub(self.tick).min(SLOTS as u64);
        for tick in self.tick..self.tick + ticks {
            let slot = Slot::of(tick);
            due.extend(self.slots[slot.index()].drain(..).map(|client| (slot, client)));
        }
        self.tick = self.tick.max(now + 1);
        self.filed -= due.len().min(self.filed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_due_at_their_time_and_once() {
        let mut timers = Timers::new();
        let mut due = Vec::new();
        timers.expire(1_000_000_000, &mut due);
        for (client, deadline_ns) in [(7, 1_200_000_000), (8, 1_050_000_000), (9, 900_000_000_000)]
        {
            let mut filed = Slot::NONE;
            timers.file(client, deadline_ns, &mut filed);
        }
        let mut seen = Vec::new();
        for now_ns in (1_000_000_000..6_000_000_000).step_by(1_000_000) {
            timers.expire(now_ns, &mut due);
            seen.extend(due.drain(..).map(|(_, client)| (client, now_ns)));
        }
        let clients: Vec<u32> = seen.iter().map(|(client, _)| *client).collect();
        assert_eq!(clients, [8, 7, 9], "the last one is named early, and files itself again");
        assert!((1_050_000_000..1_056_000_000).contains(&seen[0].1), "{seen:?}");
        assert!((1_200_000_000..1_206_000_000).contains(&seen[1].1), "{seen:?}");
    }

    #[test]
    fn a_long_pause_leaves_nobody_out() {
        let mut timers = Timers::new();
        let mut due = Vec::new();
        for client in 0..10 {
            let mut filed = Slot::NONE;
            timers.file(client, u64::from(client) * 300_000_000, &mut filed);
        }
        timers.expire(3_600_000_000_000, &mut due);
        let mut due: Vec<u32> = due.into_iter().map(|(_, client)| client).collect();
        due.sort_unstable();
        assert_eq!(due, (0..10).collect::<Vec<u32>>());
    }

    #[test]
    fn a_deadline_is_filed_again_only_when_it_is_earlier() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut timers = Timers::new();
        let mut due = Vec::new();
        let mut now_ns = 77_000_000_000;
        timers.expire(now_ns, &mut due);
        for _ in 0..1000 {
            let (mut filed, mut earliest_ns) = (Slot::NONE, u64::MAX);
            for _ in 0..random.usize(1..8) {
                let deadline_ns = now_ns + random.u64(1..4_000_000_000);
                let before = timers.filed;
                timers.file(5, deadline_ns, &mut filed);
                let is_earlier = deadline_ns.div_ceil(TICK_NS) < earliest_ns.div_ceil(TICK_NS);
                assert_eq!(timers.filed - before, usize::from(is_earlier));
                earliest_ns = earliest_ns.min(deadline_ns);
            }
            // It is passed over until it comes to where it was filed last.
            while !due.iter().any(|(slot, _)| *slot == filed) {
                due.clear();
                now_ns += TICK_NS;
                timers.expire(now_ns, &mut due);
            }
            let late_ns = now_ns - earliest_ns;
            assert!(late_ns <= 2 * TICK_NS, "{late_ns}");
            now_ns += 5_000_000_000;
            timers.expire(now_ns, &mut due);
            due.clear();
        }
    }
}
