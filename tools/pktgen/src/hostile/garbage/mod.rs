//! Requests, frames and packets that break the rules, one after the other: whether the server says
//! so as the rules have it.
//!
//! Everything comes from a seed. A client connects, does one thing that is wrong, looks at the
//! answer, and begins anew.

mod frames;
mod packets;
mod requests;

use fastrand::Rng;
use httparse::{EMPTY_HEADER, Response};

use self::frames::BadFrame;
use self::requests::BadRequest;
use super::crowd::Crowd;
use super::findings::{Findings, GarbageFindings};
use super::synflood::due;
use crate::check::{Offence, Offences};
use crate::frames::{FrameReader, Incoming, Spares};
use crate::outgoing::{Encoder, Opcode};
use crate::plan::Plan;
use crate::shared::Shared;
use crate::transport::{Event, StrayAnswers, Stream, Transport};
use crate::upgrade::{Request, Upgrade};

/// Packets before the others get their turn.
const PACKETS_PER_TURN: u64 = 64;
/// Room for what the others publish.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Of an answer to a bad request, no more is looked at.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// A client that was not let in waits for so long.
const PAUSE_NS: u64 = 100_000_000;
/// Frames ahead of this ping are as they should be, and so is it.
const PING: &[u8] = b"is anybody there?";

/// What a client does wrong.
#[derive(Clone, Copy, Debug)]
enum Probe {
    Request(BadRequest),
    Frame(BadFrame),
    /// Segments beside the right ones.
    Segments,
}

/// Each but the first waits for something, and is due when its patience ends.
#[derive(Debug)]
enum Client {
    /// It waits to connect; or it was not let in, and is due when it may try again.
    Absent,
    Connecting(Probe),
    /// For the answer to a bad request.
    Requested(BadRequest, Vec<u8>),
    /// For the answer to a good one.
    Upgrading(Probe, Box<Upgrade>),
    /// For the Close, or the pong.
    Probed(Probe, Box<FrameReader>),
}

/// What the server made of it.
enum Verdict {
    Right,
    /// By a close of the connection, where an answer was due or that.
    Closed,
    Wrong(String),
    /// It has no place for this client.
    NotLetIn,
}

#[derive(Debug)]
pub(super) struct Garbage {
    random: Rng,
    path: String,
    target: String,
    request: Request,
    packets_per_s: f64,
    packets_began_ns: Option<u64>,
    answers: StrayAnswers,
    /// The number of the first client in the run, and the distance to the next one.
    numbering: (usize, usize),
    crowd: Crowd,
    clients: Vec<Client>,
    encoder: Encoder,
    spares: Spares,
    wire: Vec<u8>,
    findings: GarbageFindings,
    offences: Offences,
}

impl Garbage {
    pub(super) fn new(plan: &Plan, thread: usize, seed: u64, packets_per_s: f64) -> Self {
        let crowd = Crowd::new(plan, thread);
        // Each thread has a sequence of its own, the first one that of the seed.
        let own_seed = seed.wrapping_add((thread as u64) << 32);
        Self {
            random: Rng::with_seed(own_seed),
            path: plan.path.clone(),
            target: plan.target.clone(),
            request: Request::new(plan),
            packets_per_s,
            packets_began_ns: None,
            answers: StrayAnswers::default(),
            numbering: (thread + crowd.place(0) * plan.threads, plan.threads),
            clients: (0..crowd.len()).map(|_| Client::Absent).collect(),
            crowd,
            encoder: Encoder::new(),
            spares: Spares::default(),
            wire: Vec::new(),
            findings: GarbageFindings::default(),
            offences: Offences::default(),
        }
    }

    pub(super) fn next_ns(&mut self) -> Option<u64> {
        if self.packets_per_s > 0.0 { Some(0) } else { self.crowd.next_ns() }
    }

    /// Clients that wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.clients.iter().filter(|client| !matches!(client, Client::Absent)).count()
    }

    /// Does what is due; only where `goes_on`, something new.
    pub(super) fn turn<T: Transport>(&mut self, transport: &mut T, shared: &Shared, goes_on: bool) {
        let now_ns = shared.now_ns();
        while let Some(client) = self.crowd.due(now_ns) {
            let late = || Verdict::Wrong(format!("no answer within {:?}", shared.plan.timeout));
            match self.clients[client] {
                Client::Absent => self.crowd.queue(client),
                Client::Connecting(_) => self.not_let_in(client, transport, now_ns),
                Client::Upgrading(..) => self.judge(client, Verdict::NotLetIn, transport, now_ns),
                Client::Requested(..) | Client::Probed(..) => {
                    self.judge(client, late(), transport, now_ns);
                }
            }
        }
        if !goes_on {
            return;
        }
        while let Some(client) = self.crowd.next_to_connect(now_ns) {
            self.clients[client] = Client::Connecting(self.next_probe(transport.raw().is_some()));
            if transport.connect(self.crowd.place(client)).is_err() {
                self.not_let_in(client, transport, now_ns);
            }
        }
        self.send_packets(transport, now_ns);
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
        match (event, &self.clients[client]) {
            (Event::Connected(_), Client::Connecting(probe)) => {
                let probe = *probe;
                self.crowd.has_connected();
                self.begin(client, probe, transport, now_ns);
            }
            (Event::Readable(_), _) => self.read(client, transport, now_ns),
            (Event::Ended(..), _) => self.ended(client, transport, now_ns),
            _ => {}
        }
    }

    /// The run is over.
    pub(super) fn end<T: Transport>(&mut self, transport: &mut T) {
        if let Some(raw) = transport.raw() {
            self.answers = raw.answers();
        }
        self.clients.fill_with(|| Client::Absent);
        self.crowd.end(transport);
    }

    pub(super) fn finish<T: Transport>(mut self, transport: &mut T) -> (Findings, Offences) {
        self.end(transport);
        let StrayAnswers { syn_acks, resets } = self.answers;
        (self.findings.syn_acks, self.findings.resets) = (syn_acks, resets);
        (Findings::Garbage(self.findings), self.offences)
    }

    fn next_probe(&mut self, has_segments: bool) -> Probe {
        let random = &mut self.random;
        match random.u8(if has_segments { 0..10 } else { 0..8 }) {
            0..4 => Probe::Request(pick(random, BadRequest::ALL)),
            4..8 => Probe::Frame(pick(random, BadFrame::ALL)),
            _ => Probe::Segments,
        }
    }

    /// The client is connected.
    fn begin<T: Transport>(&mut self, client: usize, probe: Probe, transport: &mut T, now_ns: u64) {
        self.wire.clear();
        self.clients[client] = match probe {
            Probe::Request(bad) => {
                bad.write(&mut self.random, &self.path, &self.target, &mut self.wire);
                Client::Requested(bad, Vec::new())
            }
            Probe::Frame(_) | Probe::Segments => {
                let upgrade = Upgrade::ask(&self.request, &mut self.wire);
                Client::Upgrading(probe, Box::new(upgrade))
            }
        };
        self.crowd.wait(client, now_ns);
        self.send_wire(client, transport, now_ns);
    }

    fn read<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        let place = self.crowd.place(client);
        let mut verdict = None;
        let stream = match &mut self.clients[client] {
            Client::Absent => {
                transport.read(place, |_, _| {});
                return;
            }
            // What is readable was so in a connection before.
            Client::Connecting(_) => {
                transport.read(place, |_, _| {});
                return;
            }
            Client::Requested(_, received) => {
                let stream = transport.read(place, |bytes, _| {
                    if received.len() < ANSWER_BYTES_MAX {
                        received.extend_from_slice(bytes);
                    }
                });
                verdict = of_answer(received);
                stream
            }
            Client::Upgrading(_, upgrade) => transport.read(place, |bytes, _| upgrade.take(bytes)),
            Client::Probed(probe, reader) => {
                let (probe, spares) = (*probe, &mut self.spares);
                transport.read(place, |bytes, _| {
                    if verdict.is_none() {
                        verdict = of_frames(probe, reader, bytes, spares);
                    }
                })
            }
        };
        if let Client::Upgrading(..) = self.clients[client] {
            self.advance(client, transport, now_ns);
        }
        if let Some(verdict) = verdict {
            self.judge(client, verdict, transport, now_ns);
        } else if stream != Stream::Open {
            self.ended(client, transport, now_ns);
        }
    }

    /// Goes on with an upgrade, of whose answer something has come.
    fn advance<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        let state = std::mem::replace(&mut self.clients[client], Client::Absent);
        let Client::Upgrading(probe, upgrade) = state else { return };
        let tail = match upgrade.tail() {
            Ok(Some(tail)) => tail,
            Ok(None) => {
                self.clients[client] = Client::Upgrading(probe, upgrade);
                return;
            }
            Err(_) => {
                self.clients[client] = Client::Upgrading(probe, upgrade);
                return self.judge(client, Verdict::NotLetIn, transport, now_ns);
            }
        };
        let mut reader = Box::<FrameReader>::default();
        // Nothing wrong was done yet: what came with the answer are messages of the others.
        let early = reader.read(tail, MESSAGE_BYTES_MAX, &mut self.spares, |_| {});
        self.clients[client] = Client::Probed(probe, reader);
        if let Err(fault) = early {
            let verdict = Verdict::Wrong(format!("the server broke the rules: {fault}"));
            return self.judge(client, verdict, transport, now_ns);
        }
        self.wire.clear();
        match probe {
            Probe::Request(_) => {}
            Probe::Frame(bad) => bad.write(&mut self.random, &mut self.wire),
            Probe::Segments => {
                self.encoder.frame(&mut self.wire, Opcode::Ping, PING);
                self.send_segments(client, transport);
            }
        }
        self.crowd.wait(client, now_ns);
        self.send_wire(client, transport, now_ns);
    }

    /// Sends bad segments beside a connection, and the ping that follows in pieces that overlap.
    fn send_segments<T: Transport>(&mut self, client: usize, transport: &mut T) {
        let place = self.crowd.place(client);
        let Some(raw) = transport.raw() else { return };
        let Some(position) = raw.position(place) else { return };
        let (random, route) = (&mut self.random, raw.route());
        for _ in 0..random.u8(1..8) {
            raw.send_frame(&packets::beside(random, &route, &position));
        }
        for piece in packets::overlapping(random, &route, &position, &self.wire) {
            raw.send_frame(&piece);
        }
    }

    fn send_wire<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        if transport.send(self.crowd.place(client), &self.wire).is_err() {
            self.ended(client, transport, now_ns);
        }
    }

    /// Sends packets of no connection, as many as are due.
    fn send_packets<T: Transport>(&mut self, transport: &mut T, now_ns: u64) {
        let Some(raw) = transport.raw().filter(|_| self.packets_per_s > 0.0) else { return };
        let began_ns = *self.packets_began_ns.get_or_insert(now_ns);
        let sent = self.findings.packets;
        let due = due(self.packets_per_s, now_ns - began_ns).saturating_sub(sent);
        let route = raw.route();
        for at in sent..sent + due.min(PACKETS_PER_TURN) {
            if raw.room() == 0 {
                return;
            }
            let packet = packets::stray(&mut self.random, &route, raw.stray(at));
            raw.send_frame(&packet);
            self.findings.packets += 1;
        }
    }

    /// The server has ended the connection.
    fn ended<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        let verdict = match &self.clients[client] {
            Client::Absent => return,
            Client::Connecting(_) => return self.not_let_in(client, transport, now_ns),
            Client::Requested(..) => Verdict::Closed,
            Client::Upgrading(..) => Verdict::NotLetIn,
            Client::Probed(..) => Verdict::Wrong("it ended without a Close".to_owned()),
        };
        self.judge(client, verdict, transport, now_ns);
    }

    /// The client has seen enough of this connection.
    fn judge<T: Transport>(
        &mut self,
        client: usize,
        verdict: Verdict,
        transport: &mut T,
        now_ns: u64,
    ) {
        let probe = match &self.clients[client] {
            Client::Absent | Client::Connecting(_) => return,
            Client::Requested(bad, _) => Probe::Request(*bad),
            Client::Upgrading(probe, _) | Client::Probed(probe, _) => *probe,
        };
        if let Verdict::NotLetIn = verdict {
            self.findings.refused += 1;
            self.leave(client, transport);
            return self.crowd.set(client, now_ns + PAUSE_NS);
        }
        let findings = &mut self.findings;
        let (is_right, is_closed) =
            (matches!(verdict, Verdict::Right), matches!(verdict, Verdict::Closed));
        match probe {
            Probe::Request(_) => {
                findings.requests += 1;
                findings.requests_answered += u64::from(is_right);
                findings.requests_closed += u64::from(is_closed);
            }
            Probe::Frame(_) => {
                findings.frames += 1;
                findings.frames_closed += u64::from(is_right);
            }
            Probe::Segments => {
                findings.segments += 1;
                findings.segments_survived += u64::from(is_right);
            }
        }
        if let Verdict::Wrong(how) = verdict {
            let number = self.numbering.0 + client * self.numbering.1;
            self.offences.add(Offence::WrongAnswer, 1, || {
                format!("client {number}: {}: {how}", probe.name())
            });
        }
        self.leave(client, transport);
        self.crowd.queue(client);
    }

    fn not_let_in<T: Transport>(&mut self, client: usize, transport: &mut T, now_ns: u64) {
        self.crowd.has_connected();
        self.findings.refused += 1;
        self.leave(client, transport);
        self.crowd.set(client, now_ns + PAUSE_NS);
    }

    /// Whoever is the first, no TIME-WAIT is left here.
    fn leave<T: Transport>(&mut self, client: usize, transport: &mut T) {
        transport.reset(self.crowd.place(client));
        self.clients[client] = Client::Absent;
    }
}

impl Probe {
    fn name(self) -> &'static str {
        match self {
            Self::Request(bad) => bad.name(),
            Self::Frame(bad) => bad.name(),
            Self::Segments => "bad segments beside a connection (RFC 9293 section 3.10.7.4)",
        }
    }
}

/// What an answer to a bad request says, once that is clear.
fn of_answer(received: &[u8]) -> Option<Verdict> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut answer = Response::new(&mut headers);
    if let Err(error) = answer.parse(received) {
        return Some(Verdict::Wrong(format!("the answer is not HTTP: {error}")));
    }
    // The status is known before the rest is there.
    Some(match answer.code? {
        // Too many clients, and no word about the request.
        503 => Verdict::NotLetIn,
        status if BadRequest::is_refused_by(status) => Verdict::Right,
        status => Verdict::Wrong(format!("answered with {status}")),
    })
}

/// What frames of the server say, if they say anything about what was wrong.
fn of_frames(
    probe: Probe,
    reader: &mut FrameReader,
    bytes: &[u8],
    spares: &mut Spares,
) -> Option<Verdict> {
    let mut verdict = None;
    let read = reader.read(bytes, MESSAGE_BYTES_MAX, spares, |incoming| match (probe, incoming) {
        (Probe::Segments, Incoming::Pong) => verdict = Some(Verdict::Right),
        (_, Incoming::Close(code)) => verdict = Some(of_close(probe, code)),
        // Those of the others, and what a good ping was answered with.
        _ => {}
    });
    match (verdict, read) {
        (None, Err(fault)) => Some(Verdict::Wrong(format!("the server broke the rules: {fault}"))),
        (verdict, _) => verdict,
    }
}

fn of_close(probe: Probe, code: Option<u16>) -> Verdict {
    let codes = if let Probe::Frame(bad) = probe { bad.codes() } else { &[] };
    let Some(code) = code else {
        return Verdict::Wrong("a Close without a code".to_owned());
    };
    if codes.contains(&code) {
        return Verdict::Right;
    }
    let expected: Vec<String> = codes.iter().map(u16::to_string).collect();
    let expected = if expected.is_empty() { "none".to_owned() } else { expected.join(" or ") };
    Verdict::Wrong(format!("Close {code}, expected {expected}"))
}

/// One of them.
fn pick<T: Copy, const N: usize>(random: &mut Rng, of: [T; N]) -> T {
    of[random.usize(..N)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_their_status_as_soon_as_it_is_there() {
        let is = |answer: &[u8]| match of_answer(answer) {
            None => "unclear",
            Some(Verdict::Right) => "right",
            Some(Verdict::Closed) => "closed",
            Some(Verdict::Wrong(_)) => "wrong",
            Some(Verdict::NotLetIn) => "not let in",
        };
        assert_eq!(is(b""), "unclear");
        assert_eq!(is(b"HTTP/1.1 4"), "unclear");
        assert_eq!(is(b"HTTP/1.1 400 Bad Request\r\nContent-"), "right");
        assert_eq!(is(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "wrong");
        assert_eq!(is(b"HTTP/1.1 503 Busy\r\n\r\n"), "not let in");
        assert_eq!(is(b"SSH-2.0-OpenSSH_9.2\r\n"), "wrong");
    }

    #[test]
    fn a_close_is_judged_by_its_code() {
        let probe = Probe::Frame(BadFrame::TextNoUtf8);
        assert!(matches!(of_close(probe, Some(1007)), Verdict::Right));
        for code in [None, Some(1000), Some(1002)] {
            assert!(matches!(of_close(probe, code), Verdict::Wrong(_)), "{code:?}");
        }
        assert!(matches!(of_close(Probe::Segments, Some(1002)), Verdict::Wrong(_)));
    }
}
