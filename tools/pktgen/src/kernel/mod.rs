//! Clients over the sockets of the operating system: a poller for each thread.

mod endpoint;
mod socket;

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event as Readiness;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::kernel::endpoint::Endpoint;
use crate::kernel::socket::Socket;
use crate::plan::Plan;
use crate::transport::{Event, Stream, Transport};

/// The token of the waker; clients have theirs from 0.
const WAKER: Token = Token(usize::MAX);
const EVENTS_PER_TURN: usize = 4096;
const READ_BYTES: usize = 64 * 1024;
/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 16;

/// The sockets of one thread's clients.
pub(crate) struct KernelTransport {
    poll: Poll,
    readiness: Events,
    wakers: Arc<Vec<Waker>>,
    endpoint: Endpoint,
    /// The number of client 0 in the run, and the distance to the next one.
    numbering: (usize, usize),
    sockets: Vec<Option<Socket>>,
    /// Clients that have more to read than they were given time for.
    unread: Vec<usize>,
    buffer: Vec<u8>,
}

/// A transport for each thread of the plan, and what wakes them all.
///
/// # Errors
/// That the system has no more pollers, or a source address does not fit the target's.
pub(crate) fn open(
    plan: &Plan,
    address: SocketAddr,
) -> Result<(Vec<KernelTransport>, Arc<Vec<Waker>>), String> {
    let endpoint = Endpoint::new(address, plan)?;
    let failed = |error: io::Error| format!("cannot start {} threads: {error}", plan.threads);
    let polls: Vec<Poll> =
        (0..plan.threads).map(|_| Poll::new()).collect::<io::Result<_>>().map_err(failed)?;
    let wakers: Vec<Waker> = polls
        .iter()
        .map(|poll| Waker::new(poll.registry(), WAKER))
        .collect::<io::Result<_>>()
        .map_err(failed)?;
    let wakers = Arc::new(wakers);
    let transports = polls.into_iter().enumerate().map(|(number, poll)| KernelTransport {
        poll,
        readiness: Events::with_capacity(EVENTS_PER_TURN),
        wakers: Arc::clone(&wakers),
        endpoint: endpoint.clone(),
        numbering: (number, plan.threads),
        sockets: (0..plan.clients_of(number)).map(|_| None).collect(),
        unread: Vec::new(),
        buffer: vec![0; READ_BYTES],
    });
    Ok((transports.collect(), wakers))
}

impl Transport for KernelTransport {
    fn poll(&mut self, patience: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        let patience = if self.unread.is_empty() { patience } else { Duration::ZERO };
        match self.poll.poll(&mut self.readiness, Some(patience)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for readiness in &self.readiness {
            if readiness.token() == WAKER {
                events.push(Event::Woken);
            } else if let Some(socket) = &mut self.sockets[readiness.token().0] {
                tell(readiness, socket, events);
            }
        }
        events.extend(self.unread.drain(..).map(Event::Readable));
        Ok(())
    }

    fn connect(&mut self, client: usize) -> Result<(), String> {
        let mut stream = self.endpoint.connect(self.numbering.0 + client * self.numbering.1)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, Token(client), interest);
        registered.map_err(|error| error.to_string())?;
        self.sockets[client] = Some(Socket::new(stream));
        Ok(())
    }

    fn read(&mut self, client: usize, mut take: impl FnMut(&[u8], Instant)) -> Stream {
        let Some(socket) = &mut self.sockets[client] else { return Stream::Open };
        for _ in 0..READS_PER_TURN {
            let len = match socket.stream.read(&mut self.buffer) {
                Ok(0) => return Stream::Ended("the server ended the connection".to_owned()),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Stream::Open,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Stream::Ended(error.to_string()),
            };
            take(&self.buffer[..len], Instant::now());
            if len < READ_BYTES && !socket.reads_to_the_end {
                return Stream::Open;
            }
        }
        socket.reads_to_the_end = true;
        self.unread.push(client);
        Stream::Open
    }

    fn send(&mut self, client: usize, bytes: &[u8]) -> Result<(), String> {
        let Some(socket) = &mut self.sockets[client] else { return Ok(()) };
        socket.send(bytes).map_err(|error| error.to_string())
    }

    fn is_blocked(&self, client: usize) -> bool {
        self.sockets[client].as_ref().is_some_and(Socket::is_blocked)
    }

    fn hold(&mut self, client: usize, is_held: bool) {
        let Some(socket) = &mut self.sockets[client] else { return };
        let was_held = std::mem::replace(&mut socket.is_held, is_held);
        if was_held && !is_held {
            // Readiness comes by edge, and may have come while nobody looked.
            socket.reads_to_the_end = true;
            self.unread.push(client);
        }
    }

    fn finish(&mut self, client: usize) -> bool {
        // The system sees to the rest.
        self.sockets[client] = None;
        true
    }

    fn reset(&mut self, client: usize) {
        if let Some(socket) = self.sockets[client].take() {
            socket.reset();
        }
    }

    fn wake(&self, thread: usize) {
        // A thread that could not be woken looks by itself before long.
        let _ = self.wakers[thread].wake();
    }
}

/// Appends what readiness means.
fn tell(readiness: &Readiness, socket: &mut Socket, events: &mut Vec<Event>) {
    let client = readiness.token().0;
    if !socket.is_connected {
        match socket.connected() {
            Ok(true) => events.push(Event::Connected(client)),
            Ok(false) => {}
            Err(error) => events.push(Event::Ended(client, error.to_string())),
        }
        return;
    }
    let is_over = readiness.is_read_closed() || readiness.is_error();
    if socket.is_held {
        if is_over {
            let reason = "the server ended the connection".to_owned();
            events.push(Event::Ended(client, reason));
        }
        return;
    }
    if readiness.is_writable() && socket.is_blocked() {
        match socket.flush() {
            Err(error) => return events.push(Event::Ended(client, error.to_string())),
            Ok(()) if socket.is_blocked() => {}
            Ok(()) => events.push(Event::Writable(client)),
        }
    }
    if readiness.is_readable() || is_over {
        // A short read has emptied the socket where readiness comes by edge, but for the end of
        // the stream. Windows re-arms on WouldBlock alone.
        socket.reads_to_the_end = is_over || cfg!(windows);
        events.push(Event::Readable(client));
    }
}
