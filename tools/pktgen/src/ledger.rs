//! The closed loop's account: when is a message with all who are to get it?

use std::ops::Range;

use crate::plan::{Load, Plan};
use crate::shared::{Shared, window_of};

/// The part of one thread. What its clients get costs a plain subtraction each; the other threads
/// hear of it once per message.
#[derive(Debug)]
pub(crate) struct Ledger {
    kind: Kind,
    /// By publisher: clients of this thread that get its messages.
    receivers: Vec<u32>,
    /// By publisher and place in its window: those of them without the message.
    without: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Nobody waits for a message to arrive.
    Open,
    /// The one who gets it is the one who sent it.
    Own,
    /// All clients get it.
    All { window: usize },
}

impl Ledger {
    pub(crate) fn new(plan: &Plan, thread: usize) -> Self {
        let kind = match (plan.load(), window_of(plan)) {
            (Some(Load::Window(_)), 0) => Kind::Own,
            (Some(Load::Window(_)), window) => Kind::All { window },
            (Some(Load::Rate(_)) | None, _) => Kind::Open,
        };
        let Kind::All { window } = kind else {
            return Self { kind, receivers: Vec::new(), without: Vec::new() };
        };
        // A plan has far fewer clients than that.
        let readers = u32::try_from(plan.readers_of(thread)).unwrap_or(u32::MAX);
        let receivers: Vec<u32> = (0..plan.publishers())
            .map(|publisher| {
                let is_without_sender =
                    plan.sender_excluded() && publisher % plan.threads == thread;
                readers - u32::from(is_without_sender)
            })
            .collect();
        let without = receivers.iter().flat_map(|count| std::iter::repeat_n(*count, window));
        let without = without.collect();
        Self { kind, receivers, without }
    }

    /// A client waits for these messages no more. Whether the publisher may have something to do.
    pub(crate) fn settle(
        &mut self,
        shared: &Shared,
        publisher: usize,
        sequences: Range<u64>,
    ) -> bool {
        let mut completed = 0;
        match self.kind {
            Kind::Open => return false,
            Kind::Own => completed = sequences.end - sequences.start,
            Kind::All { window } => {
                for sequence in sequences {
                    // Below the window, hence in bounds.
                    let place = usize::try_from(sequence % window as u64).unwrap_or(0);
                    let slot = publisher * window + place;
                    self.without[slot] -= 1;
                    if self.without[slot] == 0 {
                        self.without[slot] = self.receivers[publisher];
                        completed += u64::from(shared.thread_has_it(slot));
                    }
                }
            }
        }
        if completed > 0 {
            shared.complete(publisher, completed);
        }
        completed > 0
    }
}
