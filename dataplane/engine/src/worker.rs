//! The worker loop: one thread or lcore, the only owner of its connections.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use crossbeam_utils::CachePadded;
use hioload_buffer::{Frame, Pool, PoolOptions};
use hioload_config::Config;
use hioload_net::{Event, Flow, FlowId, FlushState, Place, ReadState, Streams, TimerWheel};
use hioload_protocol::ws::CloseCode;

use crate::connection::Connection;
use crate::context::Context;
use crate::controls::{Command, Commands};
use crate::counters::Counters;
use crate::drain::{CLOSES_PER_TURN, Drain, Drained, EndCause, Intake, Phase};
use crate::flow_set::FlowSet;
use crate::flow_table::FlowTable;
use crate::handler::Handler;
use crate::hub::{Delivery, Hub, queue};
use crate::mesh::MeshPort;
use crate::outbox::Effect;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::site::Site;

/// Flows read in one turn.
const READS_PER_TURN: usize = 64;
/// Flows flushed in one turn.
const FLUSHES_PER_TURN: usize = 1024;
/// Messages of the control plane taken in one turn.
const PUBLICATIONS_PER_TURN: usize = 64;
/// Answers to pings that may wait for a flow; RFC 6455 section 5.5.3 lets the others go.
const CONTROLS_MAX: u32 = 64;
/// Bytes of HTTP responses that may wait for a flow. Who asks for more without reading is cut off.
const RESPONSE_BYTES_MAX: usize = 512 << 10;
/// Deadlines are kept to this precision.
const TIMER_TICK: Duration = Duration::from_millis(10);

/// Where a worker takes the time from.
pub trait Clock {
    /// The present moment; never before an earlier one.
    fn now(&self) -> Instant;
}

/// The time of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// What connects a worker to the others and to the control plane; see
/// [`assemble`](crate::assemble).
pub struct WorkerParts {
    pub(crate) index: usize,
    pub(crate) mesh: MeshPort,
    pub(crate) commands: Commands,
    pub(crate) publications: Option<Receiver<Frame>>,
    pub(crate) counters: Arc<CachePadded<Counters>>,
    pub(crate) registry: Arc<Registry>,
}

impl WorkerParts {
    /// The worker's number, from zero.
    pub fn index(&self) -> usize {
        self.index
    }
}

/// A worker, made and run on one thread.
pub struct Worker<S, H, C = SystemClock> {
    streams: S,
    clock: C,
    mesh: MeshPort,
    commands: Commands,
    publications: Option<Receiver<Frame>>,

    connections: FlowTable<Connection>,
    cx: Context<H>,
    hub: Hub,
    timers: TimerWheel,
    /// Flows that may have bytes to read.
    readable: FlowSet,
    /// Flows with something to flush.
    dirty: FlowSet,
    drain: Option<Drain>,
    /// The last poll found nothing to read.
    quiet: bool,

    /// Scratch lists, kept for their memory.
    events: Vec<Event>,
    expired: Vec<FlowId>,
}

impl<S: Streams, H: Handler, C: Clock> Worker<S, H, C> {
    /// A worker over `streams`, before its first turn.
    pub fn new(
        parts: WorkerParts,
        streams: S,
        handler: Arc<H>,
        site: Arc<Site>,
        config: &Config,
        clock: C,
    ) -> Self {
        let settings = Settings::new(config);
        let now = clock.now();
        Self {
            streams,
            clock,
            mesh: parts.mesh,
            commands: parts.commands,
            publications: parts.publications,
            connections: FlowTable::new(),
            hub: Hub::new(settings.backlog),
            cx: Context {
                handler,
                site,
                settings,
                registry: parts.registry,
                counters: parts.counters,
                pool: Pool::new(PoolOptions::default()),
                effects: Vec::new(),
                worker: u16::try_from(parts.index).expect("the configuration bounds the workers"),
                next_session: 1,
                now,
                intake: Intake::Open,
            },
            timers: TimerWheel::new(now, TIMER_TICK),
            readable: FlowSet::default(),
            dirty: FlowSet::default(),
            drain: None,
            quiet: false,
            events: Vec::new(),
            expired: Vec::new(),
        }
    }

    /// Runs until a drain has ended.
    ///
    /// # Errors
    /// When the transport fails as a whole; connections are lost then.
    pub fn run(mut self) -> io::Result<Drained> {
        loop {
            if let Some(drained) = self.turn()? {
                return Ok(drained);
            }
        }
    }

    /// One turn of the loop: every stage once, each with a bounded amount of work. Returns how
    /// the worker ended once it has.
    ///
    /// # Errors
    /// See [`run`](Self::run).
    pub fn turn(&mut self) -> io::Result<Option<Drained>> {
        self.poll()?; // connections and readiness
        self.receive(); // bytes -> HTTP upgrade -> WebSocket decode -> middleware -> handler
        self.exchange(); // mesh: messages of this worker out, those of others in
        self.fan_out(); // hub -> queue of each session, by reference
        self.expire(); // pings and deadlines
        self.transmit(); // queues -> transport
        self.obey(); // commands of the control plane
        let drained = self.advance_drain();
        self.publish_counters();
        Ok(drained)
    }

    fn poll(&mut self) -> io::Result<()> {
        let before = self.clock.now();
        let timeout = self.sleep_time(before);
        let mut events = mem::take(&mut self.events);
        self.streams.poll(before, timeout, &mut events)?;
        self.cx.now = self.clock.now();
        self.quiet = true;
        for event in events.drain(..) {
            match event {
                Event::Opened(flow) => self.open(flow),
                // A stale event must not stand in the place of the flow that came after.
                Event::Readable(flow) | Event::Writable(flow)
                    if !self.connections.contains(flow) => {}
                Event::Readable(flow) => {
                    self.readable.insert(flow);
                    self.quiet = false;
                }
                Event::Writable(flow) => self.dirty.insert(flow),
            }
        }
        self.events = events;
        Ok(())
    }

    /// How long there is nothing to do unless something happens; `None` for ever.
    fn sleep_time(&self, now: Instant) -> Option<Duration> {
        let may_take_in = !self.is_congested();
        let published = self.publications.as_ref().is_some_and(|queue| !queue.is_empty());
        let busy = !self.dirty.is_empty()
            || !self.hub.is_empty()
            || (may_take_in && (!self.readable.is_empty() || published))
            || self.mesh.has_incoming()
            || !self.commands.is_empty()
            || self.drain.as_ref().is_some_and(Drain::is_busy);
        if busy {
            return Some(Duration::ZERO);
        }
        let drain = self.drain.as_ref().map(Drain::next_deadline);
        let next = [self.timers.next(), drain].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Whether clients are not read for now, so that what they publish does not pile up here.
    fn is_congested(&self) -> bool {
        self.hub.is_full() || self.mesh.is_congested()
    }

    fn open(&mut self, flow: Flow) {
        let connection = Connection::new(flow.id, flow.peer, self.cx.now, &self.cx.settings);
        self.connections.insert(flow.id, connection);
        self.readable.insert(flow.id);
        self.rearm(flow.id);
    }

    fn receive(&mut self) {
        for _ in 0..READS_PER_TURN {
            if self.is_congested() {
                return;
            }
            let Some(flow) = self.readable.pop() else { return };
            self.read(flow);
        }
    }

    fn read(&mut self, flow: FlowId) {
        let Self { streams, connections, cx, .. } = self;
        let Some(connection) = connections.get_mut(flow) else { return };
        let state = streams.read(flow, |bytes| connection.receive(bytes, cx));
        match state {
            ReadState::Drained => {}
            ReadState::More => self.readable.insert(flow),
            ReadState::Ended => connection.end(cx),
            ReadState::Lost(_) => return self.give_up(flow, EndCause::Transport),
        }
        if mem::take(&mut connection.overdue) && connection.is_due(cx.now) {
            connection.expire(cx);
        }
        self.carry_out(flow);
        self.settle(flow);
    }

    /// Does what a connection has asked for; of one that is gone, publishes what it has said.
    fn carry_out(&mut self, flow: FlowId) {
        let mut effects = mem::take(&mut self.cx.effects);
        let mut abandoned = false;
        let gone = !self.connections.contains(flow);
        for effect in effects.drain(..) {
            match effect {
                _ if gone && !matches!(effect, Effect::Publish(_)) => {}
                Effect::Join => self.hub.push(Delivery::Join { flow }),
                // Publishing has ended, and the other workers were told so.
                Effect::Publish(_) if self.cx.intake == Intake::Ended => {}
                Effect::Publish(frame) => {
                    let except = (!self.cx.settings.include_sender).then_some(flow);
                    self.publish(frame, except);
                }
                Effect::Send(frame) => self.hub.push(Delivery::One { flow, frame }),
                Effect::Control(frame) => {
                    if self.streams.backlog(flow).controls < CONTROLS_MAX {
                        self.queue_control(flow, frame, Place::Ahead);
                    }
                }
                Effect::Respond(frame) => {
                    abandoned |= self.streams.backlog(flow).bytes > RESPONSE_BYTES_MAX;
                    if !abandoned {
                        self.queue_control(flow, frame, Place::Behind);
                    }
                }
                Effect::Close(frame) => self.hub.push(Delivery::Close { flow, frame }),
                Effect::Leave => self.hub.push(Delivery::Leave { flow }),
                Effect::Finish => self.hub.push(Delivery::Finish { flow }),
                Effect::Abandon => abandoned = true,
            }
        }
        self.cx.effects = effects;
        if abandoned {
            self.give_up(flow, EndCause::Deadline);
        } else {
            self.rearm(flow);
        }
    }

    /// Takes a message for everybody in, here and on the other workers.
    fn publish(&mut self, frame: Frame, except: Option<FlowId>) {
        self.cx.counters.messages_published.add(1);
        self.mesh.publish(&frame);
        self.hub.publish(frame, except);
    }

    fn queue_control(&mut self, flow: FlowId, frame: Frame, place: Place) {
        queue(&mut self.streams, frame, |streams, id| streams.enqueue_control(flow, id, place));
        self.dirty.insert(flow);
    }

    fn exchange(&mut self) {
        let full = self.mesh.flush();
        self.cx.counters.mesh_full.add(full as u64);
        let room = self.hub.room();
        let hub = &mut self.hub;
        let mut received = 0;
        self.mesh.receive(room, |frame| {
            received += 1;
            hub.take_in(frame);
        });
        self.cx.counters.mesh_received.add(received);
    }

    fn fan_out(&mut self) {
        let Self { hub, streams, connections, dirty, cx, .. } = self;
        hub.fan_out(streams, connections, dirty, &cx.counters);
    }

    fn transmit(&mut self) {
        for _ in 0..self.dirty.len().min(FLUSHES_PER_TURN) {
            let Some(flow) = self.dirty.pop() else { return };
            let flushed = self.streams.flush(flow);
            self.cx.counters.deliveries_sent.add(u64::from(flushed.messages));
            match flushed.state {
                FlushState::Drained => self.settle(flow),
                FlushState::Blocked => {}
                FlushState::More => self.dirty.insert(flow),
                FlushState::Lost(_) => self.give_up(flow, EndCause::Transport),
            }
        }
    }

    /// Frees a connection whose directions have both ended.
    fn settle(&mut self, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(flow) else { return };
        if connection.is_over() && self.streams.backlog(flow).bytes == 0 {
            self.give_up(flow, EndCause::Transport);
        }
    }

    fn expire(&mut self) {
        let mut expired = mem::take(&mut self.expired);
        let now = self.cx.now;
        self.timers.expire(now, &mut expired);
        for flow in expired.drain(..) {
            let Some(connection) = self.connections.get_mut(flow) else { continue };
            connection.armed = None;
            if !connection.is_due(now) {
                self.rearm(flow);
            } else if self.readable.contains(flow) {
                // It may have said in time what the deadline is for: clients are not read while
                // the worker is congested. The next read decides.
                connection.overdue = true;
            } else {
                connection.expire(&mut self.cx);
                self.carry_out(flow);
            }
        }
        self.expired = expired;
    }

    /// Sees to it that the timers have an entry no later than the connection's deadline.
    fn rearm(&mut self, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(flow) else { return };
        let Some(deadline) = connection.deadline() else { return };
        if connection.armed.is_none_or(|armed| deadline < armed) {
            connection.armed = Some(deadline);
            self.timers.schedule(flow, deadline);
        }
    }

    /// Ends a connection here and now, in whatever state it is.
    fn give_up(&mut self, flow: FlowId, cause: EndCause) {
        let Some(mut connection) = self.connections.remove(flow) else { return };
        let was_open = connection.is_open();
        connection.lose(&mut self.cx);
        self.hub.forget(flow);
        let left = self.streams.close(flow);
        self.cx.counters.deliveries_dropped_closed.add(u64::from(left.messages));
        self.readable.forget(flow);
        self.dirty.forget(flow);
        if let Some(drain) = &mut self.drain
            && connection.was_upgraded()
        {
            drain.count_end(!was_open && left.bytes == 0, cause);
        }
        // What the handler has broadcast on the close.
        self.carry_out(flow);
    }

    fn obey(&mut self) {
        while let Ok(Command::Drain { deadline }) = self.commands.try_recv() {
            if self.drain.is_none() {
                self.streams.stop_accepting();
                self.drain = Some(Drain::new(self.cx.now, deadline));
                self.cx.intake = Intake::Settling;
                self.quiet = false;
            }
        }
        for _ in 0..PUBLICATIONS_PER_TURN {
            if self.is_congested() {
                return;
            }
            let frame = self.publications.as_ref().and_then(|queue| queue.try_recv().ok());
            let Some(frame) = frame else { return };
            self.publish(frame, None);
        }
    }

    /// Takes a drain a step further; returns how it ended once it has.
    fn advance_drain(&mut self) -> Option<Drained> {
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
            let quiet = self.quiet && self.readable.is_empty() && !published;
            if drain.is_settled(now, quiet) {
                drain.phase = Phase::Last;
                self.cx.intake = Intake::Ended;
                self.publications = None;
                self.mesh.finish();
                self.mesh.flush();
            }
        }
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
    fn close_some(&mut self, next: usize) {
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

    fn cut_off_all(&mut self) {
        let (flows, _) = self.connections.range(0, usize::MAX);
        for flow in flows {
            self.give_up(flow, EndCause::Deadline);
        }
    }

    fn publish_counters(&mut self) {
        let streams = self.streams.counters();
        let counters = &self.cx.counters;
        counters.connections_accepted.set(streams.accepted);
        counters.connections.set(self.connections.len() as u64);
        counters.accept_errors.set(streams.accept_errors);
        counters.accept_pauses.set(streams.accept_pauses);
        counters.bytes_received.set(streams.bytes_in);
        counters.bytes_sent.set(streams.bytes_out);
        counters.writes.set(streams.writes);
        counters.turns.add(1);
    }
}
