//! The phases of a mix, one after the other.

use std::time::Instant;

use super::Conductor;
use crate::mix::Mix;
use crate::shared::Sums;

/// What happened while a phase lasted.
#[derive(Clone, Debug)]
pub(crate) struct StageCounts {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    pub(crate) connects: u64,
    pub(crate) churned: u64,
    /// At its end.
    pub(crate) open: u64,
}

impl Conductor<'_> {
    /// Begins the first phase, so that it is there when clients look for it.
    pub(super) fn begin_stages(&self) {
        self.shared.enter_stage(0);
    }

    /// Lets each phase take its time.
    pub(super) fn hold_stages(&mut self, mix: &Mix) -> Result<(), String> {
        let mut before = Instant::now();
        let mut published_before = self.shared.published_total();
        let mut sums_before = self.look();
        for (stage, phase) in mix.phases.iter().enumerate() {
            if stage > 0 {
                self.shared.enter_stage(stage);
                self.fleet.wake();
            }
            let held = self.hold(&phase.name, phase.duration);
            let (now, published, sums) =
                (Instant::now(), self.shared.published_total(), self.look());
            let grown = |count: fn(&Sums) -> u64| count(&sums) - count(&sums_before);
            self.measurement.stages.push(StageCounts {
                name: phase.name.clone(),
                seconds: (now - before).as_secs_f64(),
                messages: published - published_before,
                deliveries: grown(|sums| sums.measured),
                connects: grown(|sums| sums.handshakes),
                churned: grown(|sums| sums.churned),
                open: sums.open,
            });
            (before, published_before, sums_before) = (now, published, sums);
            held?;
            if self.interrupt.has_come() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until the clients that are there have what they are to get.
    pub(super) fn drain_mix(&mut self) -> Result<(), String> {
        let threads = self.shared.plan.threads as u64;
        self.wait("draining", "threads have all their deliveries", |sums| (sums.caught_up, threads))
    }
}
