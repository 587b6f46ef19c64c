//! The broadcast hub of one worker: what is to be delivered, in order, and to whom.
//!
//! Everything that sessions are to get passes through the inbox, so that a session's own replies,
//! broadcasts and its Close frame keep the order in which they were asked for. Broadcasts that
//! stand next to each other are delivered together: each session is visited once for all of
//! them, takes a four-byte reference to each, and is put down for one write. It is written to
//! earlier only when its backlog is full.

mod slow;

use std::collections::VecDeque;

use hioload_buffer::{Frame, FrameId};
use hioload_net::{FlowId, Place, Streams};

use crate::connection::Connection;
use crate::counters::Counters;
use crate::flow_set::FlowSet;
use crate::flow_table::FlowTable;
use crate::latency::Publication;
use crate::moment::Moment;
use crate::topic::Topic;
use crate::worker::NEAR_MAX;

use self::slow::{Admission, offer};

pub(crate) use self::slow::BacklogLimits;

/// One thing to be done, in order.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A message for everybody.
    Everyone(Broadcast),
    /// A message for one session.
    One { flow: FlowId, message: Publication },
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
    message: Publication,
    /// Who does not get it.
    except: Option<FlowId>,
    /// Another worker published it.
    from_mesh: bool,
}

/// Deliveries of one turn, about; a run goes on in the next one.
const DELIVERIES_PER_TURN: usize = 64 * 1024;

/// Broadcasts delivered together at most.
const RUN_MAX: usize = 64;

/// Flows that wait to be written to when a run of broadcasts pauses: their queues are still in the
/// caches when it comes to that.
const UNSENT_MAX: usize = 4096;

/// Sessions ahead of the one in hand whose queues are fetched into the caches.
const SESSIONS_AHEAD: usize = 24;

/// How much may wait in the inbox of what this worker's clients ask for, and as much again of what
/// other workers publish: whoever is faster does not keep the other out.
const INBOX_SHARE: usize = 1024;

pub(crate) struct Hub {
    inbox: VecDeque<Delivery>,
    /// How many in the inbox came from other workers.
    from_mesh: usize,
    topic: Topic,
    /// The broadcasts that are being delivered; the topic's round says to whom they were.
    run: Vec<(FrameId, u32, Option<FlowId>)>,
    limits: BacklogLimits,
    /// Sessions that were too slow and are to be closed by the worker.
    evicted: Vec<FlowId>,
}

impl Hub {
    pub(crate) fn new(limits: BacklogLimits) -> Self {
        Self {
            inbox: VecDeque::new(),
            from_mesh: 0,
            topic: Topic::default(),
            run: Vec::with_capacity(RUN_MAX),
            limits,
            evicted: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.inbox.push_back(delivery);
    }

    /// A message for everybody but `except`, published here.
    pub(crate) fn publish(&mut self, message: Publication, except: Option<FlowId>) {
        self.push(Delivery::Everyone(Broadcast { message, except, from_mesh: false }));
    }

    /// A message that another worker has published.
    pub(crate) fn take_in(&mut self, message: Publication) {
        self.from_mesh += 1;
        self.push(Delivery::Everyone(Broadcast { message, except: None, from_mesh: true }));
    }

    /// Whether so much waits that the worker should stop reading its clients.
    pub(crate) fn is_full(&self) -> bool {
        self.inbox.len() - self.from_mesh >= INBOX_SHARE
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.is_empty() && self.run.is_empty()
    }

    /// How many more messages may be taken from other workers.
    pub(crate) fn room(&self) -> usize {
        INBOX_SHARE.saturating_sub(self.from_mesh)
    }

    /// The connection is gone; what the inbox still holds for it will find it so.
    pub(crate) fn forget(&mut self, flow: FlowId) {
        self.topic.leave(flow);
    }

    /// A session that was too slow, which gets nothing more from here; the worker closes it.
    pub(crate) fn pop_evicted(&mut self) -> Option<FlowId> {
        self.evicted.pop()
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
            if !self.run.is_empty() {
                if dirty.len() >= UNSENT_MAX {
                    return;
                }
                let cost = self.deliver_run(budget, streams, dirty, counters);
                budget = budget.saturating_sub(cost);
                continue;
            }
            let Some(delivery) = self.inbox.pop_front() else { return };
            let cost = match delivery {
                Delivery::Everyone(broadcast) => {
                    self.take_run(broadcast, streams);
                    0
                }
                other => {
                    self.deliver_to_one(other, streams, connections, dirty, counters);
                    1
                }
            };
            budget = budget.saturating_sub(cost);
        }
    }

    /// Collects a broadcast and those right behind it.
    fn take_run<S: Streams>(&mut self, first: Broadcast, streams: &mut S) {
        self.topic.begin_round();
        self.add_to_run(first, streams);
        while self.run.len() < RUN_MAX
            && let Some(Delivery::Everyone(_)) = self.inbox.front()
            && let Some(Delivery::Everyone(next)) = self.inbox.pop_front()
        {
            self.add_to_run(next, streams);
        }
    }

    fn add_to_run<S: Streams>(&mut self, broadcast: Broadcast, streams: &mut S) {
        let Broadcast { message: Publication { frame, at }, except, from_mesh } = broadcast;
        self.from_mesh -= usize::from(from_mesh);
        let length = u32::try_from(frame.len()).expect("a frame is at most 4 GiB");
        self.run.push((streams.hold(frame, at.raw()), length, except));
    }

    /// Delivers the run to the next of its sessions, as many as `budget` deliveries are, and says
    /// how many deliveries that were.
    fn deliver_run<S: Streams>(
        &mut self,
        budget: usize,
        streams: &mut S,
        dirty: &mut FlowSet,
        counters: &Counters,
    ) -> usize {
        let sessions = self.topic.members().len();
        let evicted_before = self.evicted.len();
        let mut due = 0;
        let flows_max = (budget / self.run.len()).clamp(1, UNSENT_MAX - dirty.len());
        let flows = self.topic.visit(flows_max);
        let are_far = sessions > NEAR_MAX;
        for (at, &flow) in flows.iter().enumerate() {
            if are_far && let Some(&next) = flows.get(at + SESSIONS_AHEAD) {
                streams.prefetch(next);
            }
            let mut mine = self.run.iter().filter(|(.., except)| *except != Some(flow));
            while let Some(&(frame, length, _)) = mine.next() {
                due += 1;
                let message = (frame, length as usize);
                match offer(streams, flow, message, sessions, &self.limits, counters) {
                    Admission::Queued | Admission::Drop => {}
                    Admission::Disconnect => {
                        let rest = mine.by_ref().count() as u64;
                        due += rest;
                        counters.deliveries_dropped_disconnected.add(rest);
                        self.evicted.push(flow);
                    }
                }
            }
            dirty.insert(flow);
        }
        if self.topic.round_is_over() {
            for (frame, ..) in self.run.drain(..) {
                streams.release(frame);
            }
        }
        for flow in &self.evicted[evicted_before..] {
            self.topic.leave(*flow);
        }
        counters.deliveries_due.add(due);
        usize::try_from(due).unwrap_or(usize::MAX).max(1)
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
            Delivery::One { flow, message } if self.topic.contains(flow) => {
                let Publication { frame, at } = message;
                counters.deliveries_due.add(1);
                let sessions = self.topic.members().len();
                let length = frame.len();
                queue(streams, frame, at, |streams, id| {
                    let message = (id, length);
                    match offer(streams, flow, message, sessions, &self.limits, counters) {
                        Admission::Queued | Admission::Drop => {}
                        Admission::Disconnect => {
                            self.topic.leave(flow);
                            self.evicted.push(flow);
                        }
                    }
                });
                dirty.insert(flow);
            }
            Delivery::Close { flow, frame } if connections.contains(flow) => {
                self.topic.leave(flow);
                queue(streams, frame, Moment::NEVER, |streams, id| {
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
pub(crate) fn queue<S: Streams>(
    streams: &mut S,
    frame: Frame,
    at: Moment,
    put: impl FnOnce(&mut S, FrameId),
) {
    let id = streams.hold(frame, at.raw());
    put(streams, id);
    streams.release(id);
}
