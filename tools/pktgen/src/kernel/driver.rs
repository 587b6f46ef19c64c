//! The loop of one thread: readiness in, checked messages out, and whatever is due to be sent.

mod connect;
mod publish;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Waker};

use crate::check::{Checker, Offence};
use crate::frames::Fault;
use crate::kernel::client::Client;
use crate::kernel::driver::publish::ROLL_CALL_INTERVAL;
use crate::kernel::endpoint::Endpoint;
use crate::kernel::inbox::{self, Inbox};
use crate::kernel::{Outcome, WAKER};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::outgoing::{Encoder, Opcode};
use crate::pace::Agenda;
use crate::plan::{ClosedBy, Scenario};
use crate::shared::{Phase, Shared};

const EVENTS_PER_TURN: usize = 4096;
const READ_BYTES: usize = 64 * 1024;
/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 16;
/// A thread looks for a new phase at least that often.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// Pollers sleep in steps of a millisecond; what is due sooner is waited for awake.
const SLEEP_MIN: Duration = Duration::from_millis(2);

pub(crate) struct Driver {
    shared: Arc<Shared>,
    wakers: Arc<Vec<Waker>>,
    endpoint: Endpoint,
    number: usize,
    poll: Poll,
    clients: Vec<Client>,
    inbox: Inbox,
    agenda: Agenda,
    /// Clients without a connection that are to have one.
    absent: Vec<usize>,
    /// Clients that have more to read than they were given time for.
    unread: Vec<usize>,
    connecting: usize,
    /// Handshakes in the order in which they began; those that have ended are passed over.
    deadlines: VecDeque<(Instant, usize)>,
    open: usize,
    handshakes: u64,
    roll_called: u64,
    last_roll_call: Option<Instant>,
    closing: bool,
    slow_disconnected: u64,
    connect: Latency,
    upgrade: Latency,
    buffer: Vec<u8>,
    message: Vec<u8>,
    encoder: Encoder,
    /// Frames that are about to be sent.
    wire: Vec<u8>,
    /// Publishers whose turn it is.
    turns: Vec<usize>,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        wakers: Arc<Vec<Waker>>,
        endpoint: Endpoint,
        number: usize,
        poll: Poll,
    ) -> Self {
        let plan = &shared.plan;
        let clients = plan.clients_of(number);
        let numbering = (number, plan.threads);
        Self {
            wakers,
            endpoint,
            number,
            poll,
            clients: (0..clients).map(|_| Client::Absent).collect(),
            inbox: Inbox {
                checker: Checker::new(
                    shared.run,
                    plan.message_len(),
                    plan.expected(),
                    plan.readers_of(number),
                    numbering,
                ),
                ledger: Ledger::new(plan, number),
                delivery: Latency::new(),
                settled: 0,
                measured: 0,
                ready: Vec::new(),
            },
            agenda: Agenda::new(plan, number),
            absent: (0..clients).rev().collect(),
            unread: Vec::new(),
            connecting: 0,
            deadlines: VecDeque::new(),
            open: 0,
            handshakes: 0,
            roll_called: 0,
            last_roll_call: None,
            closing: false,
            slow_disconnected: 0,
            connect: Latency::new(),
            upgrade: Latency::new(),
            buffer: vec![0; READ_BYTES],
            message: vec![0; plan.message_len()],
            encoder: Encoder::new(),
            wire: Vec::new(),
            turns: Vec::new(),
            shared,
        }
    }

    /// Serves its clients until phase End.
    pub(crate) fn run(mut self) -> Outcome {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while self.shared.phase() != Phase::End {
            if let Err(error) = self.turn(&mut events) {
                self.shared.fail(|| format!("waiting for the server: {error}"));
                break;
            }
        }
        let Inbox { mut checker, delivery, .. } = self.inbox;
        checker.finish(|publisher| self.shared.published_for_sure(publisher));
        Outcome {
            delivery,
            connect: self.connect,
            upgrade: self.upgrade,
            offences: checker.offences,
            slow_disconnected: self.slow_disconnected,
        }
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, Some(self.patience())) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter() {
            self.serve(event);
        }
        if events.is_empty() {
            // Should a wake-up have been lost, it goes on all the same.
            self.agenda.wake_all();
        }
        self.give_up_handshakes();
        for client in std::mem::take(&mut self.unread) {
            self.receive(client, true);
        }
        self.tell_publishers();
        match self.shared.phase() {
            Phase::Connect => self.connect_more(),
            Phase::RollCall => self.call_roll(),
            Phase::Run if self.shared.plan.is_connect() => self.connect_more(),
            Phase::Run => self.publish(),
            Phase::Drain | Phase::End => {}
            Phase::Close => self.close_all(),
        }
        self.post();
        Ok(())
    }

    /// How long there is nothing to do unless something arrives.
    fn patience(&self) -> Duration {
        if self.shared.plan.busy_poll || !self.unread.is_empty() {
            return Duration::ZERO;
        }
        if self.shared.phase() != Phase::Run {
            return SLEEP_MAX.min(ROLL_CALL_INTERVAL);
        }
        let next = self.agenda.next_ns();
        let left = next.map(|due_ns| due_ns.saturating_sub(self.shared.now_ns()));
        match left.map(Duration::from_nanos) {
            Some(left) if left < SLEEP_MIN => Duration::ZERO,
            Some(left) => (left - SLEEP_MIN / 2).min(SLEEP_MAX),
            None => SLEEP_MAX,
        }
    }

    fn serve(&mut self, event: &Event) {
        if event.token() == WAKER {
            return self.agenda.wake_all();
        }
        let client = event.token().0;
        let is_slow = self.is_slow(client);
        match &mut self.clients[client] {
            Client::Absent => {}
            Client::Connecting(_) => self.advance(client),
            Client::Open(_) if is_slow => {
                if event.is_read_closed() || event.is_error() {
                    self.slow_disconnected += 1;
                    self.leave(client);
                }
            }
            Client::Open(connection) => {
                if event.is_writable() && connection.is_blocked() {
                    let result = connection.flush();
                    let is_blocked = connection.is_blocked();
                    self.unless_broken(client, result);
                    if !is_blocked {
                        self.agenda.wake(client);
                    }
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    // A short read has emptied the socket where readiness comes by edge, but for
                    // the end of the stream. Windows re-arms on WouldBlock alone.
                    let to_the_end = event.is_read_closed() || event.is_error() || cfg!(windows);
                    self.receive(client, to_the_end);
                }
            }
        }
    }

    /// Reads what is there; `to_the_end` until the system says that nothing is.
    fn receive(&mut self, client: usize, to_the_end: bool) {
        for _ in 0..READS_PER_TURN {
            let Client::Open(connection) = &mut self.clients[client] else { return };
            let len = match connection.socket.read(&mut self.buffer) {
                Ok(0) => return self.ended(client, "the server ended the connection"),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.ended(client, &error.to_string()),
            };
            let (reader, bytes) = (&mut connection.reader, &self.buffer[..len]);
            let now_ns = self.shared.now_ns();
            let read = self.inbox.take(&self.shared, client, reader, bytes, now_ns);
            self.react(client, read);
            if len < READ_BYTES && !to_the_end {
                return;
            }
        }
        self.unread.push(client);
    }

    /// Does what the frames that a client read ask for.
    fn react(&mut self, client: usize, read: Result<inbox::Read, Fault>) {
        let read = match read {
            Ok(read) => read,
            Err(fault) => return self.broken(client, Offence::Protocol, &fault.to_string()),
        };
        let Client::Open(connection) = &mut self.clients[client] else { return };
        if read.roll_called && !connection.roll_called {
            connection.roll_called = true;
            self.roll_called += 1;
        }
        let is_closing = connection.closing;
        if let (Some(payload), false) = (read.pong, is_closing) {
            self.control(client, Opcode::Pong, &payload);
        }
        match read.close {
            None => {}
            // The server ends the TCP connection first (RFC 6455 section 7.1.1). That is waited for
            // where it was asked for; else the Close is the end.
            Some(_) if is_closing && self.closed_by() == ClosedBy::Server => {}
            Some(_) if is_closing => self.leave(client),
            Some(code) => {
                // A courtesy: the connection is lost whether or not it arrives.
                self.control(client, Opcode::Close, &code.unwrap_or(1000).to_be_bytes());
                let code = code.map_or("without a code".to_owned(), |code| code.to_string());
                self.ended(client, &format!("the server sent Close {code}"));
            }
        }
    }

    fn is_slow(&self, client: usize) -> bool {
        client >= self.shared.plan.readers_of(self.number)
    }

    /// Outside of connect mode nobody waits for the server's end.
    fn closed_by(&self) -> ClosedBy {
        match self.shared.plan.scenario {
            Scenario::Connect { closed_by } => closed_by,
            _ => ClosedBy::Client,
        }
    }

    fn close_all(&mut self) {
        if !std::mem::replace(&mut self.closing, true) {
            for client in 0..self.clients.len() {
                if self.is_slow(client) {
                    // It would have to read all that it left unread to see the server's Close.
                    self.leave(client);
                } else {
                    self.close(client);
                }
            }
        }
    }

    fn close(&mut self, client: usize) {
        if let Client::Open(connection) = &mut self.clients[client]
            && !std::mem::replace(&mut connection.closing, true)
        {
            self.control(client, Opcode::Close, &1000_u16.to_be_bytes());
        }
    }

    fn unless_broken(&mut self, client: usize, result: io::Result<()>) {
        if let Err(error) = result {
            self.ended(client, &error.to_string());
        }
    }

    /// The connection is no more, which is as it should be if our Close was sent.
    fn ended(&mut self, client: usize, reason: &str) {
        match &self.clients[client] {
            Client::Open(connection) if connection.closing => self.leave(client),
            Client::Open(_) => self.broken(client, Offence::Disconnected, reason),
            Client::Connecting(_) | Client::Absent => {}
        }
    }

    fn broken(&mut self, client: usize, offence: Offence, reason: &str) {
        let number = self.inbox.checker.number(client);
        let describe = || format!("client {number}: {reason}");
        self.inbox.checker.offences.add(offence, 1, describe);
        // The others would wait for what this one will not get.
        if self.shared.plan.load().is_some() {
            self.shared.fail(describe);
            self.shared.leave(number);
            self.inbox.checker.leave(client);
        }
        self.leave(client);
    }

    fn leave(&mut self, client: usize) {
        if let Client::Open(_) = std::mem::replace(&mut self.clients[client], Client::Absent) {
            self.open -= 1;
            if self.shared.plan.is_connect() {
                self.absent.push(client);
            }
        }
    }

    /// Wakes publishers whose message the last client here has got, or their threads.
    fn tell_publishers(&mut self) {
        let threads = self.shared.plan.threads;
        for publisher in self.inbox.ready.drain(..) {
            let thread = publisher % threads;
            if thread == self.number {
                self.agenda.wake(publisher / threads);
            } else {
                // A thread that could not be woken looks by itself before long.
                let _ = self.wakers[thread].wake();
            }
        }
    }

    fn post(&self) {
        let counters = &self.shared.counters[self.number];
        let post = |counter: &AtomicU64, value: u64| counter.store(value, Ordering::Release);
        post(&counters.open, self.open as u64);
        post(&counters.handshakes, self.handshakes);
        post(&counters.under_way, (self.open + self.connecting) as u64);
        post(&counters.roll_called, self.roll_called);
        post(&counters.settled, self.inbox.settled);
        post(&counters.measured, self.inbox.measured);
    }
}
