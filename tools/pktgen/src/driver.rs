//! The loop of one thread: what has come is checked, and what is due is sent.

mod client;
mod closing;
mod connect;
mod mix;
mod publish;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::check::Offence;
use crate::driver::client::Client;
use crate::driver::mix::MixClients;
use crate::hostile::Hostile;
use crate::inbox::{self, Inbox};
use crate::latency::Latency;
use crate::outcome::{Outcome, Traffic};
use crate::outgoing::{Encoder, Opcode};
use crate::pace::{Agenda, Kept};
use crate::plan::{ClosedBy, Scenario, Until};
use crate::shared::{Phase, Shared};
use crate::transport::{Event, Stream, Transport};
use crate::upgrade::Request;

/// A thread looks for a new phase at least that often.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// While the phases follow each other quickly.
const PHASE_SLEEP_MAX: Duration = Duration::from_millis(20);
/// Pollers sleep in steps of a millisecond; what is due sooner is waited for awake.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// The clients of one thread, on whatever carries their bytes.
pub(crate) struct Driver<T> {
    shared: Arc<Shared>,
    transport: T,
    number: usize,
    request: Request,
    clients: Vec<Client>,
    inbox: Inbox,
    agenda: Agenda,
    /// The clients behind ours in the transport.
    hostile: Option<Hostile>,
    /// Clients without a connection that are to have one.
    absent: Vec<usize>,
    connecting: usize,
    /// Handshakes in the order in which they began; those that have ended are passed over.
    handshakes_begun: VecDeque<(u64, usize)>,
    /// Closes in the order in which they were sent; those that were answered are passed over.
    closes: VecDeque<(u64, usize)>,
    open: usize,
    /// Connections that were ended, and of which something is left.
    leaving: usize,
    traffic: Traffic,
    roll_called: u64,
    next_roll_call: Option<Instant>,
    roll_call_interval: Duration,
    /// In phase Drain: nothing that was due is left to be sent.
    is_drained: bool,
    closing: bool,
    slow_disconnected: u64,
    connect: Latency,
    upgrade: Latency,
    message: Vec<u8>,
    encoder: Encoder,
    /// Bytes that are about to be sent.
    wire: Vec<u8>,
    /// Publishers whose turn it is.
    turns: Vec<usize>,
    /// In mode mix: who is to be there.
    mix: MixClients,
}

impl<T: Transport> Driver<T> {
    pub(crate) fn new(shared: Arc<Shared>, transport: T, number: usize) -> Self {
        let plan = &shared.plan;
        let clients = plan.behaved_of(number);
        Self {
            transport,
            number,
            request: Request::new(plan),
            clients: (0..clients).map(|_| Client::Absent).collect(),
            inbox: Inbox::new(&shared, number),
            agenda: Agenda::new(plan, number),
            absent: (0..plan.clients_below(plan.clients_at_first(), number)).rev().collect(),
            mix: MixClients::new(&shared, number),
            hostile: Hostile::new(plan, number),
            connecting: 0,
            handshakes_begun: VecDeque::new(),
            closes: VecDeque::new(),
            open: 0,
            leaving: 0,
            traffic: Traffic::default(),
            roll_called: 0,
            next_roll_call: None,
            roll_call_interval: Self::roll_call_interval(plan.clients),
            is_drained: false,
            closing: false,
            slow_disconnected: 0,
            connect: Latency::new(),
            upgrade: Latency::new(),
            message: vec![0; plan.message_len()],
            encoder: Encoder::new(),
            wire: Vec::new(),
            turns: Vec::new(),
            shared,
        }
    }

    /// Serves its clients until phase End.
    pub(crate) fn run(mut self) -> Outcome {
        let mut events = Vec::new();
        while self.shared.phase() != Phase::End {
            if let Err(error) = self.turn(&mut events) {
                self.shared.fail(|| format!("waiting for the server: {error}"));
                break;
            }
        }
        self.complain_of_closes();
        let kept = self.kept();
        let Inbox { mut checker, delivery, stages, received, .. } = self.inbox;
        checker.finish(|publisher| self.shared.published_for_sure(publisher));
        let hostile = self.hostile.map(|hostile| {
            let (findings, offences) = hostile.finish(&mut self.transport, &self.shared);
            checker.offences.merge(offences);
            findings
        });
        // The server is not to keep what nobody will answer for.
        self.transport.reset_all();
        Outcome {
            delivery,
            stages,
            connect: self.connect,
            upgrade: self.upgrade,
            offences: checker.offences,
            slow_disconnected: self.slow_disconnected,
            traffic: Traffic { messages_received: received, ..self.traffic },
            longest_pause: self.transport.longest_pause(),
            kept,
            segments: self.transport.segments(),
            hostile,
        }
    }

    /// How the schedule of the open loop was kept. Where a count ends the run, all that counts is
    /// sent.
    fn kept(&self) -> Option<Kept> {
        let Shared { plan, .. } = &*self.shared;
        let (from_ns, to_ns) = self.shared.measured_ns()?;
        let is_counted = matches!(plan.until, Until::Count(_));
        (plan.is_open_loop() && !is_counted).then(|| self.agenda.kept(from_ns, to_ns))
    }

    fn turn(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let patience = self.patience();
        self.transport.poll(patience, events)?;
        if events.is_empty() && !patience.is_zero() {
            // Should a wake-up have been lost, it goes on all the same.
            self.agenda.wake_all();
        }
        for event in events.drain(..) {
            self.serve(event);
        }
        self.give_up_handshakes();
        self.tell_publishers();
        match self.shared.phase() {
            // In connect mode none begins that is not counted.
            Phase::Connect if self.shared.plan.is_connect() => {}
            Phase::Connect => self.connect_more(),
            Phase::RollCall => self.call_roll(),
            Phase::Run if self.shared.plan.is_connect() => {
                self.give_up_closes();
                self.connect_more();
            }
            Phase::Run if self.shared.plan.mix.is_some() => self.mix(),
            Phase::Run => self.publish(),
            Phase::Drain => self.drain(),
            Phase::Close => self.close_all(),
            Phase::End => {}
        }
        if let Some(hostile) = &mut self.hostile {
            hostile.turn(&mut self.transport, &self.shared);
        }
        self.transport.flush();
        self.post();
        Ok(())
    }

    /// How long there is nothing to do unless something arrives.
    fn patience(&mut self) -> Duration {
        if self.shared.plan.busy_poll {
            return Duration::ZERO;
        }
        let (phase, is_mix) = (self.shared.phase(), self.shared.plan.mix.is_some());
        let sleep_max = match phase {
            Phase::Run if is_mix => mix::SLEEP_MAX,
            Phase::Run => SLEEP_MAX,
            Phase::Drain if !self.is_drained => PHASE_SLEEP_MAX,
            _ => return PHASE_SLEEP_MAX,
        };
        let until_ns = self.shared.due_until_ns();
        let next = self.agenda.next_ns().filter(|due_ns| *due_ns < until_ns);
        let hostile = self.hostile.as_mut().filter(|_| phase == Phase::Run);
        let hostile = hostile.and_then(Hostile::next_ns);
        let next = next.into_iter().chain(hostile).min();
        let left = next.map(|due_ns| due_ns.saturating_sub(self.shared.now_ns()));
        match left.map(Duration::from_nanos) {
            Some(left) if left < SLEEP_MIN => Duration::ZERO,
            Some(left) => (left - SLEEP_MIN / 2).min(sleep_max),
            None => sleep_max,
        }
    }

    fn drain(&mut self) {
        self.send_rest();
        if self.shared.plan.mix.is_some() {
            self.catch_up();
        } else {
            self.give_up_closes();
        }
    }

    fn serve(&mut self, event: Event) {
        if let (Some(hostile), Some(client)) = (&mut self.hostile, event.client())
            && hostile.has(client)
        {
            return hostile.serve(&event, &mut self.transport, &self.shared);
        }
        match event {
            Event::Woken => self.agenda.wake_all(),
            Event::Connected(client) => self.connected(client),
            Event::Readable(client) => self.receive(client),
            Event::Writable(client) => self.agenda.wake(client),
            Event::Ended(client, reason) => self.ended(client, &reason),
            Event::HalfOpen(client) => self.half_open(client),
            Event::Gone(client) => {
                self.leaving -= 1;
                self.gone(client);
            }
        }
    }

    /// Reads what is there.
    fn receive(&mut self, client: usize) {
        if self.is_slow(client) && matches!(self.clients[client], Client::Open(_)) {
            // What the server sent before it filled the window is not looked at.
            self.transport.read(client, |_, _| {});
            if self.shared.plan.mix.is_some() {
                // That was its look at what has come.
                self.transport.hold(client, true);
            }
            return;
        }
        let Self { transport, clients, inbox, shared, .. } = self;
        let mut read = inbox::Read::default();
        let mut fault = None;
        let stream = match &mut clients[client] {
            Client::Upgrading(upgrading) => {
                let stream = transport.read(client, |bytes, _| upgrading.upgrade.take(bytes));
                self.advance(client);
                stream
            }
            Client::Open(session) => transport.read(client, |bytes, at| {
                if fault.is_none() {
                    let (reader, at_ns) = (&mut session.reader, shared.at_ns(at));
                    fault = inbox.take(shared, client, reader, bytes, at_ns, &mut read).err();
                }
            }),
            Client::Absent | Client::Connecting { .. } | Client::Leaving { .. } => {
                transport.read(client, |_, _| {})
            }
        };
        self.react(client, read);
        if let Some(fault) = fault {
            return self.broken(client, Offence::Protocol, &fault.to_string());
        }
        if let Stream::Ended(reason) = stream {
            self.ended(client, &reason);
        }
    }

    /// Does what the frames that a client read ask for.
    fn react(&mut self, client: usize, read: inbox::Read) {
        let Client::Open(session) = &mut self.clients[client] else { return };
        if read.roll_called && !session.roll_called {
            session.roll_called = true;
            self.roll_called += 1;
        }
        let is_closing = session.closing;
        self.traffic.closed += u64::from(is_closing && read.close.is_some());
        session.is_answered |= is_closing && read.close.is_some();
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

    fn unless_broken(&mut self, client: usize, result: Result<(), String>) {
        if let Err(reason) = result {
            self.ended(client, &reason);
        }
    }

    /// The connection is no more, which is as it should be if our Close was sent.
    fn ended(&mut self, client: usize, reason: &str) {
        let is_slow = self.is_slow(client);
        match &self.clients[client] {
            Client::Connecting { .. } | Client::Upgrading(_) => {
                self.failed_to_connect(client, reason);
            }
            Client::Open(_) if is_slow => {
                self.slow_disconnected += 1;
                self.leave(client);
            }
            Client::Open(session) if session.closing => self.leave(client),
            Client::Open(_) => self.broken(client, Offence::Disconnected, reason),
            Client::Absent | Client::Leaving { .. } => {}
        }
    }

    fn broken(&mut self, client: usize, offence: Offence, reason: &str) {
        let number = self.inbox.checker.number(client);
        let describe = || format!("client {number}: {reason}");
        self.inbox.checker.offences.add(offence, 1, describe);
        // The others would wait for what this one will not get.
        if self.shared.plan.load().is_some() || self.is_publisher(client) {
            self.shared.fail(describe);
            self.shared.leave(number);
            self.inbox.checker.leave(client);
        }
        self.leave(client);
        if let Client::Leaving { is_broken } = &mut self.clients[client] {
            *is_broken = true;
        }
    }

    /// Ends a connection in order.
    fn leave(&mut self, client: usize) {
        if let Client::Open(_) = &self.clients[client] {
            self.open -= 1;
            if self.shared.plan.mix.is_some() && !self.is_slow(client) {
                self.inbox.checker.part(client);
            }
            if self.transport.finish(client) {
                self.gone(client);
            } else {
                self.leaving += 1;
                self.clients[client] = Client::Leaving { is_broken: false };
            }
        }
    }

    /// Nothing is left of a client's connection.
    fn gone(&mut self, client: usize) {
        self.clients[client] = Client::Absent;
        if self.shared.plan.is_connect() || self.mix.wants(client) {
            self.absent.push(client);
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
                self.transport.wake(thread);
            }
        }
    }

    fn post(&self) {
        let counters = &self.shared.counters[self.number];
        let post = |counter: &AtomicU64, value: u64| counter.store(value, Ordering::Release);
        let open = self.open + self.leaving;
        post(&counters.open, open as u64);
        post(&counters.handshakes, self.traffic.opened);
        post(&counters.under_way, (open + self.connecting) as u64);
        post(&counters.roll_called, self.roll_called);
        post(&counters.settled, self.inbox.settled);
        post(&counters.measured, self.inbox.measured);
        if let Some(busy) = self.transport.busy() {
            post(&counters.busy_ns, u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
        }
        self.mix.post(counters);
        let hostile = self.hostile.as_ref().map_or(0, Hostile::waiting);
        post(&counters.hostile, hostile as u64);
        // Behind all else, so that nothing is published after it.
        post(&counters.draining, u64::from(self.is_drained));
    }
}
