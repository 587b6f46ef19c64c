//! When a publisher sends its next message.

use crate::plan::Load;
use crate::shared::Shared;

/// The pace of one publisher.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) publisher: usize,
    load: Load,
    publishers: usize,
    sent: u64,
}

/// A message that is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) sequence: u64,
    /// When it was due. In the open loop that may be a while ago, and the latency counts from
    /// then: a server that stalls does not get the messages of its stall left out (coordinated
    /// omission).
    pub(crate) at_ns: u64,
}

impl Pace {
    pub(crate) fn new(publisher: usize, load: Load, publishers: usize) -> Self {
        Self { publisher, load, publishers, sent: 0 }
    }

    /// The next message, if its time has come. It counts as published from here on.
    pub(crate) fn next(&mut self, shared: &Shared, now_ns: u64) -> Option<Due> {
        let at_ns = match self.load {
            Load::Window(window) => {
                let in_flight = self.sent - shared.completed(self.publisher);
                (in_flight < u64::from(window)).then_some(now_ns)?
            }
            Load::Rate(_) => {
                Some(self.due_ns(shared.run_began_ns())).filter(|due| *due <= now_ns)?
            }
        };
        if !shared.take_ticket() {
            return None;
        }
        let sequence = self.sent;
        self.sent += 1;
        shared.publishing(self.publisher);
        Some(Due { sequence, at_ns })
    }

    /// When to look again, in the open loop.
    pub(crate) fn wake_ns(&self, shared: &Shared) -> Option<u64> {
        matches!(self.load, Load::Rate(_)).then(|| self.due_ns(shared.run_began_ns()))
    }

    /// The publishers take turns, so that messages are evenly spread.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "not negative, and exact up to 2^53: 100 days in nanoseconds"
    )]
    fn due_ns(&self, began_ns: u64) -> u64 {
        let Load::Rate(rate) = self.load else { return began_ns };
        let turn = self.sent as f64 * self.publishers as f64 + self.publisher as f64;
        began_ns + (turn * 1e9 / rate) as u64
    }
}
