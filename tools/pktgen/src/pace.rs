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
    /// It has nothing to say while the load is what it is.
    is_silent: bool,
    /// The system takes no more of it.
    is_blocked: bool,
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
            is_silent: false,
            is_blocked: false,
        });
        Self {
            paces: paces.collect(),
            ready: Vec::new(),
            due: BinaryHeap::new(),
            has_begun: false,
            began_ns: 0,
        }
    }

    /// From `began_ns` on the first of the publishers have this load, and the others are silent.
    pub(crate) fn change(&mut self, publishers: usize, load: Option<Load>, began_ns: u64) {
        self.has_begun = true;
        self.began_ns = began_ns;
        self.ready.clear();
        self.due.clear();
        for (at, pace) in self.paces.iter_mut().enumerate() {
            pace.sent_before += std::mem::take(&mut pace.sent);
            pace.publishers = publishers;
            pace.is_blocked = false;
            pace.is_silent = pace.publisher >= publishers || load.is_none();
            let Some(load) = load.filter(|_| !pace.is_silent) else { continue };
            pace.load = load;
            match load {
                Load::Window(_) => self.ready.push(at),
                Load::Rate(rate) => self.due.push(Reverse((pace.due_ns(rate, began_ns), at))),
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
            match pace.load {
                Load::Window(_) => self.ready.push(at),
                Load::Rate(rate) => self.due.push(Reverse((pace.due_ns(rate, began_ns), at))),
            }
        }
    }

    /// Something that a publisher may have waited for has happened.
    pub(crate) fn wake(&mut self, at: usize) {
        let Some(pace) = self.paces.get_mut(at).filter(|_| self.has_begun) else { return };
        if pace.is_silent {
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
        if pace.is_silent {
            return;
        }
        match (turn, pace.load) {
            (Turn::Blocked, _) => pace.is_blocked = true,
            (Turn::Done, Load::Window(_)) => {}
            (Turn::Interrupted, Load::Window(_)) => self.ready.push(at),
            (Turn::Done | Turn::Interrupted, Load::Rate(rate)) => {
                self.due.push(Reverse((pace.due_ns(rate, self.began_ns), at)));
            }
        }
    }
}

impl Pace {
    fn next(&mut self, shared: &Shared, began_ns: u64, now_ns: u64) -> Option<Due> {
        if self.is_silent {
            return None;
        }
        let at_ns = match self.load {
            Load::Window(window) => {
                let sent = self.sent_before + self.sent;
                let in_flight = sent - shared.completed(self.publisher);
                (in_flight < u64::from(window)).then_some(now_ns)?
            }
            Load::Rate(rate) => Some(self.due_ns(rate, began_ns)).filter(|due| *due <= now_ns)?,
        };
        if !shared.take_ticket() {
            return None;
        }
        let sequence = self.sent_before + self.sent;
        self.sent += 1;
        shared.publishing(self.publisher);
        Some(Due { publisher: self.publisher, sequence, at_ns })
    }

    /// The publishers take turns, so that messages are evenly spread.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "not negative, and exact up to 2^53: 100 days in nanoseconds"
    )]
    fn due_ns(&self, rate: f64, began_ns: u64) -> u64 {
        let turn = self.sent as f64 * self.publishers as f64 + self.publisher as f64;
        began_ns + (turn * 1e9 / rate) as u64
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
