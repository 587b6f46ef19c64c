//! The loop of one thread: readiness in, checked messages out, and whatever is due to be sent.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token, Waker};

use crate::check::{Checker, Offence};
use crate::frames::Fault;
use crate::kernel::client::{Client, Connection};
use crate::kernel::handshake::{Endpoint, Handshake, Opened, Progress};
use crate::kernel::inbox::{self, Inbox};
use crate::kernel::{Outcome, WAKER};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::message::{ROLL_CALL, Stamp};
use crate::pace::Pace;
use crate::plan::{ClosedBy, Scenario};
use crate::shared::{Phase, Shared};

const EVENTS_PER_TURN: usize = 4096;
const READ_BYTES: usize = 64 * 1024;
/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 16;
/// Messages of one publisher before the others get their turn.
const MESSAGES_PER_TURN: usize = 256;
/// A thread looks for a new phase at least that often.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// Pollers sleep in steps of a millisecond; what is due sooner is waited for awake.
const SLEEP_MIN: Duration = Duration::from_millis(2);
const ROLL_CALL_INTERVAL: Duration = Duration::from_millis(20);
/// In connect mode single failures are counted; with so many per thread there is no point.
const FAILURES_MAX: u64 = 1000;

pub(crate) struct Driver {
    shared: Arc<Shared>,
    wakers: Arc<Vec<Waker>>,
    endpoint: Endpoint,
    number: usize,
    poll: Poll,
    clients: Vec<Client>,
    inbox: Inbox,
    paces: Vec<Pace>,
    /// Clients without a connection that are to have one.
    absent: Vec<usize>,
    /// Clients that have more to read than they were given time for.
    unread: Vec<usize>,
    connecting: usize,
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
        let publishers = plan.publishers();
        let own_publishers = (number..publishers).step_by(plan.threads);
        let paces = plan.load().map(|load| {
            own_publishers.map(|publisher| Pace::new(publisher, load, publishers)).collect()
        });
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
            paces: paces.unwrap_or_default(),
            absent: (0..clients).rev().collect(),
            unread: Vec::new(),
            connecting: 0,
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
        checker.finish(|publisher| self.shared.published(publisher));
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
        for client in std::mem::take(&mut self.unread) {
            self.receive(client, true);
        }
        match self.shared.phase() {
            Phase::Connect => self.connect_more(),
            Phase::RollCall => self.call_roll(),
            Phase::Run if self.shared.plan.is_connect() => self.connect_more(),
            Phase::Run => self.publish(),
            Phase::Drain | Phase::End => {}
            Phase::Close => self.close_all(),
        }
        self.tell_others();
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
        let next = self.paces.iter().filter_map(|pace| pace.wake_ns(&self.shared)).min();
        let left = next.map(|due_ns| due_ns.saturating_sub(self.shared.now_ns()));
        match left.map(Duration::from_nanos) {
            Some(left) if left < SLEEP_MIN => Duration::ZERO,
            Some(left) => (left - SLEEP_MIN / 2).min(SLEEP_MAX),
            None => SLEEP_MAX,
        }
    }

    fn serve(&mut self, event: &Event) {
        if event.token() == WAKER {
            return;
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
                if event.is_writable() && connection.blocked {
                    let result = connection.flush();
                    self.unless_broken(client, result);
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

    // Connecting.

    fn connect_more(&mut self) {
        let plan = &self.shared.plan;
        let at_a_time = (plan.connecting / plan.threads).max(1);
        while self.connecting < at_a_time && !self.absent.is_empty() {
            if plan.is_connect() && !self.shared.take_ticket() {
                return;
            }
            let Some(client) = self.absent.pop() else { return };
            let token = Token(client);
            let source = self.number + client * self.shared.plan.threads;
            match Handshake::start(&self.endpoint, source, self.poll.registry(), token) {
                Ok(handshake) => {
                    self.connecting += 1;
                    self.clients[client] = Client::Connecting(handshake);
                }
                Err(reason) => {
                    self.failed_to_connect(client, &reason);
                    return;
                }
            }
        }
    }

    fn advance(&mut self, client: usize) {
        let state = std::mem::replace(&mut self.clients[client], Client::Absent);
        let Client::Connecting(handshake) = state else { return };
        match handshake.advance(&self.endpoint) {
            Ok(Progress::Pending(handshake)) => {
                self.clients[client] = Client::Connecting(handshake);
            }
            Ok(Progress::Open(opened)) => self.opened(client, opened),
            Err(reason) => {
                self.connecting -= 1;
                self.failed_to_connect(client, &reason);
            }
        }
    }

    fn opened(&mut self, client: usize, opened: Opened) {
        self.connecting -= 1;
        self.open += 1;
        self.handshakes += 1;
        let is_connect = self.shared.plan.is_connect();
        let is_measured = self.shared.measuring();
        if !is_connect || is_measured {
            self.connect.record(opened.connect_ns);
            self.upgrade.record(opened.upgrade_ns);
        }
        let mut connection = Connection::new(opened.socket);
        if self.is_slow(client) {
            self.clients[client] = Client::Open(connection);
            return;
        }
        let reader = &mut connection.reader;
        let now_ns = self.shared.now_ns();
        let read = self.inbox.take(&self.shared, client, reader, &opened.tail, now_ns);
        self.clients[client] = Client::Open(connection);
        self.react(client, read);
        if is_connect {
            self.inbox.measured += u64::from(is_measured);
            if let (ClosedBy::Reset, Client::Open(connection)) =
                (self.closed_by(), &self.clients[client])
            {
                connection.reset_when_dropped();
                return self.leave(client);
            }
            self.close(client);
        }
        // What came behind the answer came without an event of its own.
        self.receive(client, true);
    }

    fn failed_to_connect(&mut self, client: usize, reason: &str) {
        self.clients[client] = Client::Absent;
        let number = self.inbox.checker.number(client);
        let describe = || format!("client {number} cannot connect: {reason}");
        let offences = &mut self.inbox.checker.offences;
        offences.add(Offence::Disconnected, 1, describe);
        if !self.shared.plan.is_connect() || offences.count(Offence::Disconnected) >= FAILURES_MAX {
            self.shared.fail(describe);
        }
        self.absent.push(client);
    }

    // Receiving.

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
        let closed_by = self.closed_by();
        let Client::Open(connection) = &mut self.clients[client] else { return };
        if read.roll_called && !connection.roll_called {
            connection.roll_called = true;
            self.roll_called += 1;
        }
        if let Some(payload) = read.pong {
            let result = connection.pong(&payload);
            return self.unless_broken(client, result);
        }
        match read.close {
            None => {}
            // The server ends the TCP connection first (RFC 6455 section 7.1.1). That is waited for
            // where it was asked for; else the Close is the end.
            Some(_) if connection.closing && closed_by == ClosedBy::Server => {}
            Some(_) if connection.closing => self.leave(client),
            Some(code) => {
                // The answer is a courtesy: the connection is lost anyway.
                let _ = connection.close();
                connection.closing = false;
                let code = code.map_or("without a code".to_owned(), |code| code.to_string());
                self.ended(client, &format!("the server sent Close {code}"));
            }
        }
    }

    // Publishing.

    fn publish(&mut self) {
        for at in 0..self.paces.len() {
            let client = self.client_of(self.paces[at].publisher);
            self.publish_due(at, client);
        }
    }

    /// Sends what one publisher has to send, in one go.
    fn publish_due(&mut self, at: usize, client: usize) {
        for _ in 0..MESSAGES_PER_TURN {
            let Client::Open(connection) = &mut self.clients[client] else { return };
            if connection.blocked {
                return;
            }
            let pace = &mut self.paces[at];
            let Some(due) = pace.next(&self.shared, self.shared.now_ns()) else { break };
            let stamp = Stamp {
                run: self.shared.run,
                publisher: u32::try_from(pace.publisher).unwrap_or(ROLL_CALL),
                sequence: due.sequence,
                sent_ns: due.at_ns,
            };
            stamp.write(&mut self.message);
            let result = connection.push(&self.message);
            self.unless_broken(client, result);
        }
        if let Client::Open(connection) = &mut self.clients[client] {
            let result = connection.flush();
            self.unless_broken(client, result);
        }
    }

    /// The first client speaks now and then until all have heard it; the second one, too, where
    /// the first does not hear itself.
    fn call_roll(&mut self) {
        let is_due = self.last_roll_call.is_none_or(|last| last.elapsed() >= ROLL_CALL_INTERVAL);
        if !is_due {
            return;
        }
        self.last_roll_call = Some(Instant::now());
        let callers = if self.shared.plan.sender_excluded() { 2 } else { 1 };
        let threads = self.shared.plan.threads;
        for caller in (self.number..callers).step_by(threads) {
            let sent_ns = self.shared.now_ns();
            let stamp = Stamp { run: self.shared.run, publisher: ROLL_CALL, sequence: 0, sent_ns };
            stamp.write(&mut self.message);
            let client = self.client_of(caller);
            if let Client::Open(connection) = &mut self.clients[client] {
                let result = connection.push(&self.message).and_then(|()| connection.flush());
                self.unless_broken(client, result);
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

    fn client_of(&self, publisher: usize) -> usize {
        (publisher - self.number) / self.shared.plan.threads
    }

    // Ending.

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
        if let Client::Open(connection) = &mut self.clients[client] {
            let result = connection.close();
            self.unless_broken(client, result);
        }
    }

    fn unless_broken(&mut self, client: usize, result: Result<(), String>) {
        if let Err(reason) = result {
            self.ended(client, &reason);
        }
    }

    /// The connection is no more, which is as it should be if our Close was sent.
    fn ended(&mut self, client: usize, reason: &str) {
        match &self.clients[client] {
            Client::Open(connection) if connection.closing => self.leave(client),
            _ => self.broken(client, Offence::Disconnected, reason),
        }
    }

    fn broken(&mut self, client: usize, offence: Offence, reason: &str) {
        let number = self.inbox.checker.number(client);
        let describe = || format!("client {number}: {reason}");
        self.inbox.checker.offences.add(offence, 1, describe);
        // The others would wait for what this one will not get.
        if self.shared.plan.load().is_some() {
            self.shared.fail(describe);
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

    // The other threads.

    /// Wakes the threads of publishers whose message the last client here has got.
    fn tell_others(&mut self) {
        let threads = self.shared.plan.threads;
        for publisher in self.inbox.ready.drain(..) {
            let thread = publisher % threads;
            if thread != self.number {
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
