//! How a run ends: what is under way arrives, connections are closed, threads leave.

use std::thread;
use std::time::{Duration, Instant};

use super::{Conductor, GRACE, LOOK_INTERVAL, Watch, millis};
use crate::shared::{Phase, Sums};

/// After a failure nothing has to arrive any more; what is slower than that is taken for lost.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// What a run that went wrong leaves open is not worth much patience.
const CLOSE_MAX: Duration = Duration::from_secs(5);

impl Conductor<'_> {
    /// Waits until all that was due has been sent and has arrived, or all connections have ended.
    pub(super) fn drain(&mut self) -> Result<(), String> {
        self.send_rest()?;
        if self.shared.plan.is_connect() {
            let begun = self.shared.sums().under_way;
            let done = |sums: &Sums| (begun.saturating_sub(sums.under_way), begun);
            return self.wait("draining", "last connections have ended", done);
        }
        if self.shared.plan.mix.is_some() {
            return self.drain_mix();
        }
        // Each of them gives up by itself when its patience ends.
        let under_way = self.shared.sums().hostile;
        let done = |sums: &Sums| (under_way.saturating_sub(sums.hostile), under_way);
        self.wait("draining", "hostile clients have an answer", done)?;
        let (_, sent) = self.deliveries(&Sums::default());
        self.wait("draining", "deliveries are accounted for", |sums| (sums.settled, sent))
    }

    /// Lets the threads send what was due in the measurement, late as it is. At a rate that cannot
    /// be kept that would take for ever: what is left after a while is not sent.
    fn send_rest(&mut self) -> Result<(), String> {
        let (timeout, threads) = (self.shared.plan.timeout, self.shared.plan.threads as u64);
        let began = Instant::now();
        while self.look().draining < threads && began.elapsed() < timeout {
            self.failure()?;
            self.progress.show("catching up", millis(began.elapsed()), millis(timeout));
            thread::sleep(LOOK_INTERVAL);
        }
        self.shared.stop_publishing();
        self.wait("draining", "threads have stopped to publish", |sums| (sums.draining, threads))
    }

    /// After a failure: lets what is under way arrive, so that it is not taken for lost.
    pub(super) fn settle(&mut self) {
        self.shared.stop_publishing();
        self.enter(Phase::Drain);
        let mut watch = Watch::new(self.shared.plan.timeout.min(SETTLE_MAX));
        loop {
            let sums = self.look();
            let (done, all) = match self.shared.plan.mix {
                Some(_) => (sums.caught_up, self.shared.plan.threads as u64),
                None => self.deliveries(&sums),
            };
            if done >= all || watch.is_over(sums.settled) {
                return;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Ends all connections in order, as long as some end, and then the threads. Those that are left
    /// have not answered their Close.
    pub(super) fn close(&mut self) {
        self.enter(Phase::Close);
        let timeout = self.shared.plan.timeout;
        let has_failed = self.shared.failure().is_some();
        let patience = if has_failed { timeout.min(CLOSE_MAX) } else { timeout + GRACE };
        let mut watch = Watch::new(patience);
        loop {
            let open = self.look().open;
            if open == 0 || watch.is_over(open) {
                break;
            }
            self.progress.show("closing", 0, 1);
            thread::sleep(LOOK_INTERVAL);
        }
        self.enter(Phase::End);
    }
}
