//! Streams over a port: a TCP of this process, by `smoltcp`.
//!
//! ```text
//! rx burst -> link header -> packet -> flow -> socket -> events
//! queue -> send ring -> socket -> packet -> link header -> tx burst
//! ```
//!
//! Every flow has a [`SocketSet`](smoltcp::iface::SocketSet) of its own with its one socket, and
//! all of a port share its interface, so that no call walks over the sockets of others. What
//! `smoltcp` leaves open at the edges is done here: who is let in, which station a packet goes to,
//! how long a connection may take to end, and what is remembered of it afterwards.
//!
//! Bytes are copied twice, from the frame into the receive ring and from the send ring into a
//! frame. What a flow has sent stays in its send ring until it is acknowledged, so a ring of
//! 2 KiB carries 2 KiB per round trip at most.

mod attached;
mod challenge;
mod claims;
mod clock;
mod counters;
mod demux;
mod device;
mod egress;
mod flow;
mod flow_limit;
mod handover;
mod idle;
mod ingress;
mod life;
mod link;
mod listener;
mod neighbours;
mod options;
mod packet;
mod plain;
mod reply;
mod rings;
mod streams;
mod table;
mod time_wait;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_mem::Arena;
use smoltcp::time::Instant as StackInstant;

pub use self::counters::{DropReason, StackCounters, StackStats};
pub use self::flow_limit::FlowLimit;
pub use self::handover::Handover;
pub use self::idle::{IdleStep, StackWaker};
pub use self::options::{Admit, Idle, PortOptions, Routers, StackOptions};
pub use self::table::HashKey;

use self::attached::Attached;
use self::clock::Clock;
use self::counters::Gauges;
use self::demux::Arrival;
use self::flow::Flow;
use self::idle::Idler;
use self::rings::Rings;
use self::table::FlowMap;
use self::time_wait::TimeWaits;
use crate::queue::Outbound;
use crate::slots::FlowSlots;
use crate::{Event, FlowId, FramePort, StreamCounters, TimerWheel};

/// Deadlines of sockets are kept to this precision.
const TIMER_TICK: Duration = Duration::from_millis(1);

/// A port that is to be served by a stack.
#[derive(Debug)]
pub struct StackPort<P: FramePort> {
    /// A queue pair of the port, or all of it.
    pub port: P,
    /// Its addresses.
    pub options: PortOptions,
    /// The place of the worker among those that serve the port; `None` where there are no others.
    pub handover: Option<Handover<P::Frame>>,
}

/// [`Streams`](crate::Streams) over the ports of one worker.
pub struct StackStreams<'a, P: FramePort> {
    ports: Vec<Attached<P>>,
    flows: FlowSlots<Flow<'a>>,
    map: FlowMap,
    rings: Rings<'a>,
    /// In the order in which they came. One that is open or gone may still stand here.
    half_open: VecDeque<FlowId>,
    half_open_len: usize,
    live: usize,
    time_waits: TimeWaits,
    timers: TimerWheel,
    outbound: Outbound,
    /// Flows that may have something to send that nothing else tells of.
    touched: Vec<FlowId>,
    events: Vec<Event>,
    accepting: bool,
    /// Frames came in the last turn, so there may be more.
    came: bool,
    options: StackOptions,
    idler: Idler,
    clock: Clock,
    /// Where `StackInstant` begins.
    origin: Instant,
    now: Instant,
    at: StackInstant,
    counters: StreamCounters,
    stack_counters: StackCounters,
    stats: Arc<StackStats>,
    /// Scratch lists, kept for their memory.
    burst: Vec<P::Frame>,
    arrivals: Vec<(Arrival, u32)>,
    hops: Vec<usize>,
    strays: Vec<usize>,
    expired: Vec<FlowId>,
}

impl<'a, P: FramePort> StackStreams<'a, P> {
    /// Streams over `ports`, whose rings lie in `arena`. Reserves tables for as many flows as
    /// there may be; rings come from the arena when they are needed first.
    ///
    /// `waker` wakes the worker when it sleeps, and `stats` is where others read what it counts.
    pub fn new(
        arena: &'a Arena,
        ports: Vec<StackPort<P>>,
        options: StackOptions,
        waker: &Arc<StackWaker>,
        stats: Arc<StackStats>,
        now: Instant,
    ) -> Self {
        let attach = |port| Attached::new(port, &options.listen, now);
        let ports = ports.into_iter().map(attach).collect();
        Self {
            ports,
            flows: FlowSlots::new(),
            map: FlowMap::new(options.flows_max + options.time_wait_max, options.seed),
            rings: Rings::new(arena, &options),
            half_open: VecDeque::new(),
            half_open_len: 0,
            live: 0,
            time_waits: TimeWaits::new(options.time_wait_max),
            timers: TimerWheel::new(now, TIMER_TICK),
            outbound: Outbound::new(),
            touched: Vec::new(),
            events: Vec::new(),
            accepting: true,
            came: false,
            idler: Idler::new(options.idle.clone(), Arc::clone(waker)),
            options,
            clock: Clock::new(now),
            origin: now,
            now,
            at: StackInstant::ZERO,
            counters: StreamCounters::default(),
            stack_counters: StackCounters::default(),
            stats,
            burst: Vec::with_capacity(2 * crate::BURST_MAX),
            arrivals: Vec::with_capacity(2 * crate::BURST_MAX),
            hops: Vec::with_capacity(crate::BURST_MAX),
            strays: Vec::with_capacity(2 * crate::BURST_MAX),
            expired: Vec::with_capacity(TimerWheel::EXPIRED_PER_CALL_MAX),
        }
    }

    /// Counts of this moment that the seam does not tell.
    pub fn stack_counters(&self) -> StackCounters {
        let mut counters = self.stack_counters;
        self.gauges().fill(&mut counters);
        counters
    }

    /// What is not counted among the others.
    fn gauges(&self) -> Gauges {
        Gauges {
            segments_out: self.ports.iter().map(|port| port.output.segments_out).sum(),
            half_open: self.half_open_len as u64,
            open: (self.live - self.half_open_len) as u64,
            time_wait: self.time_waits.len() as u64,
        }
    }

    /// Deadlines that wait, of which a flow has few.
    pub fn deadlines(&self) -> usize {
        self.timers.len()
    }

    /// What each port has counted, in the order in which they were given.
    pub fn ports(&self) -> impl Iterator<Item = &P> {
        self.ports.iter().map(|port| &port.output.port)
    }

    /// One turn: what has come, what is due, what is to be sent.
    fn turn(&mut self) -> io::Result<bool> {
        let now = self.now;
        let had_stalled = self.resume_stalled();
        self.look_at_touched();
        let mut came = false;
        for port in 0..self.ports.len() {
            self.ports[port].speak(now);
            came |= self.receive(port);
        }
        self.came = came;
        let due = self.expire();
        for port in &mut self.ports {
            port.output.port.flush(now);
        }
        Ok(came || due || had_stalled)
    }
}

impl<P: FramePort> Drop for StackStreams<'_, P> {
    fn drop(&mut self) {
        // A worker that panics is unwound through here, and where that was in the stack itself,
        // there may be a second panic. Then the peers find out for themselves.
        let _ = catch_unwind(AssertUnwindSafe(|| self.reset_all()));
        self.options.flows_in_all.give_back(self.live);
    }
}
