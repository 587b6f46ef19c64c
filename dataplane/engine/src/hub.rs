//! The broadcast hub of one worker: what is to be delivered, in order, and to whom.
//!
//! Everything that sessions are to get passes through the inbox, so that a session's own replies,
//! broadcasts and its Close frame keep the order in which they were asked for. Broadcasts that
//! stand next to each other are delivered together: each session is visited once for all of
//! them, takes a four-byte reference to each, and is put down for one write. It is written to
//! earlier only when its backlog is full.

use std::collections::VecDeque;

use hioload_buffer::{Frame, FrameId};
use hioload_net::{Backlog, FlowId, FlushState, Place, Streams};

use crate::connection::Connection;
use crate::counters::Counters;
use crate::flow_set::FlowSet;
use crate::flow_table::FlowTable;
use crate::topic::Topic;

/// How much a session may have waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BacklogLimits {
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: usize,
}

/// One thing to be done, in order.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A message for everybody.
    Everyone(Broadcast),
    /// A message for one session.
    One { flow: FlowId, frame: Frame },
    /// The session is subscribed from here on.
    Join { flow: FlowId },
    /// The session gets nothing more.
    Leave { flow: FlowId },
    /// The Close frame, behind what is queued; nothing more.
    Close { flow: FlowId, frame: Frame },
    /// The end of our direction, behind what is queued.
    Finish { flow: FlowId },
}

#[derive(Debug)]
pub(crate) struct Broadcast {
    frame: Frame,
    /// Who does not get it.
    except: Option<FlowId>,
    /// Another worker published it.
    from_mesh: bool,
}

/// Deliveries of one turn; one broadcast to all members may exceed it.
const DELIVERIES_PER_TURN: usize = 64 * 1024;

/// Broadcasts delivered together at most.
const RUN_MAX: usize = 64;

/// How much may wait in the inbox of what this worker's clients ask for, and as much again of what
/// other workers publish: whoever is faster does not keep the other out.
const INBOX_SHARE: usize = 1024;

pub(crate) struct Hub {
    inbox: VecDeque<Delivery>,
    /// How many in the inbox came from other workers.
    from_mesh: usize,
    topic: Topic,
    run: Vec<(FrameId, u32, Option<FlowId>)>,
    limits: BacklogLimits,
}

impl Hub {
    pub(crate) fn new(limits: BacklogLimits) -> Self {
        Self {
            inbox: VecDeque::new(),
            from_mesh: 0,
            topic: Topic::default(),
            run: Vec::with_capacity(RUN_MAX),
            limits,
        }
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.inbox.push_back(delivery);
    }

    /// A message for everybody but `except`, published here.
    pub(crate) fn publish(&mut self, frame: Frame, except: Option<FlowId>) {
        self.push(Delivery::Everyone(Broadcast { frame, except, from_mesh: false }));
    }

    /// A message that another worker has published.
    pub(crate) fn take_in(&mut self, frame: Frame) {
        self.from_mesh += 1;
        self.push(Delivery::Everyone(Broadcast { frame, except: None, from_mesh: true }));
    }

    /// Whether so much waits that the worker should stop reading its clients.
    pub(crate) fn is_full(&self) -> bool {
        self.inbox.len() - self.from_mesh >= INBOX_SHARE
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    /// How many more messages may be taken from other workers.
    pub(crate) fn room(&self) -> usize {
        INBOX_SHARE.saturating_sub(self.from_mesh)
    }

    /// The connection is gone; what the inbox still holds for it will find it so.
    pub(crate) fn forget(&mut self, flow: FlowId) {
        self.topic.leave(flow);
    }

    /// Delivers from the inbox to those of `connections` that still exist, as much as one turn
    /// may; `dirty` takes the flows to flush.
    pub(crate) fn fan_out<S: Streams>(
        &mut self,
        streams: &mut S,
        connections: &mut FlowTable<Connection>,
        dirty: &mut FlowSet,
        counters: &Counters,
    ) {
        let mut budget = DELIVERIES_PER_TURN;
        while budget > 0 {
            let Some(delivery) = self.inbox.pop_front() else { return };
            let cost = match delivery {
                Delivery::Everyone(broadcast) => {
                    self.take_run(broadcast, budget, streams);
                    self.deliver_run(streams, dirty, counters)
                }
                other => {
                    self.deliver_to_one(other, streams, connections, dirty, counters);
                    1
                }
            };
            budget = budget.saturating_sub(cost);
        }
    }

    /// Collects a broadcast and those right behind it, as many as `budget` deliveries are.
    fn take_run<S: Streams>(&mut self, first: Broadcast, budget: usize, streams: &mut S) {
        let run_max = (budget / self.topic.members().len().max(1)).clamp(1, RUN_MAX);
        self.add_to_run(first, streams);
        while self.run.len() < run_max
            && let Some(Delivery::Everyone(_)) = self.inbox.front()
            && let Some(Delivery::Everyone(next)) = self.inbox.pop_front()
        {
            self.add_to_run(next, streams);
        }
    }

    fn add_to_run<S: Streams>(&mut self, broadcast: Broadcast, streams: &mut S) {
        let Broadcast { frame, except, from_mesh } = broadcast;
        self.from_mesh -= usize::from(from_mesh);
        let length = u32::try_from(frame.len()).expect("a frame is at most 4 GiB");
        self.run.push((streams.hold(frame), length, except));
    }

    fn deliver_run<S: Streams>(
        &mut self,
        streams: &mut S,
        dirty: &mut FlowSet,
        counters: &Counters,
    ) -> usize {
        let mut queued = 0;
        for &flow in self.topic.members() {
            for &(frame, length, except) in &self.run {
                if except != Some(flow) {
                    make_room(streams, flow, length as usize, self.limits, counters);
                    streams.enqueue(flow, frame);
                    queued += 1;
                }
            }
            dirty.insert(flow);
        }
        for (frame, ..) in self.run.drain(..) {
            streams.release(frame);
        }
        counters.deliveries_queued.add(queued);
        usize::try_from(queued).unwrap_or(usize::MAX).max(1)
    }

    fn deliver_to_one<S: Streams>(
        &mut self,
        delivery: Delivery,
        streams: &mut S,
        connections: &mut FlowTable<Connection>,
        dirty: &mut FlowSet,
        counters: &Counters,
    ) {
        match delivery {
            Delivery::One { flow, frame } if self.topic.contains(flow) => {
                make_room(streams, flow, frame.len(), self.limits, counters);
                queue(streams, frame, |streams, id| streams.enqueue(flow, id));
                counters.deliveries_queued.add(1);
                dirty.insert(flow);
            }
            Delivery::Close { flow, frame } if self.topic.contains(flow) => {
                self.topic.leave(flow);
                queue(streams, frame, |streams, id| {
                    streams.enqueue_control(flow, id, Place::Behind);
                });
                dirty.insert(flow);
            }
            Delivery::Join { flow } => {
                if connections.contains(flow) {
                    self.topic.join(flow);
                }
            }
            Delivery::Leave { flow } => self.topic.leave(flow),
            Delivery::Finish { flow } => {
                if let Some(connection) = connections.get_mut(flow) {
                    connection.finishing = true;
                    streams.finish(flow);
                    dirty.insert(flow);
                }
            }
            // A session that has left gets nothing more.
            Delivery::One { .. } | Delivery::Close { .. } => {}
            Delivery::Everyone(_) => unreachable!("broadcasts are delivered in runs"),
        }
    }
}

/// Queues one frame and lets go of it.
pub(crate) fn queue<S: Streams>(streams: &mut S, frame: Frame, put: impl FnOnce(&mut S, FrameId)) {
    let id = streams.hold(frame);
    put(streams, id);
    streams.release(id);
}

/// Makes room in a session's backlog for a message of `length` bytes.
fn make_room<S: Streams>(
    streams: &mut S,
    flow: FlowId,
    length: usize,
    limits: BacklogLimits,
    counters: &Counters,
) {
    if !fits(streams.backlog(flow), length, limits) {
        write_or_drop(streams, flow, length, limits, counters);
    }
}

fn fits(backlog: Backlog, length: usize, limits: BacklogLimits) -> bool {
    (backlog.messages as usize) < limits.messages_max && backlog.bytes + length <= limits.bytes_max
}

/// Hands a full backlog to the transport, so that a burst costs nobody a message who keeps up, and
/// drops the oldest of what it does not take. What is partly sent stays, so the new message is
/// taken even when that alone exceeds the limit: the excess is one message.
#[cold]
fn write_or_drop<S: Streams>(
    streams: &mut S,
    flow: FlowId,
    length: usize,
    limits: BacklogLimits,
    counters: &Counters,
) {
    let mut takes_more = true;
    loop {
        if takes_more {
            let flushed = streams.flush(flow);
            counters.deliveries_sent.add(u64::from(flushed.messages));
            takes_more = flushed.state == FlushState::More;
        }
        if fits(streams.backlog(flow), length, limits) {
            return;
        }
        if !takes_more {
            if streams.drop_oldest_unsent(flow).is_none() {
                return;
            }
            counters.deliveries_dropped_backlog.add(1);
        }
    }
}
