//! Whether every client gets every message once, in order, and whole.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use crate::message::{ROLL_CALL, Stamp};

/// Descriptions kept per thread; all are counted.
const EXAMPLES_MAX: usize = 5;

/// Missing messages remembered per thread, so that a late one is told from a duplicate. Beyond
/// these a missing message is counted as lost at once.
const MISSING_MAX: usize = 16_384;

/// What can be wrong with what a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// A message that a client never got.
    Lost,
    /// A message that came again.
    Duplicated,
    /// A message that came after a later one of the same publisher.
    Reordered,
    /// A message with other bytes than were sent.
    Damaged,
    /// A message that nobody of this run sent, or that was not for this client.
    Unexpected,
    /// Frames that break RFC 6455.
    Protocol,
    /// A connection that the server ended, or never took.
    Disconnected,
}

/// How often each offence was seen, and what the first ones looked like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offences {
    counts: [u64; 7],
    pub(crate) examples: Vec<String>,
}

impl Offences {
    pub(crate) fn count(&self, offence: Offence) -> u64 {
        self.counts[offence as usize]
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Counts `times` offences. The description is only asked for while there is room for it.
    pub(crate) fn add<D: fmt::Display>(
        &mut self,
        offence: Offence,
        times: u64,
        describe: impl FnOnce() -> D,
    ) {
        self.counts[offence as usize] += times;
        if times > 0 && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(describe().to_string());
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.examples.extend(other.examples);
    }
}

/// What the clients of a run are to get.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// Every message of each of so many publishers, who are the first clients of the run. Where the
    /// sender is excluded they do not get their own.
    All { publishers: usize, sender_excluded: bool },
    /// Their own messages.
    Own,
}

/// A message that is in order, or the first after a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) publisher: usize,
    /// The sequences that this client waits for no more: that of the message is the last.
    pub(crate) settled: Range<u64>,
    /// When it was due, if the message is whole.
    pub(crate) sent_ns: Option<u64>,
}

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Arrived(Arrival),
    RollCall,
    /// Counted as an offence, or a straggler.
    Aside,
}

/// Checks what the clients of one thread get. Clients are counted from 0 within the thread.
#[derive(Debug)]
pub(crate) struct Checker {
    run: u64,
    message_len: usize,
    expected: Expected,
    /// The number of client 0 in the run, and the distance to the next one.
    numbering: (usize, usize),
    /// The next sequence, by client and publisher.
    next: Vec<u64>,
    missing: Vec<Missing>,
    /// Damaged messages of which nobody can say which they were.
    unidentified: HashMap<usize, u64>,
    /// Clients whose connection ended: what they did not get since then is no loss of its own.
    gone: HashSet<usize>,
    pub(crate) offences: Offences,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missing {
    client: usize,
    publisher: usize,
    sequence: u64,
}

impl Checker {
    pub(crate) fn new(
        run: u64,
        message_len: usize,
        expected: Expected,
        clients: usize,
        numbering: (usize, usize),
    ) -> Self {
        let mut checker = Self {
            run,
            message_len,
            expected,
            numbering,
            next: Vec::new(),
            missing: Vec::new(),
            unidentified: HashMap::new(),
            gone: HashSet::new(),
            offences: Offences::default(),
        };
        checker.next = vec![0; clients * checker.publishers()];
        checker
    }

    /// The number of a client in the run.
    pub(crate) fn number(&self, client: usize) -> usize {
        self.numbering.0 + client * self.numbering.1
    }

    /// Takes a message that a client got. `published` says how many each publisher has sent.
    pub(crate) fn take(
        &mut self,
        client: usize,
        message: &[u8],
        published: impl Fn(usize) -> u64,
    ) -> Verdict {
        let Some(stamp) = self.whole(message) else {
            return self.damaged(client, message, published);
        };
        if stamp.publisher == ROLL_CALL {
            return Verdict::RollCall;
        }
        let publisher = stamp.publisher as usize;
        let Some(at) =
            self.track(client, publisher).filter(|_| stamp.sequence < published(publisher))
        else {
            let number = self.number(client);
            self.offences.add(Offence::Unexpected, 1, || {
                format!("client {number} got {stamp}, which was not for it")
            });
            return Verdict::Aside;
        };
        let next = self.next[at];
        if stamp.sequence < next {
            self.late(client, publisher, stamp);
            return Verdict::Aside;
        }
        for sequence in next..stamp.sequence {
            self.miss(Missing { client, publisher, sequence });
        }
        self.next[at] = stamp.sequence + 1;
        let settled = next..stamp.sequence + 1;
        Verdict::Arrived(Arrival { publisher, settled, sent_ns: Some(stamp.sent_ns) })
    }

    /// The connection of a client has ended before its time.
    pub(crate) fn leave(&mut self, client: usize) {
        self.gone.insert(client);
    }

    /// Ends the run: what has not come by now is lost. `published` says how many each publisher has
    /// sent, if that can be said.
    pub(crate) fn finish(&mut self, published: impl Fn(usize) -> Option<u64>) {
        for client in 0..self.next.len() / self.publishers().max(1) {
            if self.gone.contains(&client) {
                continue;
            }
            for publisher in self.publishers_of(client) {
                let (Some(at), Some(published)) =
                    (self.track(client, publisher), published(publisher))
                else {
                    continue;
                };
                for sequence in self.next[at]..published {
                    self.miss(Missing { client, publisher, sequence });
                }
                self.next[at] = published;
            }
        }
        for Missing { client, publisher, sequence } in std::mem::take(&mut self.missing) {
            if self.came_damaged(client) {
                continue;
            }
            let number = self.number(client);
            self.offences.add(Offence::Lost, 1, || {
                format!("client {number} never got message {sequence} of publisher {publisher}")
            });
        }
    }

    /// The stamp of a message of this run of which every byte is as it was sent.
    fn whole(&self, message: &[u8]) -> Option<Stamp> {
        let stamp = Stamp::read(message)?;
        let is_whole =
            message.len() == self.message_len && stamp.run == self.run && stamp.holds(message);
        is_whole.then_some(stamp)
    }

    fn damaged(
        &mut self,
        client: usize,
        message: &[u8],
        published: impl Fn(usize) -> u64,
    ) -> Verdict {
        let number = self.number(client);
        let len = message.len();
        let stamp = Stamp::read(message);
        let foreign = match stamp {
            // Whole by its own account, and of another run.
            Some(stamp) if stamp.holds(message) => stamp.run != self.run,
            Some(stamp) => stamp.run != self.run && len != self.message_len,
            None => true,
        };
        if foreign {
            self.offences.add(Offence::Unexpected, 1, || {
                format!("client {number} got {len} bytes that nobody of this run sent")
            });
            return Verdict::Aside;
        }
        self.offences.add(Offence::Damaged, 1, || match stamp {
            Some(stamp) => format!("client {number} got {stamp} damaged ({len} bytes)"),
            None => format!("client {number} got a damaged message of {len} bytes"),
        });
        // It is the one that was due, if its header says so; else one of those that will be missed.
        let due = stamp.and_then(|stamp| {
            let publisher = stamp.publisher as usize;
            let at = self.track(client, publisher)?;
            let is_due = stamp.run == self.run
                && stamp.sequence == self.next[at]
                && stamp.sequence < published(publisher);
            is_due.then_some((publisher, at))
        });
        let Some((publisher, at)) = due else {
            *self.unidentified.entry(client).or_default() += 1;
            return Verdict::Aside;
        };
        let next = self.next[at];
        self.next[at] = next + 1;
        Verdict::Arrived(Arrival { publisher, settled: next..next + 1, sent_ns: None })
    }

    /// A message that this client waits for no more: it was missing, or came before.
    fn late(&mut self, client: usize, publisher: usize, stamp: Stamp) {
        let number = self.number(client);
        let missing = Missing { client, publisher, sequence: stamp.sequence };
        if let Some(at) = self.missing.iter().position(|known| *known == missing) {
            self.missing.swap_remove(at);
            self.offences.add(Offence::Reordered, 1, || {
                format!("client {number} got {stamp} after a later one")
            });
        } else {
            self.offences
                .add(Offence::Duplicated, 1, || format!("client {number} got {stamp} again"));
        }
    }

    fn miss(&mut self, missing: Missing) {
        if self.missing.len() < MISSING_MAX {
            self.missing.push(missing);
            return;
        }
        let number = self.number(missing.client);
        self.offences.add(Offence::Lost, 1, || {
            format!(
                "client {number} missed message {} of publisher {}",
                missing.sequence, missing.publisher
            )
        });
    }

    /// Whether a damaged message accounts for one that this client misses.
    fn came_damaged(&mut self, client: usize) -> bool {
        let Some(left) = self.unidentified.get_mut(&client).filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    /// Where the next sequence of a publisher is kept, if the client is to get its messages.
    fn track(&self, client: usize, publisher: usize) -> Option<usize> {
        match self.expected {
            Expected::All { publishers, sender_excluded } => {
                let is_own = sender_excluded && publisher == self.number(client);
                (publisher < publishers && !is_own).then(|| client * publishers + publisher)
            }
            Expected::Own => (publisher == self.number(client)).then_some(client),
        }
    }

    fn publishers(&self) -> usize {
        match self.expected {
            Expected::All { publishers, .. } => publishers,
            Expected::Own => 1,
        }
    }

    fn publishers_of(&self, client: usize) -> Range<usize> {
        match self.expected {
            Expected::All { publishers, .. } => 0..publishers,
            Expected::Own => self.number(client)..self.number(client) + 1,
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of publisher {}", self.sequence, self.publisher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u64 = 5;
    const LEN: usize = 48;

    fn message(publisher: u32, sequence: u64) -> Vec<u8> {
        let mut message = vec![0; LEN];
        Stamp { run: RUN, publisher, sequence, sent_ns: 9 }.write(&mut message);
        message
    }

    fn all_of(publishers: usize) -> Expected {
        Expected::All { publishers, sender_excluded: false }
    }

    /// One client, which is to get ten messages of one publisher, and got these.
    fn offences(messages: &[Vec<u8>]) -> Offences {
        let mut checker = Checker::new(RUN, LEN, all_of(1), 1, (0, 1));
        for message in messages {
            checker.take(0, message, |_| 10);
        }
        checker.finish(|_| Some(10));
        checker.offences
    }

    fn in_order() -> Vec<Vec<u8>> {
        (0..10).map(|sequence| message(0, sequence)).collect()
    }

    #[track_caller]
    fn assert_only(offences: &Offences, offence: Offence, times: u64) {
        assert_eq!((offences.count(offence), offences.total()), (times, times), "{offences:?}");
    }

    #[test]
    fn all_messages_in_order_are_no_offence() {
        assert_eq!(offences(&in_order()).total(), 0);
    }

    #[test]
    fn lost_messages_are_counted_wherever_they_are_missing() {
        let mut messages = in_order();
        messages.remove(9);
        messages.remove(5);
        messages.remove(0);
        assert_only(&offences(&messages), Offence::Lost, 3);
    }

    #[test]
    fn a_message_that_comes_three_times_is_duplicated_twice() {
        let mut messages = in_order();
        messages.insert(4, message(0, 3));
        messages.push(message(0, 3));
        assert_only(&offences(&messages), Offence::Duplicated, 2);
    }

    #[test]
    fn a_message_that_comes_late_is_reordered_and_not_lost() {
        let mut messages = in_order();
        let late = messages.remove(2);
        messages.insert(7, late);
        assert_only(&offences(&messages), Offence::Reordered, 1);
    }

    #[test]
    fn damage_is_counted_once_wherever_it_is() {
        for at in 0..LEN {
            let mut messages = in_order();
            messages[4][at] ^= 0x10;
            assert_only(&offences(&messages), Offence::Damaged, 1);
        }
        for len in HEADER_CUTS {
            let mut messages = in_order();
            messages[4].truncate(len);
            assert_only(&offences(&messages), Offence::Damaged, 1);
        }
    }
    const HEADER_CUTS: [usize; 3] = [32, 40, 47];

    #[test]
    fn what_nobody_of_the_run_sent_is_unexpected() {
        let mut other_run = vec![0; LEN];
        Stamp { run: 6, publisher: 0, sequence: 3, sent_ns: 9 }.write(&mut other_run);
        for stranger in [b"welcome!".to_vec(), other_run, message(1, 3), message(0, 10)] {
            let mut messages = in_order();
            messages.insert(3, stranger);
            assert_only(&offences(&messages), Offence::Unexpected, 1);
        }
    }

    #[test]
    fn a_gap_settles_what_it_skips() {
        let mut checker = Checker::new(RUN, LEN, all_of(2), 3, (0, 1));
        let verdict = checker.take(2, &message(1, 3), |_| 10);
        let arrival = Arrival { publisher: 1, settled: 0..4, sent_ns: Some(9) };
        assert_eq!(verdict, Verdict::Arrived(arrival));
        assert_eq!(checker.take(2, &message(ROLL_CALL, 0), |_| 10), Verdict::RollCall);
    }

    #[test]
    fn a_sender_that_is_excluded_misses_nothing_and_gets_nothing_of_its_own() {
        let expected = Expected::All { publishers: 1, sender_excluded: true };
        let mut checker = Checker::new(RUN, LEN, expected, 2, (0, 1));
        assert!(matches!(checker.take(1, &message(0, 0), |_| 1), Verdict::Arrived(_)));
        assert_eq!(checker.take(0, &message(0, 0), |_| 1), Verdict::Aside);
        checker.finish(|_| Some(1));
        assert_only(&checker.offences, Offence::Unexpected, 1);
    }

    #[test]
    fn what_a_client_misses_after_its_connection_ended_is_not_lost_as_well() {
        let mut checker = Checker::new(RUN, LEN, all_of(1), 2, (0, 1));
        for client in [0, 1] {
            checker.take(client, &message(0, 0), |_| 10);
            checker.take(client, &message(0, 2), |_| 10);
        }
        checker.leave(1);
        checker.finish(|_| Some(10));
        assert_only(&checker.offences, Offence::Lost, 1 + 7 + 1);
    }

    #[test]
    fn of_a_publisher_that_is_gone_only_gaps_are_lost() {
        let mut checker = Checker::new(RUN, LEN, all_of(1), 1, (0, 1));
        checker.take(0, &message(0, 1), |_| 10);
        checker.finish(|_| None);
        assert_only(&checker.offences, Offence::Lost, 1);
    }

    #[test]
    fn with_echo_a_client_gets_its_own_messages_alone() {
        let mut checker = Checker::new(RUN, LEN, Expected::Own, 2, (1, 2));
        assert!(matches!(checker.take(1, &message(3, 0), |_| 1), Verdict::Arrived(_)));
        assert_eq!(checker.take(1, &message(1, 0), |_| 1), Verdict::Aside);
        checker.finish(|_| Some(1));
        assert_eq!(checker.offences.count(Offence::Unexpected), 1);
        assert_eq!(checker.offences.count(Offence::Lost), 1, "client 1 got nothing");
    }
}
