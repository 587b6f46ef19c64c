//! Clients that come and go by the phases of a scenario.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;

use super::Driver;
use super::client::Client;
use crate::mix::MixPhase;
use crate::shared::{Counters, Shared};
use crate::transport::Transport;

/// Connections are made and closed when they are due, give or take this.
pub(super) const SLEEP_MAX: Duration = Duration::from_millis(10);
/// Clients that are looked at for one that may be closed. Where nearly all are on their way, it is
/// left to the next turn.
const TRIES: usize = 8;
/// Clients that are closed in one turn, so that those who publish are not late.
const CHURN_PER_TURN: usize = 64;

/// Who of a thread's clients is to be there.
#[derive(Debug)]
pub(super) struct MixClients {
    /// The phase that is under way, and when it began.
    stage: Option<(usize, u64)>,
    /// Clients below this are wanted.
    wanted: usize,
    /// Of the slow ones, which come behind all others, those from the first to this.
    slow: (usize, usize),
    /// Publishers, who never leave.
    publishers: usize,
    churned: u64,
    churned_before: u64,
    slow_reads: u64,
    is_draining: bool,
    is_caught_up: bool,
    rng: Rng,
}

impl MixClients {
    pub(super) fn new(shared: &Arc<Shared>, thread: usize) -> Self {
        let plan = &shared.plan;
        let slow_begin = plan.readers_of(thread);
        // Without a mix nobody who left is wanted.
        let wanted = plan.mix.as_ref().map_or(0, |mix| plan.clients_below(mix.connections, thread));
        Self {
            stage: None,
            wanted,
            slow: (slow_begin, slow_begin),
            publishers: plan.clients_below(plan.publishers(), thread),
            churned: 0,
            churned_before: 0,
            slow_reads: 0,
            is_draining: false,
            is_caught_up: false,
            rng: Rng::with_seed(shared.run ^ thread as u64),
        }
    }

    /// Whether a client is to have a connection.
    pub(super) fn wants(&self, client: usize) -> bool {
        !self.is_draining && (client < self.wanted || (self.slow.0..self.slow.1).contains(&client))
    }

    /// The size of the next message, in mode mix.
    pub(super) fn message_len(&mut self, shared: &Shared) -> Option<usize> {
        let phase = shared.plan.mix.as_ref()?.phases.get(self.stage?.0)?;
        Some(phase.sizes.draw(&mut self.rng))
    }

    pub(super) fn post(&self, counters: &Counters) {
        counters.churned.store(self.churned_before + self.churned, Ordering::Release);
        counters.caught_up.store(u64::from(self.is_caught_up), Ordering::Release);
    }
}

impl<T: Transport> Driver<T> {
    /// Does what the phase that is under way asks for.
    pub(super) fn mix(&mut self) {
        let shared = Arc::clone(&self.shared);
        let (Some(mix), Some((stage, began_ns))) = (&shared.plan.mix, shared.stage()) else {
            return;
        };
        let Some(phase) = mix.phases.get(stage) else { return };
        if self.mix.stage != Some((stage, began_ns)) {
            self.mix.stage = Some((stage, began_ns));
            self.mix.churned_before += std::mem::take(&mut self.mix.churned);
            self.mix.slow_reads = 0;
            self.agenda.change(phase.publishers, phase.load, began_ns);
        }
        let elapsed = Duration::from_nanos(shared.now_ns().saturating_sub(began_ns));
        self.resize(mix.connections_at(stage, elapsed), phase.slow);
        self.churn(phase, elapsed);
        self.let_slow_ones_read(phase, elapsed);
        self.give_up_closes();
        self.connect_more();
        self.send_due();
    }

    pub(super) fn is_publisher(&self, client: usize) -> bool {
        client < self.mix.publishers
    }

    /// So many connections are to be there, and so many slow ones beside them.
    fn resize(&mut self, connections: usize, slow: usize) {
        let plan = &self.shared.plan;
        let wanted = plan.clients_below(connections, self.number);
        let slow_end = plan.clients_below(plan.readers() + slow, self.number);
        let (before, slow_before) = (self.mix.wanted, self.mix.slow.1);
        self.mix.wanted = wanted;
        self.mix.slow.1 = slow_end.max(self.mix.slow.0);
        for client in (before..wanted).chain(slow_before..self.mix.slow.1) {
            // One that is on its way out comes back when it is out.
            if matches!(self.clients[client], Client::Absent) {
                self.absent.push(client);
            }
        }
        for client in wanted..before {
            self.close(client);
        }
        for client in self.mix.slow.1..slow_before {
            // It would have to read all that it left unread to see the server's Close.
            self.leave(client);
        }
        if wanted < before || self.mix.slow.1 < slow_before {
            let mix = &self.mix;
            self.absent.retain(|client| mix.wants(*client));
        }
    }

    /// Closes connections that are to be made again.
    fn churn(&mut self, phase: &MixPhase, elapsed: Duration) {
        let share = phase.churn / thread_count(&self.shared);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and a count of connections"
        )]
        let due = (share * elapsed.as_secs_f64()) as u64;
        for _ in 0..CHURN_PER_TURN {
            if self.mix.churned >= due {
                return;
            }
            let Some(client) = self.somebody() else { return };
            self.mix.churned += 1;
            self.close(client);
        }
    }

    /// A client that may leave.
    fn somebody(&mut self) -> Option<usize> {
        let candidates = self.mix.publishers..self.mix.wanted;
        if candidates.is_empty() {
            return None;
        }
        let Self { mix, clients, .. } = self;
        let mut tries = std::iter::repeat_with(|| mix.rng.usize(candidates.clone())).take(TRIES);
        tries.find(|client| matches!(&clients[*client], Client::Open(session) if !session.closing))
    }

    /// Slow clients look at what has come, now and then.
    fn let_slow_ones_read(&mut self, phase: &MixPhase, elapsed: Duration) {
        let Some(pause) = phase.slow_pause else { return };
        let due = elapsed.as_nanos() / pause.as_nanos().max(1);
        if u128::from(self.mix.slow_reads) >= due {
            return;
        }
        self.mix.slow_reads = u64::try_from(due).unwrap_or(u64::MAX);
        for client in self.mix.slow.0..self.mix.slow.1 {
            if matches!(self.clients[client], Client::Open(_)) {
                self.transport.hold(client, false);
            }
        }
    }

    /// Before all clients close: what those that stay have not got is lost. One that is on its way
    /// out has nothing more to get.
    pub(super) fn settle_up(&mut self) {
        if self.shared.plan.mix.is_none() {
            return;
        }
        for (at, client) in self.clients.iter().enumerate() {
            if matches!(client, Client::Open(session) if session.closing) && at < self.mix.slow.0 {
                self.inbox.checker.part(at);
            }
        }
        let shared = &self.shared;
        self.inbox.checker.finish(|publisher| shared.published_for_sure(publisher));
    }

    /// Nobody comes and goes any more: waits until all have what they are to get.
    pub(super) fn catch_up(&mut self) {
        self.mix.is_draining = true;
        self.absent.clear();
        // Another thread may publish still.
        if self.shared.sums().draining == self.shared.plan.threads as u64 {
            let shared = &self.shared;
            let checker = &self.inbox.checker;
            self.mix.is_caught_up =
                checker.is_caught_up(|publisher| shared.published_for_sure(publisher));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of threads")]
fn thread_count(shared: &Shared) -> f64 {
    shared.plan.threads as f64
}
