//! What becomes of a message for a session that does not keep up.
//!
//! Two limits are kept: the backlog of each session, in messages and bytes, and the memory that
//! all queued messages of the worker hold. A session pays for the second only when more waits for
//! it than an equal part, of which somebody always has more while the limit is passed.

use hioload_buffer::{FrameId, Pool};
use hioload_config::{Config, SlowConsumer};
use hioload_net::{Backlog, BacklogMax, FlowId, FlushState, Streams};

use crate::counters::{Cell, Counters};

/// How much may wait, and what happens beyond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BacklogLimits {
    /// In the queue of a session.
    each: BacklogMax,
    /// This worker's share of the limit on all.
    held_bytes_max: usize,
    /// Memory that the shortest message takes at most.
    short_bytes_max: usize,
    policy: SlowConsumer,
}

impl BacklogLimits {
    /// For messages of `pool`.
    pub(crate) fn new(config: &Config, pool: &Pool) -> Self {
        let broadcast = &config.broadcast;
        Self {
            each: BacklogMax {
                messages: u32::try_from(broadcast.backlog_messages_max).unwrap_or(u32::MAX),
                bytes: broadcast.backlog_bytes_max,
            },
            held_bytes_max: broadcast.backlog_total_bytes_max / config.server.workers.max(1),
            short_bytes_max: pool.memory_bytes_max(0),
            policy: broadcast.slow_consumer,
        }
    }
}

/// What is done with a message for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It was queued.
    Queued,
    /// This session does not get it, which was counted.
    Drop,
    /// The session is over. What of its backlog can be dropped was dropped and counted, as was
    /// the message.
    Disconnect,
}

/// Queues `frame`, a message of `length` bytes, for a session, one of `sessions` on this worker, or
/// decides what else becomes of it.
#[inline]
pub(super) fn offer<S: Streams>(
    streams: &mut S,
    flow: FlowId,
    (frame, length): (FrameId, usize),
    sessions: usize,
    limits: &BacklogLimits,
    counters: &Counters,
) -> Admission {
    if streams.held().bytes <= limits.held_bytes_max
        && streams.enqueue_within(flow, frame, length, &limits.each)
    {
        return Admission::Queued;
    }
    let admission = Slow { streams, flow, length, sessions, limits, counters }.admit();
    if admission == Admission::Queued {
        streams.enqueue(flow, frame);
    }
    admission
}

/// The memory that a backlog holds at most: a frame takes up to twice its bytes, a short one
/// `short_bytes_max`. No less, or there might be nobody who has more than an equal part.
fn memory_bytes_max(backlog: Backlog, short_bytes_max: usize) -> usize {
    2 * backlog.bytes + short_bytes_max * backlog.messages as usize
}

/// A session at one of the limits.
struct Slow<'a, S> {
    streams: &'a mut S,
    flow: FlowId,
    length: usize,
    sessions: usize,
    limits: &'a BacklogLimits,
    counters: &'a Counters,
}

/// The limit that a session has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    /// Its own backlog.
    Backlog,
    /// Its part of the memory, which is used up.
    Memory,
}

impl<S: Streams> Slow<'_, S> {
    #[cold]
    fn admit(&mut self) -> Admission {
        if self.passed().is_none() {
            return Admission::Queued;
        }
        // What the transport takes first, so that a burst costs nobody a message who keeps up.
        while self.write() {
            if self.passed().is_none() {
                return Admission::Queued;
            }
        }
        let Some(passed) = self.passed() else { return Admission::Queued };
        // Longer than its backlog may be, perhaps; the excess is one message.
        if self.streams.backlog(self.flow).messages == 0 {
            return Admission::Queued;
        }
        match self.limits.policy {
            SlowConsumer::DropOldest => {
                while let Some(passed) = self.passed()
                    && self.streams.drop_oldest_unsent(self.flow).is_some()
                {
                    self.dropped(passed).add(1);
                }
                Admission::Queued
            }
            SlowConsumer::DropNewest => {
                self.dropped(passed).add(1);
                Admission::Drop
            }
            SlowConsumer::Disconnect => {
                let mut dropped = 1;
                while self.streams.drop_oldest_unsent(self.flow).is_some() {
                    dropped += 1;
                }
                self.counters.deliveries_dropped_disconnected.add(dropped);
                self.counters.slow_disconnects.add(1);
                Admission::Disconnect
            }
        }
    }

    fn passed(&self) -> Option<Passed> {
        let backlog = self.streams.backlog(self.flow);
        if !self.limits.each.admits(backlog, self.length) {
            return Some(Passed::Backlog);
        }
        let memory_max = self.limits.held_bytes_max;
        let part = memory_max / self.sessions.max(1);
        let over = self.streams.held().bytes > memory_max
            && memory_bytes_max(backlog, self.limits.short_bytes_max) > part;
        over.then_some(Passed::Memory)
    }

    /// Hands some of the backlog to the transport; `false` when it takes no more.
    fn write(&mut self) -> bool {
        let flushed = self.streams.flush(self.flow);
        self.counters.deliveries_sent.add(u64::from(flushed.messages));
        flushed.state == FlushState::More
    }

    fn dropped(&self, passed: Passed) -> &Cell {
        match passed {
            Passed::Backlog => &self.counters.deliveries_dropped_backlog,
            Passed::Memory => &self.counters.deliveries_dropped_memory,
        }
    }
}
