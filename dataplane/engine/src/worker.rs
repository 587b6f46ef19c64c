//! The worker loop: one thread or lcore, the only owner of its connections.

mod commands;
mod connections;
mod directed;
mod draining;

use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use crossbeam_utils::CachePadded;
use hioload_buffer::Pool;
use hioload_config::Config;
use hioload_net::{Event, FlowId, FlushState, Polled, Streams, TimerWheel};

use crate::admission::Admission;
use crate::client_address::ClientAddresses;
use crate::connection::Connection;
use crate::connection_log::ConnectionLog;
use crate::context::Context;
use crate::controls::{Commands, Directed};
use crate::counters::Counters;
use crate::drain::{Drain, Drained, EndCause, Intake};
use crate::flow_set::FlowSet;
use crate::flow_table::FlowTable;
use crate::handler::Handler;
use crate::hub::{BacklogLimits, Hub};
use crate::latency::{Latency, LatencyMeter, Publication};
use crate::mesh::MeshPort;
use crate::moment::{Epoch, Moment};
use crate::rate::{Rate, SessionRates};
use crate::registry::Registry;
use crate::settings::Settings;
use crate::site::Site;
use crate::unread::Unread;

/// Flows read in one turn.
const READS_PER_TURN: usize = 64;
/// Flows flushed in one turn.
pub(crate) const FLUSHES_PER_TURN: usize = 1024;
/// Flows ahead of the one in hand whose queues are fetched into the caches, and what else a flush
/// of them needs.
const QUEUES_AHEAD: usize = 16;
pub(crate) const FLUSHES_AHEAD: usize = 6;
/// So many flows stay in the caches by themselves.
pub(crate) const NEAR_MAX: usize = 128;
/// Flushes whose messages count as sent at the same moment, that of the last one. A fan-out takes
/// longer than a turn's one reading of the clock would tell, and one per flush would cost more.
pub(crate) const FLUSHES_PER_CLOCK_READING: u32 = 16;
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
    pub(crate) pool: Pool,
    pub(crate) mesh: MeshPort,
    pub(crate) commands: Commands,
    pub(crate) directed: Receiver<Directed>,
    pub(crate) publications: Option<Receiver<Publication>>,
    pub(crate) counters: Arc<CachePadded<Counters>>,
    pub(crate) latency: Arc<CachePadded<Latency>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) epoch: Epoch,
    pub(crate) admission: Arc<Admission>,
}

impl WorkerParts {
    /// The worker's number, from zero.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Says of an address whether a connection from it would be taken in, before there is one.
    /// Proxies that are trusted with the addresses of their clients always are.
    pub fn admits(&self, config: &Config) -> impl Fn(IpAddr) -> bool + Send + 'static {
        let admission = Arc::clone(&self.admission);
        let proxies = ClientAddresses::new(&config.server);
        move |address| proxies.is_proxy(address) || admission.has_room(address)
    }

    /// Where the worker is to take the buffers of its messages from: a pool on its NUMA node, for
    /// one. Without this it is a pool on the heap.
    pub fn set_pool(&mut self, pool: Pool) {
        self.pool = pool;
    }
}

/// A worker, made and run on one thread.
pub struct Worker<S, H, C = SystemClock> {
    streams: S,
    clock: C,
    mesh: MeshPort,
    commands: Commands,
    directed: Receiver<Directed>,
    publications: Option<Receiver<Publication>>,

    connections: FlowTable<Connection>,
    cx: Context<H>,
    hub: Hub,
    timers: TimerWheel,
    latency: Arc<CachePadded<Latency>>,
    log: ConnectionLog,
    /// Flows that may have bytes to read.
    readable: FlowSet,
    unread: Unread,
    /// Flows with something to flush.
    dirty: FlowSet,
    drain: Option<Drain>,
    /// The last poll found nothing to read.
    quiet: bool,
    /// The turn has something to do.
    busy: bool,
    /// The control plane may want something. While a worker does not wait it looks at these queues
    /// once in a turn, for a look takes a while.
    is_asked: bool,

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
        let log_lines_max = settings.log_lines_max;
        let messages_rate = config.limits.messages_per_second_max.map(|it| Rate::new(it.into()));
        let bytes_rate = config.limits.bytes_per_second_max.map(|it| Rate::new(it as u64));
        Self {
            streams,
            clock,
            mesh: parts.mesh,
            commands: parts.commands,
            directed: parts.directed,
            publications: parts.publications,
            connections: FlowTable::new(),
            hub: Hub::new(BacklogLimits::new(config, &parts.pool)),
            cx: Context {
                handler,
                site,
                settings,
                registry: parts.registry,
                admission: parts.admission,
                counters: parts.counters,
                pool: parts.pool,
                effects: Vec::new(),
                worker: u16::try_from(parts.index).expect("the configuration bounds the workers"),
                next_session: 1,
                now,
                epoch: parts.epoch,
                unread_since: now,
                rates: SessionRates::new(messages_rate, bytes_rate, now),
                intake: Intake::Open,
            },
            timers: TimerWheel::new(now, TIMER_TICK),
            latency: parts.latency,
            log: ConnectionLog::new(log_lines_max, now),
            readable: FlowSet::default(),
            unread: Unread::new(now),
            dirty: FlowSet::default(),
            drain: None,
            quiet: false,
            busy: false,
            is_asked: false,
            events: Vec::new(),
            expired: Vec::with_capacity(TimerWheel::EXPIRED_PER_CALL_MAX),
        }
    }

    /// Runs until a drain has ended.
    ///
    /// # Errors
    /// When the transport fails as a whole; connections are lost then.
    pub fn run(mut self) -> io::Result<Drained> {
        loop {
            if let Some(drained) = self.turn()? {
                self.see_off()?;
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
        if self.is_asked {
            self.take_requests(); // what the control plane publishes, and asks of single sessions
        }
        self.exchange(); // mesh: messages of this worker out, those of others in
        self.fan_out(); // hub -> queue of each session, by reference
        self.expire(); // pings and deadlines
        self.transmit(); // queues -> transport
        if self.is_asked {
            self.obey(); // commands of the control plane: snapshots, drains
        }
        self.log.report(self.cx.now);
        let drained = self.advance_drain();
        self.cx.counters.turns.add(1);
        if drained.is_some() {
            self.log.finish();
        }
        self.publish_counters();
        Ok(drained)
    }

    fn poll(&mut self) -> io::Result<()> {
        let before = self.clock.now();
        let timeout = self.sleep_time(before);
        let last = self.cx.now;
        let turn = before.saturating_duration_since(last);
        if self.busy {
            self.count_busy(turn);
        }
        let mut events = mem::take(&mut self.events);
        let polled = self.streams.poll(before, timeout, &mut events)?;
        // The clock is read once in a turn, unless it has waited: what a poll works counts for the
        // turn.
        let has_waited = polled == Polled::Waited && timeout != Some(Duration::ZERO);
        self.cx.now = if has_waited { self.clock.now() } else { before };
        // What comes while a worker sleeps wakes it, and so does not wait; what comes during a turn
        // may wait for the next one, or longer where some was left unread.
        let looked = if has_waited { self.cx.now.checked_sub(turn) } else { Some(last) };
        let looked = looked.unwrap_or(self.cx.now);
        self.is_asked |= has_waited;
        self.busy =
            polled == Polled::Worked || !events.is_empty() || timeout == Some(Duration::ZERO);
        self.cx.unread_since = self.unread.begin_turn(looked, self.readable.len());
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

    fn count_busy(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.cx.counters.busy_ns.add(ns);
    }

    /// How long there is nothing to do unless something happens; `None` for ever.
    fn sleep_time(&mut self, now: Instant) -> Option<Duration> {
        let may_take_in = !self.is_congested();
        let published = self.publications.as_ref().is_some_and(|queue| !queue.is_empty());
        let is_told = !self.commands.is_empty() || !self.directed.is_empty();
        self.is_asked = published || is_told;
        let busy = !self.dirty.is_empty()
            || !self.hub.is_empty()
            || (may_take_in && (!self.readable.is_empty() || published))
            || self.mesh.has_incoming()
            || is_told
            || self.drain.as_ref().is_some_and(Drain::is_busy);
        if busy {
            return Some(Duration::ZERO);
        }
        let drain = self.drain.as_ref().map(Drain::next_deadline);
        let next =
            [self.timers.next(), self.log.next_report(), drain].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Whether clients are not read for now, so that what they publish does not pile up here.
    fn is_congested(&self) -> bool {
        self.hub.is_full() || self.mesh.is_congested()
    }

    fn receive(&mut self) {
        for _ in 0..READS_PER_TURN {
            if self.is_congested() {
                return;
            }
            let Some(flow) = self.readable.pop() else { return };
            self.unread.took_one();
            self.read(flow);
        }
    }

    fn exchange(&mut self) {
        let full = self.mesh.flush();
        self.cx.counters.mesh_full.add(full as u64);
        let room = self.hub.room();
        let hub = &mut self.hub;
        let mut received = 0;
        self.mesh.receive(room, |message| {
            received += 1;
            hub.take_in(message);
        });
        self.cx.counters.mesh_received.add(received);
    }

    fn fan_out(&mut self) {
        let Self { hub, streams, connections, dirty, cx, clock, latency, .. } = self;
        let meter = LatencyMeter { clock, epoch: cx.epoch, latency };
        hub.fan_out(streams, connections, dirty, &cx.counters, &meter);
        while let Some(flow) = self.hub.pop_evicted() {
            self.evict(flow);
        }
    }

    fn transmit(&mut self) {
        // Some was written while it was handed out, where a backlog was full.
        self.note_latency();
        let mut messages_sent = 0;
        let are_far = self.connections.len() > NEAR_MAX;
        let mut since_reading = 0;
        for _ in 0..self.dirty.len().min(FLUSHES_PER_TURN) {
            let Some(flow) = self.dirty.pop() else { break };
            if are_far {
                if let Some(later) = self.dirty.ahead(QUEUES_AHEAD) {
                    self.streams.prefetch(later);
                }
                if let Some(next) = self.dirty.ahead(FLUSHES_AHEAD) {
                    self.streams.prefetch_flush(next, 0);
                }
            }
            let flushed = self.streams.flush(flow);
            messages_sent += u64::from(flushed.messages);
            match flushed.state {
                FlushState::Finished => self.settle(flow),
                FlushState::Drained | FlushState::Blocked => {}
                FlushState::More => self.dirty.insert(flow),
                FlushState::Lost(_) => self.give_up(flow, EndCause::Transport),
            }
            since_reading += 1;
            if since_reading == FLUSHES_PER_CLOCK_READING {
                since_reading = 0;
                self.note_latency();
            }
        }
        self.cx.counters.deliveries_sent.add(messages_sent);
        self.note_latency();
    }

    /// Notes how long what was sent since the last call had been on its way.
    fn note_latency(&mut self) {
        let Self { streams, clock, cx, latency, .. } = self;
        let mut now = None;
        streams.take_sent(|published, count| {
            let now = *now.get_or_insert_with(|| cx.epoch.moment(clock.now()));
            latency.record(Moment::from_raw(published), now, count);
        });
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
        let held = self.streams.held();
        counters.backlog_messages.set(held.messages);
        counters.backlog_bytes.set(held.bytes as u64);
    }
}
