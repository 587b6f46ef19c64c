//! The broadcast hub of one worker: what is to be delivered, in order, and to whom.
//!
//! Everything that sessions are to get passes through the inbox, so that a session's own replies,
//! broadcasts and its Close frame keep the order in which they were asked for. Broadcasts that
//! stand next to each other are delivered together: each session is visited once for all of
//! them, takes a four-byte reference to each, and is put down for one write. It is written to
//! earlier only when its backlog is full.
//!
//! Where nothing stands behind a run of broadcasts, so that nothing more would share their
//! segments, a transport that can is given them at once, past the queue.

mod run;
mod slow;

use std::collections::VecDeque;

use hioload_buffer::{Frame, FrameId};
use hioload_net::{FlowId, Place, Streams};

use crate::connection::Connection;
use crate::counters::Counters;
use crate::flow_set::FlowSet;
use crate::flow_table::FlowTable;
use crate::latency::{LatencyMeter, Publication};
use crate::moment::Moment;
use crate::topic::Topic;
use crate::worker::{Clock, FLUSHES_AHEAD, FLUSHES_PER_CLOCK_READING, FLUSHES_PER_TURN, NEAR_MAX};

use self::run::Run;
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

/// Flows that wait to be written to when a run of broadcasts pauses: their queues are still in the
/// caches when it comes to that.
const UNSENT_MAX: usize = 4096;

/// Sessions ahead of the one in hand whose queues are fetched into the caches.
const SESSIONS_AHEAD: usize = 24;

/// How much may wait in the inbox of what this worker's clients ask for, and as much again of what
/// other workers publish: whoever is faster does not keep the other out.
const INBOX_SHARE: usize = 1024;

/// What a turn may still do.
struct Budget {
    deliveries: usize,
    /// Sessions that are written to at once.
    at_once: usize,
}

pub(crate) struct Hub {
    inbox: VecDeque<Delivery>,
    /// How many in the inbox came from other workers.
    from_mesh: usize,
    topic: Topic,
    /// The broadcasts that are being delivered; the topic's round says to whom they were.
    run: Run,
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
            run: Run::new(),
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
    /// may; `dirty` takes the flows to flush, and `meter` notes what was sent at once.
    pub(crate) fn fan_out<S: Streams, C: Clock>(
        &mut self,
        streams: &mut S,
        connections: &mut FlowTable<Connection>,
        dirty: &mut FlowSet,
        counters: &Counters,
        meter: &LatencyMeter<'_, C>,
    ) {
        let mut budget = Budget { deliveries: DELIVERIES_PER_TURN, at_once: FLUSHES_PER_TURN };
        while budget.deliveries > 0 {
            if !self.run.is_empty() {
                if dirty.len() >= UNSENT_MAX || budget.at_once == 0 {
                    return;
                }
                self.deliver_run(&mut budget, streams, dirty, counters, meter);
                continue;
            }
            let Some(delivery) = self.inbox.pop_front() else { return };
            match delivery {
                Delivery::Everyone(broadcast) => self.take_run(broadcast, streams),
                other => {
                    self.deliver_to_one(other, streams, connections, dirty, counters);
                    budget.deliveries -= 1;
                }
            }
        }
    }

    /// Collects a broadcast and those right behind it.
    fn take_run<S: Streams>(&mut self, first: Broadcast, streams: &mut S) {
        self.topic.begin_round();
        self.add_to_run(first, streams);
        while !self.run.is_full()
            && let Some(Delivery::Everyone(_)) = self.inbox.front()
            && let Some(Delivery::Everyone(next)) = self.inbox.pop_front()
        {
            self.add_to_run(next, streams);
        }
    }

    fn add_to_run<S: Streams>(&mut self, broadcast: Broadcast, streams: &mut S) {
        let Broadcast { message, except, from_mesh } = broadcast;
        self.from_mesh -= usize::from(from_mesh);
        self.run.add(message, except, streams);
    }

    /// Delivers the run to the next of its sessions, as many as `budget` has deliveries for.
    fn deliver_run<S: Streams, C: Clock>(
        &mut self,
        budget: &mut Budget,
        streams: &mut S,
        dirty: &mut FlowSet,
        counters: &Counters,
        meter: &LatencyMeter<'_, C>,
    ) {
        let sessions = self.topic.members().len();
        let evicted_before = self.evicted.len();
        let mut due = 0;
        let mut flows_max = (budget.deliveries / self.run.len()).clamp(1, UNSENT_MAX - dirty.len());
        // What stands behind the run may share segments with it.
        let together = self.run.together().filter(|_| self.inbox.is_empty());
        if together.is_some() {
            flows_max = flows_max.min(budget.at_once);
        }
        let (messages, mut at_once) = (u32::try_from(self.run.len()).unwrap_or(u32::MAX), 0);
        let flows = self.topic.visit(flows_max);
        let are_far = sessions > NEAR_MAX;
        for (at, &flow) in flows.iter().enumerate() {
            if are_far && let Some(&later) = flows.get(at + SESSIONS_AHEAD) {
                streams.prefetch(later);
            }
            if let Some(bytes) = together {
                if are_far && let Some(&next) = flows.get(at + FLUSHES_AHEAD) {
                    streams.prefetch_flush(next, bytes.len());
                }
                if self.run.is_whole_for(flow) && streams.deliver(flow, messages, bytes) {
                    at_once += 1;
                    if at_once % FLUSHES_PER_CLOCK_READING == 0 {
                        meter.note(self.run.published(), FLUSHES_PER_CLOCK_READING);
                    }
                    continue;
                }
            }
            let mut mine = self.run.of(flow);
            while let Some(message) = mine.next() {
                due += 1;
                let message = (message.frame, message.length as usize);
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
        meter.note(self.run.published(), at_once % FLUSHES_PER_CLOCK_READING);
        let sent = u64::from(at_once) * u64::from(messages);
        if self.topic.round_is_over() {
            self.run.end(streams);
        }
        for flow in &self.evicted[evicted_before..] {
            self.topic.leave(*flow);
        }
        counters.deliveries_due.add(due + sent);
        counters.deliveries_sent.add(sent);
        budget.at_once -= at_once as usize;
        let cost = usize::try_from(due + sent).unwrap_or(usize::MAX).max(1);
        budget.deliveries = budget.deliveries.saturating_sub(cost);
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
