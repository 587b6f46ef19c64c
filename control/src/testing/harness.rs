//! The appliance that tests drive.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hioload_engine::testing::{HandTurned, memory_streams};
use hioload_engine::{Assembly, Drained, Handler, Layer, Totals, assemble};
use hioload_net::MemoryStreams;

use super::peer::Peer;
use super::{Client, ClientRequest, Response};
use crate::datapath::Monitor;
use crate::{Builder, Handle, StartError, Stats};

/// Ports that unnamed peers have, one after the other.
const PEER_PORT_FIRST: u16 = 1024;

/// An appliance without network, threads or a clock of its own; see the [module](super).
///
/// What can be asked for at any time (statistics, what clients got) is as of when the workers have
/// done all there is to do.
pub struct Harness {
    net: Rc<RefCell<Net>>,
    handle: Handle,
}

impl Harness {
    /// What `builder` would start, on one worker. `server.listen`, `server.workers` and what else
    /// concerns sockets has no effect, and there is no admin server.
    ///
    /// # Errors
    /// As [`Builder::start`], for a configuration or a path that is wrong.
    pub fn new<H: Handler, L: Layer<H>>(builder: Builder<H, L>) -> Result<Self, StartError> {
        Self::with_workers(builder, 1)
    }

    /// The same on `workers` workers, which get the clients in turn.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when there are no workers or too many.
    pub fn with_workers<H: Handler, L: Layer<H>>(
        mut builder: Builder<H, L>,
        workers: usize,
    ) -> Result<Self, StartError> {
        builder.config.server.workers = workers;
        builder.check()?;
        let config = builder.config.clone();
        let (streams, wakers) = memory_streams(workers);
        let Assembly { controls, parts } = assemble(&config, &wakers);
        let built = builder.build(controls, "memory", Monitor::default());
        let turned = HandTurned::new(parts, streams, &built.handler, &built.site, &config);
        let net = Net { workers: Box::new(turned), peers: Vec::new() };
        Ok(Self { net: Rc::new(RefCell::new(net)), handle: built.handle })
    }

    /// Opens a session, by a request that is a path or more than that.
    ///
    /// # Panics
    /// When it is refused; [`try_open`](Self::try_open) is for those that may be.
    pub fn open(&self, request: impl Into<ClientRequest>) -> Client {
        self.try_open(request).unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// Opens a session, unless it is refused.
    ///
    /// # Errors
    /// What the client is answered instead.
    pub fn try_open(&self, request: impl Into<ClientRequest>) -> Result<Client, Refused> {
        let (peer, response) = self.ask(&request.into(), true);
        match response {
            Some(response) if response.status() == 101 => {
                Ok(Client::new(Rc::clone(&self.net), peer, response))
            }
            response => Err(Refused { response }),
        }
    }

    /// Asks in plain HTTP, on a connection of its own.
    ///
    /// # Panics
    /// When the connection is closed without an answer, as after a drain.
    pub fn request(&self, request: impl Into<ClientRequest>) -> Response {
        let (peer, response) = self.ask(&request.into(), false);
        let mut net = self.net.borrow_mut();
        net.peer(peer).end();
        net.settle();
        response.expect("the connection was closed without an answer")
    }

    /// Lets time pass, for pings and timeouts. What is due meanwhile happens when it is due, and
    /// what clients answer to it arrives at once.
    pub fn pass(&self, time: Duration) {
        self.net.borrow_mut().pass(time);
    }

    /// Begins a drain, as a signal does. Clients that answer are closed when this returns; the
    /// others have until `control.drain_timeout` has [passed](Self::pass).
    pub fn drain(&self) {
        let mut net = self.net.borrow_mut();
        self.handle.drain_from(net.workers.now());
        net.pass(SETTLING);
    }

    /// How a drain has ended, once it has.
    pub fn drained(&self) -> Option<Drained> {
        let mut net = self.net.borrow_mut();
        net.settle();
        net.workers.drained()
    }

    /// The handle that [`Appliance::handle`](crate::Appliance::handle) gives, for this thread or
    /// others. What is sent through it is done at the next call of this harness or a client;
    /// [`Client::wait`] waits for what other threads do. Calls that wait for the workers
    /// ([`Handle::sessions`], [`Handle::snapshot`]) are for other threads. To drain, use [`drain`](Self::drain), which
    /// goes by the clock of the test.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Statistics and probes.
    pub fn stats(&self) -> Stats {
        self.net.borrow_mut().settle();
        self.handle.stats()
    }

    /// The sum of all workers' counters.
    pub fn totals(&self) -> Totals {
        self.net.borrow_mut().settle();
        self.handle.totals()
    }

    fn ask(&self, request: &ClientRequest, upgrade: bool) -> (usize, Option<Response>) {
        let mut net = self.net.borrow_mut();
        let number = net.connect(request);
        net.peer(number).send(&request.bytes(upgrade));
        net.settle();
        let response = net.peer(number).response(request.is_head());
        net.settle();
        (number, response)
    }
}

/// A drain first reads what had been sent before it began, for at most this long.
const SETTLING: Duration = Duration::from_millis(300);

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The answer; `None` when the connection was closed without one.
    pub response: Option<Response>,
}

impl Refused {
    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(Response::status)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.response {
            Some(response) => {
                let (status, text) = (response.status(), response.text().trim_end());
                write!(f, "the upgrade was refused with {status}: {text}")
            }
            None => f.write_str("the connection was closed without an answer"),
        }
    }
}

impl Error for Refused {}

/// The workers and the far ends of all connections.
pub(super) struct Net {
    workers: Box<dyn Turn>,
    peers: Vec<Peer>,
}

impl Net {
    pub(super) fn peer(&mut self, number: usize) -> &mut Peer {
        &mut self.peers[number]
    }

    fn connect(&mut self, request: &ClientRequest) -> usize {
        let number = self.peers.len();
        let ports = usize::from(u16::MAX - PEER_PORT_FIRST);
        let port = PEER_PORT_FIRST + u16::try_from(number % ports).expect("below the ports");
        let streams = self.workers.streams();
        let streams = streams[number % streams.len()].clone();
        let address = request.peer_or(SocketAddr::from(([127, 0, 0, 1], port)));
        let flow = streams.connect_from(address);
        self.peers.push(Peer::new(streams, flow));
        number
    }

    /// Until neither the workers nor the clients have something to do.
    pub(super) fn settle(&mut self) {
        loop {
            self.workers.settle();
            let mut answered = false;
            for peer in &mut self.peers {
                answered |= peer.react();
            }
            if !answered {
                return;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        const STEP_MIN: Duration = Duration::from_millis(1);
        let mut left = time;
        self.settle();
        while !left.is_zero() {
            let due = self.workers.next_wake().unwrap_or(left);
            let step = due.max(STEP_MIN).min(left);
            self.workers.pass(step);
            left -= step;
            self.settle();
        }
    }
}

/// [`HandTurned`] for whatever handler.
trait Turn {
    fn settle(&mut self);
    fn pass(&self, time: Duration);
    fn next_wake(&self) -> Option<Duration>;
    fn now(&self) -> Instant;
    fn streams(&self) -> &[MemoryStreams];
    fn drained(&self) -> Option<Drained>;
}

impl<H: Handler> Turn for HandTurned<H> {
    fn settle(&mut self) {
        HandTurned::settle(self);
    }

    fn pass(&self, time: Duration) {
        HandTurned::pass(self, time);
    }

    fn next_wake(&self) -> Option<Duration> {
        HandTurned::next_wake(self)
    }

    fn now(&self) -> Instant {
        HandTurned::now(self)
    }

    fn streams(&self) -> &[MemoryStreams] {
        HandTurned::streams(self)
    }

    fn drained(&self) -> Option<Drained> {
        let mut sum = Drained::default();
        for ended in self.ended() {
            let ended = (*ended)?;
            sum.closed += ended.closed;
            sum.cut_off += ended.cut_off;
        }
        Some(sum)
    }
}
