//! Whether every client gets every message once, in order, and whole.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use crate::message::{ROLL_CALL, Stamp};

/// Descriptions kept per thread; all are counted.
const EXAMPLES_MAX: usize = 5;

/// Missing messages remembered per thread, so that a late one is told from a duplicate. Beyond
/// these it is known how many are missing, and a late one is taken for one of them.
const MISSING_MAX: usize = 16_384;

/// In place of a sequence: the client has got nothing of this publisher yet, and nobody can say with
/// which message the server began.
const UNKNOWN: u64 = u64::MAX;

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
    /// Something bad that a hostile client sent, and that was not answered as it has to be.
    WrongAnswer,
    /// A hostile client that should have been thrown out.
    Overstayed,
}

/// How many there are.
const OFFENCES: usize = 9;

/// How often each offence was seen, and what the first ones looked like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offences {
    counts: [u64; OFFENCES],
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
    /// As `All`, but for clients that come and go: what comes from a publisher first is where its
    /// messages begin for this connection, unless it was there before the first of them.
    SinceJoined { publishers: usize },
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
    /// `None` if messages are of any size; then their patterns alone say whether they are whole.
    message_len: Option<usize>,
    expected: Expected,
    /// The number of client 0 in the run, and the distance to the next one.
    numbering: (usize, usize),
    /// The next sequence, by client and publisher.
    next: Vec<u64>,
    missing: Vec<Missing>,
    /// By client and publisher: how many are missing beyond those.
    forgotten: HashMap<(usize, usize), u64>,
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
            message_len: (!matches!(expected, Expected::SinceJoined { .. })).then_some(message_len),
            expected,
            numbering,
            next: Vec::new(),
            missing: Vec::new(),
            forgotten: HashMap::new(),
            unidentified: HashMap::new(),
            gone: HashSet::new(),
            offences: Offences::default(),
        };
        let first = if checker.message_len.is_some() { 0 } else { UNKNOWN };
        checker.next = vec![first; clients * checker.publishers()];
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
        let next = match self.next[at] {
            UNKNOWN => stamp.sequence,
            next => next,
        };
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

    /// A client is known to be there before anybody publishes.
    pub(crate) fn is_first(&mut self, client: usize) {
        self.set_next(client, 0);
    }

    /// The connection of a client that comes and goes has ended. What the server had still to send
    /// is nobody's to get.
    pub(crate) fn part(&mut self, client: usize) {
        self.set_next(client, UNKNOWN);
    }

    fn set_next(&mut self, client: usize, next: u64) {
        let publishers = self.publishers();
        let of_client = self.next.chunks_mut(publishers.max(1)).nth(client);
        of_client.into_iter().flatten().for_each(|known| *known = next);
    }

    /// Whether each client has all messages of which it has got an earlier one.
    pub(crate) fn is_caught_up(&self, published: impl Fn(usize) -> Option<u64>) -> bool {
        let counts: Vec<Option<u64>> = (0..self.publishers()).map(published).collect();
        self.next.chunks(counts.len().max(1)).all(|of_client| {
            let pairs = of_client.iter().zip(&counts);
            pairs
                .into_iter()
                .all(|(next, count)| *next == UNKNOWN || count.is_none_or(|count| *next >= count))
        })
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
                // There are none of a publisher whose messages have not begun.
                for sequence in self.next[at]..published {
                    self.miss(Missing { client, publisher, sequence });
                }
                self.next[at] = self.next[at].max(published);
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
        for ((client, publisher), times) in std::mem::take(&mut self.forgotten) {
            let number = self.number(client);
            self.offences.add(Offence::Lost, times, || {
                format!("client {number} never got {times} more messages of publisher {publisher}")
            });
        }
    }

    /// The stamp of a message of this run of which every byte is as it was sent.
    fn whole(&self, message: &[u8]) -> Option<Stamp> {
        let stamp = Stamp::read(message)?;
        let is_whole = self.has_len(message) && stamp.run == self.run && stamp.holds(message);
        is_whole.then_some(stamp)
    }

    fn has_len(&self, message: &[u8]) -> bool {
        self.message_len.is_none_or(|len| message.len() == len)
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
            // It may be the run that is damaged, and nothing else.
            Some(stamp) => {
                let is_ours = stamp.run == self.run
                    || self.message_len == Some(len)
                    || Stamp { run: self.run, ..stamp }.holds(message);
                !is_ours
            }
            // Cut so short that it may be no more than the run that is left of it.
            None => !message.starts_with(&self.run.to_le_bytes()),
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
        let at = self.missing.iter().position(|known| *known == missing);
        let forgotten = self.forgotten.get_mut(&(client, publisher)).filter(|left| **left > 0);
        if at.is_some() || forgotten.is_some() {
            match (at, forgotten) {
                (Some(at), _) => drop(self.missing.swap_remove(at)),
                (None, Some(left)) => *left -= 1,
                (None, None) => {}
            }
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
        *self.forgotten.entry((missing.client, missing.publisher)).or_default() += 1;
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
            Expected::SinceJoined { publishers } => {
                (publisher < publishers).then(|| client * publishers + publisher)
            }
            Expected::Own => (publisher == self.number(client)).then_some(client),
        }
    }

    fn publishers(&self) -> usize {
        match self.expected {
            Expected::All { publishers, .. } | Expected::SinceJoined { publishers } => publishers,
            Expected::Own => 1,
        }
    }

    fn publishers_of(&self, client: usize) -> Range<usize> {
        match self.expected {
            Expected::All { publishers, .. } | Expected::SinceJoined { publishers } => {
                0..publishers
            }
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
mod tests;
