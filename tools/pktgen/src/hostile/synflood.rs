//! SYNs from many addresses and ports, whose answers nobody acknowledges: each takes a place among
//! the half-open connections of a server until that gives it up.

use super::findings::{Findings, SynfloodFindings};
use crate::shared::Shared;
use crate::transport::Transport;

/// SYNs before the others get their turn.
const SYNS_PER_TURN: u64 = 64;

#[derive(Debug)]
pub(super) struct Synflood {
    /// A second; as many as go if `None`.
    rate: Option<f64>,
    syns: u64,
    began_ns: Option<u64>,
    ended_ns: Option<u64>,
}

impl Synflood {
    pub(super) fn new(rate: Option<f64>) -> Self {
        Self { rate, syns: 0, began_ns: None, ended_ns: None }
    }

    /// Sends what is due, as far as the port takes it.
    pub(super) fn flood<T: Transport>(&mut self, transport: &mut T, shared: &Shared) {
        let now_ns = shared.now_ns();
        let began_ns = *self.began_ns.get_or_insert(now_ns);
        let due = self.rate.map_or(u64::MAX, |rate| due(rate, now_ns - began_ns));
        let Some(raw) = transport.raw() else { return };
        for _ in 0..due.saturating_sub(self.syns).min(SYNS_PER_TURN) {
            if raw.room() == 0 {
                return;
            }
            let source = raw.stray(self.syns);
            // Any number will do; no two in a row look alike (Knuth's multiplicative hash).
            #[expect(clippy::cast_possible_truncation, reason = "numbers wrap around")]
            let sequence = (self.syns as u32).wrapping_mul(2_654_435_761);
            if !raw.send_syn(source, sequence) {
                return;
            }
            self.syns += 1;
        }
    }

    /// The run is over.
    pub(super) fn stop(&mut self, shared: &Shared) {
        self.ended_ns.get_or_insert_with(|| shared.now_ns());
    }

    pub(super) fn finish<T: Transport>(mut self, transport: &mut T, shared: &Shared) -> Findings {
        self.stop(shared);
        let answers = transport.raw().map(|raw| raw.answers()).unwrap_or_default();
        let lasted_ns = self.ended_ns.zip(self.began_ns).map_or(0, |(to, from)| to - from);
        Findings::Synflood(SynfloodFindings::new(self.rate, self.syns, lasted_ns, answers))
    }
}

/// How many of something are due after so long.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and far below 2^53"
)]
pub(super) fn due(rate: f64, since_ns: u64) -> u64 {
    (since_ns as f64 * 1e-9 * rate) as u64
}

/// How many of something that is in a second, if it was so many in so long.
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds below 2^53")]
pub(super) fn per_second(count: u64, lasted_ns: u64) -> f64 {
    if lasted_ns == 0 { 0.0 } else { count as f64 * 1e9 / lasted_ns as f64 }
}
