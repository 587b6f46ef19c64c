//! When the publishers of a thread send their next messages.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::plan::{Load, Plan};
use crate::shared::Shared;

/// The pace of one publisher.
#[derive(Debug)]
struct Pace {
    publisher: usize,
    load: Load,
    publishers: usize,
    /// Since the load is what it is, and before that.
    sent: u64,
    sent_before: u64,
    /// Open loop: what was due under loads that have passed and has not been sent. It goes first.
    owed: Vec<Owed>,
    /// It has nothing to say while the load is what it is.
    is_silent: bool,
    /// The system takes no more of it.
    is_blocked: bool,
}

/// When the messages of a publisher are due in the open loop, while the load is what it is.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    rate: f64,
    publishers: usize,
    publisher: usize,
    began_ns: u64,
}

/// Messages of a schedule that has passed, from one to before another.
#[derive(Clone, Copy, Debug)]
struct Owed {
    schedule: Schedule,
    next: u64,
    end: u64,
}

/// How the schedule of the open loop was kept in the measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Messages that were due.
    pub(crate) due: u64,
    /// Of these, those that were sent, however late.
    pub(crate) sent: u64,
}

/// A message that is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) publisher: usize,
    pub(crate) sequence: u64,
    /// When it was due. In the open loop that may be a while ago, and the latency counts from
    /// then: a server that stalls does not get the messages of its stall left out (coordinated
    /// omission).
    pub(crate) at_ns: u64,
}

/// Which publishers of a thread are to look for something to send. Publishers are counted from 0
/// within the thread, as its clients are. No turn walks over all of them: they are woken by what
/// they wait for.
#[derive(Debug)]
pub(crate) struct Agenda {
    paces: Vec<Pace>,
    /// Who may have something to send, or may not.
    ready: Vec<usize>,
    /// Open loop: when the others have something to send, but for those whom the system keeps from
    /// it.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    has_begun: bool,
    /// When the load began to be what it is.
    began_ns: u64,
    /// Open loop: messages that were due under loads that have passed.
    due_before: u64,
}

/// What became of a publisher's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It has nothing more to send for now.
    Done,
    /// It has had its share.
    Interrupted,
    /// The system takes no more of it; [`Agenda::wake`] will be called.
    Blocked,
}

impl Agenda {
    pub(crate) fn new(plan: &Plan, thread: usize) -> Self {
        let publishers = plan.publishers();
        // In mode mix the first phase says what the load is.
        let load = plan.load().unwrap_or(Load::Rate(1.0));
        let own = (thread..publishers).step_by(plan.threads);
        let paces = own.map(|publisher| Pace {
            publisher,
            load,
            publishers,
            sent: 0,
            sent_before: 0,
            owed: Vec::new(),
            is_silent: false,
            is_blocked: false,
        });
        Self {
            paces: paces.collect(),
            ready: Vec::new(),
            due: BinaryHeap::new(),
            has_begun: false,
            began_ns: 0,
            due_before: 0,
        }
    }

    /// From `began_ns` on the first of the publishers have this load, and the others are silent. What
    /// was due before and is not sent goes first, as of when it was due.
    pub(crate) fn change(&mut self, publishers: usize, load: Option<Load>, began_ns: u64) {
        let has_passed = std::mem::replace(&mut self.has_begun, true);
        let passed_ns = std::mem::replace(&mut self.began_ns, began_ns);
        self.ready.clear();
        self.due.clear();
        for (at, pace) in self.paces.iter_mut().enumerate() {
            if has_passed && let Some(schedule) = pace.schedule(passed_ns) {
                let end = schedule.due_before(began_ns);
                self.due_before += end;
                if pace.sent < end {
                    pace.owed.push(Owed { schedule, next: pace.sent, end });
                }
            }
            pace.sent_before += std::mem::take(&mut pace.sent);
            pace.publishers = publishers;
            pace.is_blocked = false;
            pace.is_silent = pace.publisher >= publishers || load.is_none();
            pace.load = load.unwrap_or(pace.load);
            match pace.schedule(began_ns) {
                _ if !pace.owed.is_empty() => self.ready.push(at),
                Some(schedule) => self.due.push(Reverse((schedule.due_ns(pace.sent), at))),
                None if pace.is_silent => {}
                None => self.ready.push(at),
            }
        }
    }

    /// Publishing begins, with the first call.
    pub(crate) fn begin(&mut self, shared: &Shared) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let began_ns = shared.run_began_ns();
        self.began_ns = began_ns;
        for (at, pace) in self.paces.iter().enumerate() {
            match pace.schedule(began_ns) {
                Some(schedule) => self.due.push(Reverse((schedule.due_ns(pace.sent), at))),
                None => self.ready.push(at),
            }
        }
    }

    /// Something that a publisher may have waited for has happened.
    pub(crate) fn wake(&mut self, at: usize) {
        let Some(pace) = self.paces.get_mut(at).filter(|_| self.has_begun) else { return };
        if pace.has_nothing_to_say() {
            return;
        }
        // In the open loop the others are known to be due at their time.
        if std::mem::take(&mut pace.is_blocked) || pace.load.window().is_some() {
            self.ready.push(at);
        }
    }

    /// Messages may have arrived with the clients of other threads. In the open loop nobody waits
    /// for that.
    pub(crate) fn wake_all(&mut self) {
        if self.paces.first().is_some_and(|pace| pace.load.window().is_some()) && self.has_begun {
            self.ready.clear();
            self.ready.extend(0..self.paces.len());
        }
    }

    /// When somebody has something to send; 0 is at once.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        if !self.ready.is_empty() {
            return Some(0);
        }
        self.due.peek().map(|Reverse((due_ns, _))| *due_ns)
    }

    /// Puts those whose time it is into `turns`.
    pub(crate) fn turns(&mut self, now_ns: u64, turns: &mut Vec<usize>) {
        turns.append(&mut self.ready);
        while let Some(Reverse((due_ns, at))) = self.due.peek().copied() {
            if due_ns > now_ns {
                break;
            }
            self.due.pop();
            turns.push(at);
        }
    }

    /// The next message of a publisher, if its time has come. It counts as published from here on.
    pub(crate) fn next(&mut self, at: usize, shared: &Shared, now_ns: u64) -> Option<Due> {
        self.paces[at].next(shared, self.began_ns, now_ns)
    }

    /// A publisher has had its turn.
    pub(crate) fn after(&mut self, at: usize, turn: Turn) {
        let pace = &mut self.paces[at];
        match (turn, pace.schedule(self.began_ns)) {
            (Turn::Blocked, _) => pace.is_blocked = true,
            (Turn::Interrupted, _) if !pace.owed.is_empty() => self.ready.push(at),
            (Turn::Done | Turn::Interrupted, Some(schedule)) => {
                self.due.push(Reverse((schedule.due_ns(pace.sent), at)));
            }
            (Turn::Interrupted, None) if !pace.is_silent => self.ready.push(at),
            (Turn::Done | Turn::Interrupted, None) => {}
        }
    }

    /// Whether something that was due before `until_ns` has not been sent, or waits for room in the
    /// system.
    pub(crate) fn owes(&self, until_ns: u64) -> bool {
        let is_due = |due: &Reverse<(u64, usize)>| due.0.0 < until_ns;
        until_ns > 0
            && (!self.ready.is_empty()
                || self.due.peek().is_some_and(is_due)
                || self.paces.iter().any(|pace| pace.is_blocked))
    }

    /// How the schedule was kept between two moments. Of loads that have passed all counts.
    pub(crate) fn kept(&self, from_ns: u64, to_ns: u64) -> Kept {
        let mut kept = Kept { due: self.due_before, sent: self.due_before };
        for pace in self.paces.iter().filter(|_| self.has_begun) {
            kept.sent -= pace.owed.iter().map(|owed| owed.end - owed.next).sum::<u64>();
            let Some(schedule) = pace.schedule(self.began_ns) else { continue };
            let (from, to) = (schedule.due_before(from_ns), schedule.due_before(to_ns));
            kept.due += to - from;
            kept.sent += pace.sent.clamp(from, to) - from;
        }
        kept
    }
}

impl Schedule {
    /// The publishers take turns, so that messages are evenly spread.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "not negative, and exact up to 2^53: 100 days in nanoseconds"
    )]
    fn due_ns(&self, number: u64) -> u64 {
        let turn = number as f64 * self.publishers as f64 + self.publisher as f64;
        self.began_ns.saturating_add((turn * 1e9 / self.rate) as u64)
    }

    /// How many messages are due before a moment.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "as for the times; a negative count becomes 0"
    )]
    fn due_before(&self, at_ns: u64) -> u64 {
        let turns = at_ns.saturating_sub(self.began_ns) as f64 * self.rate / 1e9;
        let mut count = ((turns - self.publisher as f64) / self.publishers as f64).ceil() as u64;
        // Both ways are rounded; what is said here has to be what happens.
        while count > 0 && self.due_ns(count - 1) >= at_ns {
            count -= 1;
        }
        while self.due_ns(count) < at_ns {
            count += 1;
        }
        count
    }
}

impl Pace {
    fn next(&mut self, shared: &Shared, began_ns: u64, now_ns: u64) -> Option<Due> {
        if self.has_nothing_to_say() {
            return None;
        }
        let sequence = self.sent_before + self.sent;
        let at_ns = match (self.owed.first(), self.load) {
            (Some(owed), _) => owed.schedule.due_ns(owed.next),
            (None, Load::Window(window)) => {
                let in_flight = sequence - shared.completed(self.publisher);
                (in_flight < u64::from(window)).then_some(now_ns)?
            }
            (None, Load::Rate(_)) => {
                let due_ns = self.schedule(began_ns)?.due_ns(self.sent);
                Some(due_ns).filter(|due_ns| *due_ns <= now_ns)?
            }
        };
        if at_ns >= shared.due_until_ns() || !shared.take_ticket() {
            return None;
        }
        if let Some(owed) = self.owed.first_mut() {
            owed.next += 1;
            self.sent_before += 1;
            if owed.next == owed.end {
                self.owed.remove(0);
            }
        } else {
            self.sent += 1;
        }
        shared.publishing(self.publisher);
        Some(Due { publisher: self.publisher, sequence, at_ns })
    }

    /// When its messages are due, if it is the time that says so.
    fn schedule(&self, began_ns: u64) -> Option<Schedule> {
        let rate = self.load.rate().filter(|_| !self.is_silent)?;
        let (publishers, publisher) = (self.publishers, self.publisher);
        Some(Schedule { rate, publishers, publisher, began_ns })
    }

    fn has_nothing_to_say(&self) -> bool {
        self.is_silent && self.owed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Audience, Scenario};

    fn shared(load: Load, publishers: usize) -> Shared {
        let audience = Audience { publishers, slow: 0, sender_excluded: false };
        Shared::new(Plan::of(Scenario::Broadcast { audience, message_len: 64, load }, publishers))
    }

    fn turns(agenda: &mut Agenda, now_ns: u64) -> Vec<usize> {
        let mut turns = Vec::new();
        agenda.turns(now_ns, &mut turns);
        turns
    }

    #[test]
    fn with_a_window_a_publisher_waits_until_its_messages_have_arrived() {
        let shared = shared(Load::Window(2), 1);
        let mut agenda = Agenda::new(&shared.plan, 0);
        agenda.begin(&shared);
        assert_eq!(turns(&mut agenda, 0), [0]);
        let sent: Vec<u64> =
            std::iter::from_fn(|| agenda.next(0, &shared, 5)).map(|due| due.sequence).collect();
        assert_eq!(sent, [0, 1]);
        agenda.after(0, Turn::Done);
        assert_eq!(agenda.next_ns(), None, "nothing to do before somebody is woken");
        shared.complete(0, 1);
        agenda.wake(0);
        assert_eq!(turns(&mut agenda, 9), [0]);
        assert_eq!(agenda.next(0, &shared, 9), Some(Due { publisher: 0, sequence: 2, at_ns: 9 }));
        assert_eq!(agenda.next(0, &shared, 9), None);
    }

    #[test]
    fn at_a_rate_publishers_take_turns_and_what_is_late_counts_from_when_it_was_due() {
        let shared = shared(Load::Rate(1000.0), 2);
        let mut agenda = Agenda::new(&shared.plan, 0);
        agenda.begin(&shared);
        assert_eq!(turns(&mut agenda, 999_999), [0]);
        assert!(agenda.next(0, &shared, 999_999).is_some());
        agenda.after(0, Turn::Done);
        assert_eq!(agenda.next_ns(), Some(1_000_000), "the other one is next");
        // A stall of 5 ms: all that was due in it is sent, each as of its own time.
        assert_eq!(turns(&mut agenda, 6_000_000), [1, 0]);
        let late = std::iter::from_fn(|| agenda.next(0, &shared, 6_000_000));
        let late: Vec<u64> = late.map(|due| due.at_ns).collect();
        assert_eq!(late, [2_000_000, 4_000_000, 6_000_000]);
    }

    #[test]
    fn when_the_rate_changes_sequences_go_on_and_the_clock_begins_anew() {
        let shared = shared(Load::Rate(1000.0), 2);
        let mut agenda = Agenda::new(&shared.plan, 0);
        agenda.change(2, Some(Load::Rate(1000.0)), 5_000_000);
        assert_eq!(agenda.next_ns(), Some(5_000_000));
        assert_eq!(turns(&mut agenda, 5_000_000), [0]);
        assert!(agenda.next(0, &shared, 5_000_000).is_some());
        agenda.after(0, Turn::Done);
        agenda.change(1, Some(Load::Rate(10.0)), 6_000_000);
        assert_eq!(turns(&mut agenda, u64::MAX), [0], "the other one is silent");
        let due = agenda.next(0, &shared, 6_000_000);
        assert_eq!(due, Some(Due { publisher: 0, sequence: 1, at_ns: 6_000_000 }));
        agenda.change(1, Some(Load::Window(3)), 7_000_000);
        assert_eq!(turns(&mut agenda, 7_000_000), [0]);
        let sent = std::iter::from_fn(|| agenda.next(0, &shared, 7_000_001));
        let sent: Vec<u64> = sent.map(|due| due.sequence).collect();
        assert_eq!(sent, [2], "two are on their way already");
        agenda.change(2, None, 8_000_000);
        agenda.wake(0);
        assert_eq!((turns(&mut agenda, u64::MAX), agenda.next_ns()), (vec![], None));
    }

    #[test]
    fn what_was_due_before_the_end_is_owed_and_sent_and_what_was_due_later_is_not() {
        let shared = shared(Load::Rate(1000.0), 2);
        let mut agenda = Agenda::new(&shared.plan, 0);
        agenda.begin(&shared);
        shared.begin_measuring();
        shared.end_measuring();
        let end_ns = shared.due_until_ns();
        // From 0 to here, one each millisecond.
        let due = end_ns.div_ceil(1_000_000);
        assert_eq!(agenda.kept(0, end_ns), Kept { due, sent: 0 });
        assert!(agenda.owes(end_ns));
        let mut sent = 0;
        for at in [0, 1] {
            while let Some(message) = agenda.next(at, &shared, u64::MAX) {
                assert!(message.at_ns < end_ns, "{message:?}, and {end_ns} is the end");
                sent += 1;
            }
        }
        assert_eq!((sent, agenda.kept(0, end_ns)), (due, Kept { due, sent: due }));
        turns(&mut agenda, u64::MAX);
        (0..2).for_each(|at| agenda.after(at, Turn::Done));
        assert!(!agenda.owes(end_ns));
    }

    #[test]
    fn how_many_are_due_before_a_moment_is_what_their_times_say() {
        for (rate, publishers) in [(1000.0, 1), (3.0, 2), (0.7, 3), (1e7, 5), (33_333.3, 7)] {
            for publisher in 0..publishers {
                let schedule = Schedule { rate, publishers, publisher, began_ns: 77 };
                for count in [0, 1, 2, 10, 999] {
                    let due_ns = schedule.due_ns(count);
                    assert_eq!(schedule.due_before(due_ns), count, "{schedule:?}");
                    assert_eq!(schedule.due_before(due_ns + 1), count + 1, "{schedule:?}");
                }
                assert_eq!(schedule.due_before(0), 0);
            }
        }
    }

    #[test]
    fn what_a_load_leaves_unsent_goes_ahead_of_the_next_one_even_of_those_who_fall_silent() {
        let shared = shared(Load::Rate(1000.0), 2);
        let mut agenda = Agenda::new(&shared.plan, 0);
        agenda.change(2, Some(Load::Rate(1000.0)), 5_000_000);
        // 5, 7 and 9 ms are of the first one, 6 and 8 of the other; only that of 5 is sent.
        assert!(agenda.next(0, &shared, 5_000_000).is_some());
        agenda.change(1, Some(Load::Rate(500.0)), 10_000_000);
        assert_eq!(agenda.kept(0, 10_000_000), Kept { due: 5, sent: 1 });
        assert_eq!(turns(&mut agenda, 10_000_000), [0, 1]);
        let mut sent = |at: usize| -> Vec<(u64, u64)> {
            let due = std::iter::from_fn(|| agenda.next(at, &shared, 12_000_000));
            due.map(|due| (due.sequence, due.at_ns / 1_000_000)).collect()
        };
        assert_eq!(sent(0), [(1, 7), (2, 9), (3, 10), (4, 12)]);
        assert_eq!(sent(1), [(0, 6), (1, 8)]);
        (0..2).for_each(|at| agenda.after(at, Turn::Done));
        assert_eq!(agenda.kept(0, 12_000_001), Kept { due: 7, sent: 7 });
        assert_eq!(turns(&mut agenda, u64::MAX), [0], "the other one is silent");
    }

    #[test]
    fn a_publisher_that_is_blocked_waits_to_be_woken() {
        let shared = shared(Load::Rate(1000.0), 1);
        let mut agenda = Agenda::new(&shared.plan, 0);
        agenda.begin(&shared);
        assert_eq!(turns(&mut agenda, 0), [0]);
        agenda.after(0, Turn::Blocked);
        assert_eq!(agenda.next_ns(), None);
        agenda.wake(0);
        agenda.wake(0);
        assert_eq!(turns(&mut agenda, 0), [0], "once, however often it is woken");
    }
}
