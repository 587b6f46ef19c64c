//! When clients look after what is not acknowledged.

/// The precision of a deadline, and how far ahead one is filed at once.
const TICK_NS: u64 = 4_000_000;
const SLOTS: usize = 1024;

/// A wheel of ticks. A client is filed once at most; when its tick comes, it looks whether its
/// deadline still stands, and is filed again if that has moved. So a deadline that moves with
/// every acknowledgement costs nothing when it moves.
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

    /// Files a client, which is not filed yet.
    pub(super) fn file(&mut self, client: u32, deadline_ns: u64) {
        let last = self.tick + SLOTS as u64 - 1;
        let tick = deadline_ns.div_ceil(TICK_NS).clamp(self.tick, last);
        self.slots[slot(tick)].push(client);
        self.filed += 1;
    }

    /// Takes the clients whose tick has come into `due`.
    pub(super) fn expire(&mut self, now_ns: u64, due: &mut Vec<u32>) {
        let now = now_ns / TICK_NS;
        if self.filed == 0 {
            self.tick = self.tick.max(now);
            return;
        }
        // Behind a long pause each slot is looked at once.
        let ticks = (now + 1).saturating_sub(self.tick).min(SLOTS as u64);
        for tick in self.tick..self.tick + ticks {
            due.append(&mut self.slots[slot(tick)]);
        }
        self.tick = self.tick.max(now + 1);
        self.filed -= due.len().min(self.filed);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below the number of slots")]
fn slot(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_due_at_their_time_and_once() {
        let mut timers = Timers::new();
        let mut due = Vec::new();
        timers.expire(1_000_000_000, &mut due);
        timers.file(7, 1_200_000_000);
        timers.file(8, 1_050_000_000);
        timers.file(9, 900_000_000_000);
        let mut seen = Vec::new();
        for now_ns in (1_000_000_000..6_000_000_000).step_by(1_000_000) {
            timers.expire(now_ns, &mut due);
            seen.extend(due.drain(..).map(|client| (client, now_ns)));
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
            timers.file(client, u64::from(client) * 300_000_000);
        }
        timers.expire(3_600_000_000_000, &mut due);
        due.sort_unstable();
        assert_eq!(due, (0..10).collect::<Vec<u32>>());
    }
}
