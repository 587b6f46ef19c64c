//! The steps of the drain that concern the whole worker; see [`drain`](crate::drain).

use std::io;
use std::time::Duration;

use hioload_net::{Event, Streams};
use hioload_protocol::ws::CloseCode;

use super::{Clock, Worker};
use crate::drain::{CLOSES_PER_TURN, Drained, EndCause, Intake, Phase};
use crate::handler::Handler;

/// The first repetition comes after a second (RFC 6298 section 2).
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(2);

impl<S: Streams, H: Handler, C: Clock> Worker<S, H, C> {
    /// Takes a drain a step further; returns how it ended once it has.
    pub(super) fn advance_drain(&mut self) -> Option<Drained> {
        let now = self.cx.now;
        let drain = self.drain.as_mut()?;
        if now >= drain.deadline {
            self.cut_off_all();
            return self.drain.as_ref().map(|drain| drain.result);
        }
        // One step leads to the next in the same turn: what a step waits for may have come
        // before, and nothing would wake the worker for it again.
        if drain.phase == Phase::Settle {
            let published = self.publications.as_ref().is_some_and(|queue| !queue.is_empty());
            let asked = published || !self.directed.is_empty();
            let more = self.streams.has_more() || !self.readable.is_empty();
            let quiet = self.quiet && !more && !asked;
            if drain.is_settled(now, quiet) {
                drain.phase = Phase::Last;
                self.obey_all_directed();
                self.publish_all();
                self.cx.intake = Intake::Ended;
                self.mesh.finish();
                self.mesh.flush();
            }
        }
        let drain = self.drain.as_mut()?;
        if drain.phase == Phase::Last {
            let sent = !self.mesh.is_congested() && self.hub.is_empty();
            if sent && self.mesh.all_finished() {
                drain.phase = Phase::Close { next: 0 };
            }
        }
        if let Phase::Close { next } = drain.phase {
            self.close_some(next);
        }
        let ended = self.connections.len() == 0;
        self.drain
            .as_ref()
            .filter(|drain| ended && drain.phase == Phase::Await)
            .map(|drain| drain.result)
    }

    /// Sends a Close to the connections from place `next` on, as many as one turn may.
    pub(super) fn close_some(&mut self, next: usize) {
        let Some(drain) = &mut self.drain else { return };
        let deadline = drain.deadline;
        let end = next + CLOSES_PER_TURN;
        let (flows, more) = self.connections.range(next, end);
        drain.phase = if more { Phase::Close { next: end } } else { Phase::Await };
        for flow in flows {
            let Some(connection) = self.connections.get_mut(flow) else { continue };
            let reason = "the server is shutting down";
            connection.close(CloseCode::GOING_AWAY, reason, deadline, &mut self.cx);
            self.carry_out(flow);
        }
    }

    /// Has the transport say the last words of what was closed, and say them again if they are
    /// lost. Peers that do not answer are not waited for any longer than this.
    pub(super) fn see_off(&mut self) -> io::Result<()> {
        let end = self.clock.now() + LAST_WORDS_TIME_MAX;
        let mut timeout = Duration::ZERO;
        loop {
            let now = self.clock.now();
            self.events.clear();
            self.streams.poll(now, Some(timeout), &mut self.events)?;
            for event in &self.events {
                // Its handshake had begun before nobody was let in any more.
                if let Event::Opened(flow) = event {
                    self.streams.close(flow.id);
                }
            }
            timeout = end.saturating_duration_since(now);
            if timeout.is_zero() || !self.streams.is_ending() {
                return Ok(());
            }
        }
    }

    pub(super) fn cut_off_all(&mut self) {
        let (flows, _) = self.connections.range(0, usize::MAX);
        for flow in flows {
            self.give_up(flow, EndCause::Deadline);
        }
    }
}
