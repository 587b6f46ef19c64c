//! Clients with a TCP of their own, over a port that gives and takes Ethernet frames.
//!
//! It is the client's half of TCP as far as a generator needs it, and no more: it takes what comes in
//! order and acknowledges it, asks for what is missing by duplicate acknowledgements, sends its own
//! few bytes within the server's window, again where no acknowledgement comes, and begins and ends
//! connections in every way there is. It has no congestion control of its own: what a client sends is
//! bounded by the server's window. A client is 48 bytes; only those with bytes under way own a buffer.

mod addresses;
mod arp;
mod checksum;
mod client;
mod connections;
mod deadlines;
#[cfg(feature = "dpdk")]
pub(crate) mod dpdk;
mod egress;
mod ingress;
mod outbox;
mod raw;
mod segment;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::hash::RandomState;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use hioload_mem::prefetch;
use hioload_net::{FramePort, PortFrame};

use crate::outcome::SegmentCounts;
use crate::transport::{Event, RawPackets, StrayAnswers, Stream, Transport};

pub(crate) use self::addresses::{Addresses, Strays};
use self::arp::{Arp, Operation};
use self::client::{Client, State};
use self::outbox::Outbox;
use self::segment::{Frame, Segment, Template};
use self::timers::{Slot, Timers};

/// Frames that wait for the port before clients wait with theirs.
const PORT_WAITING_MAX: usize = 128;
/// Polls in a row that find nothing before the thread sleeps, and for how long it does.
const IDLE_POLLS_MAX: u32 = 2000;
const IDLE_SLEEP: Duration = Duration::from_micros(20);
/// How long the port has to take what ends the connections that are left after a run.
const RESET_MAX: Duration = Duration::from_secs(1);
/// How often the next hop is asked for.
const ARP_INTERVAL: Duration = Duration::from_millis(500);

/// When what has come is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AckPolicy {
    /// Each segment at once
    #[default]
    Each,
    /// Every second one, or after 40 ms (RFC 9293 section 3.8.6.3)
    Delayed,
}

/// What a run is like that has packets to itself.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) server: SocketAddrV4,
    pub(crate) addresses: Addresses,
    /// The addresses of packets that belong to no client, where the run has such packets.
    pub(crate) strays: Option<Strays>,
    /// The address that the clients sit behind, if they are not on the link themselves.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// The router that the server is reached by, if it is not on the link itself.
    pub(crate) via: Option<Ipv4Addr>,
    pub(crate) acks: AckPolicy,
    pub(crate) clients: usize,
    /// How long the server has to end its half of a connection.
    pub(crate) timeout: Duration,
}

/// Bytes that came in order.
#[derive(Debug)]
struct Arrival {
    client: u32,
    frame: usize,
    payload: Range<usize>,
}

/// The connections of all clients, on one queue pair.
#[derive(Debug)]
pub(crate) struct PacketTransport<P: FramePort> {
    port: P,
    mss: u16,
    options: Options,
    template: Template,
    clients: Vec<Client>,
    outbox: Outbox,
    timers: Timers,
    /// Keys the first numbers of connections.
    secret: RandomState,
    origin: Instant,
    now: Instant,
    now_ns: u64,
    /// The frames of the last poll, whose bytes are being read.
    frames: Vec<P::Frame>,
    segments: Vec<(Option<u32>, Frame)>,
    arrivals: VecDeque<Arrival>,
    /// Clients that have something to send for which the port has no room.
    pending: VecDeque<u32>,
    /// Clients with an acknowledgement that may wait, and until when.
    delayed: VecDeque<(u64, u32)>,
    due: Vec<(Slot, u32)>,
    /// Somebody has waited for an answer for long.
    look_for_next_hop: bool,
    /// When the next hop was asked for.
    asked: Option<Instant>,
    idle_polls: u32,
    /// Since the last poll began, something has come, happened, or been sent.
    is_busy: bool,
    /// How long the thread has slept since.
    slept: Duration,
    busy_ns: u64,
    /// The clients' loop has begun, and the longest time between two of its polls.
    has_begun: bool,
    longest_pause_ns: u64,
    counts: SegmentCounts,
    answers: StrayAnswers,
}

impl<P: FramePort> PacketTransport<P> {
    pub(crate) fn new(port: P, options: Options) -> Self {
        let capabilities = port.capabilities();
        let offloads = (capabilities.tx_ipv4_checksum, capabilities.tx_tcp_checksum);
        let now = Instant::now();
        // Headers of IP and TCP.
        let mss = u16::try_from(capabilities.mtu.saturating_sub(40)).unwrap_or(u16::MAX);
        Self {
            mss,
            template: Template::new(capabilities.mac, options.server, offloads),
            clients: vec![Client::new(); options.clients],
            outbox: Outbox::default(),
            timers: Timers::new(),
            secret: RandomState::new(),
            origin: now,
            now,
            now_ns: 0,
            frames: Vec::new(),
            segments: Vec::new(),
            arrivals: VecDeque::new(),
            pending: VecDeque::new(),
            delayed: VecDeque::new(),
            due: Vec::new(),
            look_for_next_hop: false,
            asked: None,
            idle_polls: 0,
            is_busy: false,
            slept: Duration::ZERO,
            busy_ns: 0,
            has_begun: false,
            longest_pause_ns: 0,
            counts: SegmentCounts::default(),
            answers: StrayAnswers::default(),
            port,
            options,
        }
    }

    /// Asks for the hardware address of the next hop until it is known.
    ///
    /// # Errors
    /// That nobody answers.
    pub(crate) fn resolve(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let mut events = Vec::new();
        while self.template.next_hop() == [0; 6] {
            if self.may_ask() {
                self.ask_for_next_hop();
            }
            // Nothing is open, so nothing happens.
            self.poll_port(Instant::now(), &mut events);
            self.port.flush(self.now);
            if began.elapsed() >= self.options.timeout {
                return Err(format!(
                    "{}: nobody answers to ARP within {:?}",
                    self.next_hop(),
                    self.options.timeout
                ));
            }
            thread::yield_now();
        }
        Ok(())
    }

    fn next_hop(&self) -> Ipv4Addr {
        self.options.via.unwrap_or(*self.options.server.ip())
    }

    /// Whether it is long enough since the next hop was asked for.
    fn may_ask(&self) -> bool {
        self.asked.is_none_or(|at| at.elapsed() >= ARP_INTERVAL)
    }

    fn ask_for_next_hop(&mut self) {
        self.asked = Some(Instant::now());
        let own = self.options.gateway.unwrap_or(self.options.addresses.first());
        let mac = self.port.capabilities().mac;
        self.send_arp(&Arp::who_has(self.next_hop(), (own, mac)));
    }

    /// Takes what has come, and does what is due.
    fn turn(&mut self, now: Instant, events: &mut Vec<Event>) {
        let before_ns = self.now_ns;
        self.poll_port(now, events);
        if std::mem::replace(&mut self.has_begun, true) {
            self.longest_pause_ns = self.longest_pause_ns.max(self.now_ns - before_ns);
        }
        self.look_after_timers(events);
        self.send_pending(events);
        self.is_busy |= !self.frames.is_empty() || !events.is_empty();
    }

    /// Takes what has come from the port.
    fn poll_port(&mut self, now: Instant, events: &mut Vec<Event>) {
        self.now = now;
        let since = self.now.saturating_duration_since(self.origin);
        let before_ns = self.now_ns;
        self.now_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // All that the last turn did lies between the two readings, what was sent after its poll
        // included.
        let slept_ns = u64::try_from(std::mem::take(&mut self.slept).as_nanos()).unwrap_or(0);
        if std::mem::take(&mut self.is_busy) {
            self.busy_ns += (self.now_ns - before_ns).saturating_sub(slept_ns);
        }
        // All arrivals in them have been read.
        self.frames.clear();
        self.arrivals.clear();
        self.port.receive(self.now, &mut self.frames);
        let mut segments = std::mem::take(&mut self.segments);
        for frame in &self.frames {
            let read = Segment::read(frame, frame.checksum());
            let owner = if let Frame::Tcp(segment) = &read { self.owner(segment) } else { None };
            if let Some(client) = owner {
                prefetch(&self.clients[client as usize]);
            }
            segments.push((owner, read));
        }
        for (at, (owner, frame)) in segments.drain(..).enumerate() {
            match (frame, owner) {
                (Frame::Tcp(segment), Some(client)) => self.take(client, at, &segment, events),
                (Frame::Tcp(segment), None) => {
                    self.counts.segments_in += 1;
                    if !self.is_for_stray(&segment) {
                        self.answer_stranger(&segment);
                    }
                }
                (Frame::Arp, _) => self.take_arp(at),
                (Frame::Damaged, _) => self.counts.damaged += 1,
                (Frame::Foreign, _) => {}
            }
        }
        self.segments = segments;
    }

    /// The client whose present connection a segment belongs to.
    #[inline]
    fn owner(&self, segment: &Segment) -> Option<u32> {
        let owner = self.options.addresses.owner(segment.destination, segment.destination_port)?;
        let client = &self.clients[owner.client as usize];
        let is_present = client.state != State::Closed
            && owner.turn == self.options.addresses.turn(client.connection)
            && segment.source == u32::from(*self.options.server.ip())
            && segment.source_port == self.options.server.port();
        is_present.then_some(owner.client)
    }

    fn take_arp(&mut self, frame: usize) {
        let Some(arp) = Arp::read(&self.frames[frame]) else { return };
        if arp.sender.0 == self.next_hop() {
            self.template.set_next_hop(arp.sender.1);
        }
        let is_ours = match self.options.gateway {
            Some(gateway) => arp.target.0 == gateway,
            None => {
                let strays = self.options.strays;
                self.options.addresses.contains(arp.target.0)
                    || strays.is_some_and(|strays| strays.contain(arp.target.0.into()))
            }
        };
        if arp.operation == Operation::Request && is_ours {
            self.send_arp(&arp.answer(self.port.capabilities().mac));
        }
    }

    fn send_arp(&mut self, arp: &Arp) {
        let Some(mut frame) = self.port.frame() else { return };
        if frame.resize(arp::FRAME_BYTES) {
            arp.write(&mut frame);
            self.is_busy = true;
            self.port.send(self.now, frame, None);
        }
    }
}

impl<P: FramePort> Transport for PacketTransport<P> {
    fn poll(&mut self, patience: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        self.turn(Instant::now(), events);
        if self.is_busy || patience.is_zero() {
            self.idle_polls = 0;
        } else if self.idle_polls < IDLE_POLLS_MAX {
            self.idle_polls += 1;
            std::hint::spin_loop();
        } else {
            let began = Instant::now();
            thread::sleep(patience.min(IDLE_SLEEP));
            self.slept = began.elapsed();
        }
        Ok(())
    }

    fn connect(&mut self, client: usize) -> Result<(), String> {
        self.open(number(client));
        Ok(())
    }

    fn read(&mut self, client: usize, mut take: impl FnMut(&[u8], Instant)) -> Stream {
        let is_next = |arrival: &mut Arrival| arrival.client == number(client);
        if let Some(Arrival { frame, payload, .. }) = self.arrivals.pop_front_if(is_next) {
            take(&self.frames[frame][payload], self.now);
        }
        Stream::Open
    }

    fn send(&mut self, client: usize, bytes: &[u8]) -> Result<(), String> {
        self.append(number(client), bytes);
        Ok(())
    }

    fn is_blocked(&self, client: usize) -> bool {
        self.has_unsent(&self.clients[client])
    }

    fn hold(&mut self, client: usize, is_held: bool) {
        let was_held = std::mem::replace(&mut self.clients[client].is_held, is_held);
        if was_held && !is_held {
            self.acknowledge(number(client));
        }
    }

    fn finish(&mut self, client: usize) -> bool {
        self.end(number(client))
    }

    fn reset(&mut self, client: usize) {
        self.abort(number(client));
    }

    fn reset_all(&mut self) {
        let (now, began) = (self.now, Instant::now());
        let wait_for_room = |port: &mut P, waiting_max: usize| {
            while port.waiting() > waiting_max && began.elapsed() < RESET_MAX {
                port.flush(now);
                thread::yield_now();
            }
        };
        for client in 0..self.clients.len() {
            wait_for_room(&mut self.port, PORT_WAITING_MAX);
            self.abort(number(client));
        }
        self.port.flush(now);
        wait_for_room(&mut self.port, 0);
    }

    fn flush(&mut self) {
        self.port.flush(self.now);
    }

    /// There are no others.
    fn wake(&self, _thread: usize) {}

    fn busy(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.busy_ns))
    }

    fn longest_pause(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.longest_pause_ns))
    }

    fn segments(&self) -> Option<SegmentCounts> {
        let port = self.port.counters();
        let dropped_out = port.dropped_tx_full + port.dropped_invalid + port.no_memory;
        Some(SegmentCounts { dropped_out, ..self.counts })
    }

    fn raw(&mut self) -> Option<&mut dyn RawPackets> {
        Some(self)
    }
}

/// A plan has no more than a million clients.
fn number(client: usize) -> u32 {
    u32::try_from(client).unwrap_or(u32::MAX)
}
