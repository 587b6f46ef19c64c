//! Requests that never end: a byte or a line of the head now and then. Each takes a connection of
//! the server for as long as that waits for the end.

use std::time::Duration;

use super::Piece;
use super::crowd::{Crowd, nanoseconds};
use super::findings::{Findings, SlowlorisFindings};
use crate::check::{Offence, Offences};
use crate::plan::Plan;
use crate::shared::Shared;
use crate::transport::{Event, Stream, Transport};

/// What the head goes on with for ever.
const FILLER: &[u8] = b"X-Wait: a little longer\r\n";

#[derive(Debug)]
pub(super) struct Slowloris {
    interval_ns: u64,
    piece: Piece,
    expect_within: Option<Duration>,
    /// The head up to the first filler, and a filler.
    head: Vec<u8>,
    head_len: usize,
    /// The number of the first client in the run, and the distance to the next one.
    numbering: (usize, usize),
    crowd: Crowd,
    clients: Vec<Client>,
    findings: SlowlorisFindings,
    offences: Offences,
}

#[derive(Clone, Copy, Debug)]
enum Client {
    /// It is due when it may connect again.
    Absent,
    /// It is due when it has waited for too long.
    Connecting,
    /// It is due when it sends the next piece, from `at` on, or when the server should have thrown
    /// it out by then.
    Open { since_ns: u64, next_ns: u64, at: usize },
}

impl Slowloris {
    pub(super) fn new(
        plan: &Plan,
        thread: usize,
        interval: Duration,
        piece: Piece,
        expect_within: Option<Duration>,
    ) -> Self {
        let crowd = Crowd::new(plan, thread);
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\n",
            plan.path, plan.target
        )
        .into_bytes();
        let head_len = head.len();
        head.extend_from_slice(FILLER);
        Self {
            interval_ns: nanoseconds(interval),
            piece,
            expect_within,
            head,
            head_len,
            numbering: (thread + crowd.place(0) * plan.threads, plan.threads),
            clients: vec![Client::Absent; crowd.len()],
            crowd,
            findings: SlowlorisFindings::default(),
            offences: Offences::default(),
        }
    }

    pub(super) fn next_ns(&mut self) -> Option<u64> {
        self.crowd.next_ns()
    }

    /// Connects those that may, and sends what is due.
    pub(super) fn turn<T: Transport>(&mut self, transport: &mut T, shared: &Shared) {
        let now_ns = shared.now_ns();
        while let Some(client) = self.crowd.due(now_ns) {
            match self.clients[client] {
                Client::Absent => self.crowd.queue(client),
                Client::Connecting => self.refused(client, transport, now_ns),
                Client::Open { since_ns, .. } if self.is_overdue(since_ns, now_ns) => {
                    let (within, number) = (self.expect_within, self.number(client));
                    self.offences.add(Offence::Overstayed, 1, || {
                        format!(
                            "client {number}: still there after {:?} without a whole request",
                            within.unwrap_or_default()
                        )
                    });
                    self.begin_anew(client, transport, now_ns);
                }
                Client::Open { next_ns, .. } if next_ns <= now_ns => {
                    self.send_piece(client, transport, now_ns);
                }
                Client::Open { since_ns, next_ns, .. } => {
                    self.crowd.set(client, self.next_look(since_ns, next_ns));
                }
            }
        }
        while let Some(client) = self.crowd.next_to_connect(now_ns) {
            self.clients[client] = Client::Connecting;
            if transport.connect(self.crowd.place(client)).is_err() {
                self.refused(client, transport, now_ns);
            }
        }
    }

    pub(super) fn serve<T: Transport>(
        &mut self,
        event: &Event,
        transport: &mut T,
        shared: &Shared,
    ) {
        let Some(place) = event.client() else { return };
        let client = self.crowd.client(place);
        let now_ns = shared.now_ns();
        match (event, self.clients[client]) {
            (Event::Connected(_), Client::Connecting) => {
                self.crowd.has_connected();
                self.findings.connections += 1;
                self.clients[client] = Client::Open { since_ns: now_ns, next_ns: now_ns, at: 0 };
                self.send_piece(client, transport, now_ns);
            }
            (Event::Ended(..), Client::Connecting) => self.refused(client, transport, now_ns),
            (Event::Ended(..), Client::Open { .. }) => {
                self.thrown_out(client, false, transport, now_ns);
            }
            (Event::Readable(_), state) => {
                let mut has_answer = false;
                let stream = transport.read(place, |_, _| has_answer = true);
                let is_over = has_answer || stream != Stream::Open;
                if is_over && matches!(state, Client::Open { .. }) {
                    self.thrown_out(client, has_answer, transport, now_ns);
                }
            }
            _ => {}
        }
    }

    /// The run is over: those that are still there were not thrown out.
    pub(super) fn end<T: Transport>(&mut self, transport: &mut T) {
        let held = self.clients.iter().filter(|client| matches!(client, Client::Open { .. }));
        self.findings.held += held.count() as u64;
        self.clients.fill(Client::Absent);
        self.crowd.end(transport);
    }

    pub(super) fn finish<T: Transport>(mut self, transport: &mut T) -> (Findings, Offences) {
        self.end(transport);
        (Findings::Slowloris(Box::new(self.findings)), self.offences)
    }

    fn number(&self, client: usize) -> usize {
        self.numbering.0 + client * self.numbering.1
    }

    fn is_overdue(&self, since_ns: u64, now_ns: u64) -> bool {
        self.expect_within.is_some_and(|within| now_ns - since_ns >= nanoseconds(within))
    }

    /// When a client is to be looked at again.
    fn next_look(&self, since_ns: u64, next_ns: u64) -> u64 {
        let end_ns = self.expect_within.map(|within| since_ns.saturating_add(nanoseconds(within)));
        end_ns.map_or(next_ns, |end_ns| end_ns.min(next_ns))
    }

    fn send_piece<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        let Client::Open { since_ns, at, .. } = self.clients[client] else { return };
        let rest = &self.head[at..];
        let len = match self.piece {
            Piece::Byte => 1,
            Piece::Line => rest.iter().position(|byte| *byte == b'\n').map_or(1, |at| at + 1),
        };
        let sent = transport.send(self.crowd.place(client), &rest[..len]);
        if sent.is_err() {
            return self.thrown_out(client, false, transport, now_ns);
        }
        let at = if at + len < self.head.len() { at + len } else { self.head_len };
        let next_ns = now_ns.saturating_add(self.interval_ns);
        self.clients[client] = Client::Open { since_ns, next_ns, at };
        self.crowd.set(client, self.next_look(since_ns, next_ns));
    }

    fn thrown_out<T: Transport>(
        &mut self,
        client: usize,
        has_answer: bool,
        transport: &mut T,
        now_ns: u64,
    ) {
        let Client::Open { since_ns, .. } = self.clients[client] else { return };
        self.findings.thrown_out += 1;
        self.findings.answered += u64::from(has_answer);
        self.findings.after.record(now_ns - since_ns);
        self.begin_anew(client, transport, now_ns);
    }

    fn refused<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        self.crowd.has_connected();
        self.findings.refused += 1;
        self.begin_anew(client, transport, now_ns);
    }

    /// The client comes back before long.
    fn begin_anew<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        transport.reset(self.crowd.place(client));
        self.clients[client] = Client::Absent;
        self.crowd.set(client, now_ns.saturating_add(self.interval_ns));
    }
}
