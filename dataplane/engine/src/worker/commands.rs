//! What the control plane asks for, and publishing, which it does as clients do.

use std::time::Instant;

use crossbeam_channel::Receiver;
use hioload_net::{FlowId, Streams};

use super::{Clock, Worker};
use crate::controls::Command;
use crate::counters::Totals;
use crate::drain::{Drain, Intake};
use crate::handler::Handler;
use crate::latency::Publication;

/// Commands of the control plane obeyed in one turn.
const COMMANDS_PER_TURN: usize = 64;
/// Messages of the control plane taken in one turn.
const PUBLICATIONS_PER_TURN: usize = 64;

/// What waits longest in a queue. Of an empty one `try_recv` would wait for all memory operations
/// to be done, which costs more than the rest of a look at it.
pub(super) fn next<T>(queue: &Receiver<T>) -> Option<T> {
    if queue.is_empty() { None } else { queue.try_recv().ok() }
}

impl<S: Streams, H: Handler, C: Clock> Worker<S, H, C> {
    pub(super) fn obey(&mut self) {
        for _ in 0..COMMANDS_PER_TURN {
            let Some(command) = next(&self.commands) else { break };
            match command {
                Command::Drain { deadline } => self.begin_drain(deadline),
                Command::Snapshot { reply } => {
                    self.publish_counters();
                    let mut totals = Totals::default();
                    totals.add(&self.cx.counters);
                    // Whoever asked may have given up.
                    let _ = reply.send((usize::from(self.cx.worker), totals));
                }
            }
        }
    }

    /// Ahead of the fan-out, so that what is published does not wait for a turn.
    pub(super) fn take_requests(&mut self) {
        self.obey_directed();
        for _ in 0..PUBLICATIONS_PER_TURN {
            if self.is_congested() {
                return;
            }
            let message = self.publications.as_ref().and_then(next);
            let Some(message) = message else { return };
            self.publish(message, None);
        }
    }

    /// Publishes what the control plane has asked for so far, and takes no more.
    pub(super) fn publish_all(&mut self) {
        let Some(publications) = self.publications.take() else { return };
        for message in publications.try_iter().take(publications.len()) {
            self.publish(message, None);
        }
    }

    fn begin_drain(&mut self, deadline: Instant) {
        if self.drain.is_none() {
            self.streams.stop_accepting();
            self.drain = Some(Drain::new(self.cx.now, deadline));
            self.cx.intake = Intake::Settling;
            self.quiet = false;
        }
    }

    /// Takes a message for everybody in, here and on the other workers.
    pub(super) fn publish(&mut self, message: Publication, except: Option<FlowId>) {
        self.cx.counters.messages_published.add(1);
        self.mesh.publish(&message);
        self.hub.publish(message, except);
    }
}
