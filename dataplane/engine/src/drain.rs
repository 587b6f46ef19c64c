//! The orderly end of a worker.
//!
//! 1. Settle: no new connections; what clients had sent before is read and published, for as long
//!    as there is something to read, but not for ever.
//! 2. Last: publishing ends here. Every other worker is told so behind the last message, and
//!    theirs are awaited, so that all sessions of all workers get the same last message.
//! 3. Close: every session gets Close 1001 behind what is queued for it, and answers.
//! 4. At the deadline what is left is cut off.

use std::time::{Duration, Instant};

/// How a worker ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that were closed in good order after the drain began.
    pub closed: u64,
    /// Sessions that the deadline cut off: not everything was sent, or the Close not answered.
    pub cut_off: u64,
}

/// What of clients' requests is still taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// Everything.
    Open,
    /// Messages, but no new sessions.
    Settling,
    /// Nothing but answers to our Close.
    Ended,
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// Both directions have ended, or the transport has lost it.
    Transport,
    /// One of our deadlines has passed.
    Deadline,
}

/// Longest time of reading what had been sent before.
const SETTLE_TIME_MAX: Duration = Duration::from_millis(250);

/// Connections that get their Close in one turn.
pub(crate) const CLOSES_PER_TURN: usize = 1024;

#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) deadline: Instant,
    settle_until: Instant,
    pub(crate) phase: Phase,
    pub(crate) result: Drained,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Settle,
    Last,
    /// Connections up to this place have got their Close.
    Close {
        next: usize,
    },
    Await,
}

impl Drain {
    pub(crate) fn new(now: Instant, deadline: Instant) -> Self {
        // A short deadline leaves time for the rest.
        let time = (deadline.saturating_duration_since(now) / 4).min(SETTLE_TIME_MAX);
        Self {
            deadline,
            settle_until: now + time,
            phase: Phase::Settle,
            result: Drained::default(),
        }
    }

    /// Whether reading ends: nothing was readable, or the time is up.
    pub(crate) fn is_settled(&self, now: Instant, quiet: bool) -> bool {
        quiet || now >= self.settle_until
    }

    /// Counts the end of a connection that was a session; `complete` says that the close handshake
    /// was done and everything sent.
    pub(crate) fn count_end(&mut self, complete: bool, cause: EndCause) {
        match (complete, cause) {
            (true, _) => self.result.closed += 1,
            (false, EndCause::Deadline) => self.result.cut_off += 1,
            // The peer went away on its own.
            (false, EndCause::Transport) => {}
        }
    }

    /// Whether the next step needs nothing from outside.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Settle | Phase::Close { .. })
    }

    /// When the worker must look again, whatever happens.
    pub(crate) fn next_deadline(&self) -> Instant {
        if self.phase == Phase::Settle { self.settle_until } else { self.deadline }
    }
}
