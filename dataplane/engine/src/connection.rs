//! One connection above the seam: HTTP requests, then a WebSocket session, then the end.
//!
//! Bytes, deadlines and ends of stream go in; [`Effect`]s come out, which the worker carries out
//! in order. Nothing here touches a socket or reads a clock.

use std::cell::Cell;
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hioload_net::FlowId;
use hioload_protocol::http::{Method, Refusal, Request, RequestReader, negotiate, response};
use hioload_protocol::proxy::ProxyReader;
use hioload_protocol::ws::{CloseCode, TcpClose};
use tracing::{debug, error};

use crate::client_address::Addresses;
use crate::connection_log::EndedSession;
use crate::context::Context;
use crate::drain::Intake;
use crate::handler::{Handler, HandlerError, UpgradeRequest};
use crate::moment::Moment;
use crate::open_session::OpenSession;
use crate::outbox::Effect;
use crate::session::{Session, SessionId};
use crate::site::{GetRequest, Route, compute};
use crate::{PathIndex, WorkerId};

pub(crate) struct Connection {
    flow: FlowId,
    stage: Stage,
    /// When [`expire`](Self::expire) is to be called.
    pub(crate) deadline: Moment,
    /// The earliest entry that the timers hold for this connection.
    pub(crate) armed: Moment,
    /// The deadline has passed while something had come and was not read.
    pub(crate) overdue: bool,
    /// The peer has ended its direction.
    peer_ended: bool,
    /// The end of our direction is in the flow's queue.
    pub(crate) finishing: bool,
    /// It has been a WebSocket session, perhaps still is.
    upgraded: bool,
    /// Bytes that have come.
    pub(crate) bytes_received: u64,
}

enum Stage {
    /// Waiting for the PROXY header ahead of everything else.
    Header { peer: SocketAddr, reader: ProxyReader },
    /// Waiting for an HTTP request, the first or the next.
    Request { addresses: Addresses, reader: RequestReader, answered: u8 },
    /// The session knows its peer.
    Open(OpenSession),
    /// Nothing more is served; what is queued is sent and the peer's end awaited.
    Lingering {
        addresses: Addresses,
        /// The session that this was.
        session: Option<Box<EndedSession>>,
    },
}

impl Stage {
    fn first_request(addresses: Addresses) -> Self {
        Self::Request { addresses, reader: RequestReader::new(), answered: 0 }
    }
}

/// Requests answered on one connection before it is closed. Bounds what one read can ask for.
const REQUESTS_MAX: u8 = 100;

impl Connection {
    pub(crate) fn new<H>(flow: FlowId, peer: SocketAddr, cx: &Context<H>) -> Self {
        let stage = if cx.settings.clients.expects_header(peer) {
            Stage::Header { peer, reader: ProxyReader::new() }
        } else {
            Stage::first_request(Addresses::new(peer, None))
        };
        Self {
            flow,
            stage,
            deadline: cx.after(cx.settings.handshake_timeout),
            armed: Moment::NEVER,
            overdue: false,
            peer_ended: false,
            finishing: false,
            upgraded: false,
            bytes_received: 0,
        }
    }

    /// Address and port of the other side.
    pub(crate) fn peer(&self) -> SocketAddr {
        match &self.stage {
            Stage::Header { peer, .. } => *peer,
            Stage::Request { addresses, .. } | Stage::Lingering { addresses, .. } => {
                addresses.peer()
            }
            Stage::Open(open) => open.addresses().peer(),
        }
    }

    /// Address and port of the client, which may be behind the other side.
    pub(crate) fn client(&self) -> SocketAddr {
        match &self.stage {
            Stage::Header { peer, .. } => *peer,
            Stage::Request { addresses, .. } | Stage::Lingering { addresses, .. } => {
                addresses.client()
            }
            Stage::Open(open) => open.addresses().client(),
        }
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_due<H>(&self, cx: &Context<H>) -> bool {
        self.deadline <= cx.epoch.moment(cx.now)
    }

    /// Whether a session is open, perhaps closing.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// The session, if it is the one that `id` names.
    pub(crate) fn session(&self, id: SessionId) -> Option<&OpenSession> {
        match &self.stage {
            Stage::Open(open) if open.id() == id => Some(open),
            _ => None,
        }
    }

    /// Whether this is the session that `id` names, and not closing from our side.
    pub(crate) fn may_send_to(&self, id: SessionId) -> bool {
        self.session(id).is_some_and(|open| open.close.may_send())
    }

    /// Whether this was a session at any time.
    pub(crate) fn was_upgraded(&self) -> bool {
        self.upgraded
    }

    /// The session that this was, unless it is still one.
    pub(crate) fn ended_session(&self) -> Option<&EndedSession> {
        match &self.stage {
            Stage::Lingering { session, .. } => session.as_deref(),
            Stage::Header { .. } | Stage::Request { .. } | Stage::Open(_) => None,
        }
    }

    /// Whether both directions have ended, as soon as the queue is empty.
    pub(crate) fn is_over(&self) -> bool {
        self.finishing && self.peer_ended
    }

    /// Bytes have come.
    pub(crate) fn receive<H: Handler>(&mut self, bytes: &mut [u8], cx: &mut Context<H>) {
        self.bytes_received += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.stage {
                Stage::Header { .. } => {
                    let consumed = self.receive_header(rest, cx);
                    rest = &mut mem::take(&mut rest)[consumed..];
                }
                Stage::Request { .. } => {
                    let consumed = self.receive_request(rest, cx);
                    rest = &mut mem::take(&mut rest)[consumed..];
                }
                Stage::Open(open) => {
                    open.receive(self.flow, rest, cx);
                    self.after_session_step(cx);
                    return;
                }
                Stage::Lingering { .. } => return,
            }
        }
    }

    /// The peer has ended its direction: no more bytes come.
    pub(crate) fn end<H: Handler>(&mut self, cx: &mut Context<H>) {
        self.peer_ended = true;
        match &mut self.stage {
            // Answers that are queued are still sent to a client that has shut down its side.
            Stage::Header { .. } | Stage::Request { .. } => self.linger(cx),
            Stage::Open(open) => {
                open.end(cx);
                cx.effects.push(Effect::Leave);
                self.linger(cx);
            }
            Stage::Lingering { .. } => {}
        }
    }

    /// The connection is lost or given up; nothing can be sent.
    pub(crate) fn lose<H: Handler>(&mut self, cx: &mut Context<H>) {
        if let Stage::Open(open) = &mut self.stage {
            open.end(cx);
        }
        self.stop_serving();
    }

    /// The deadline has passed.
    pub(crate) fn expire<H: Handler>(&mut self, cx: &mut Context<H>) {
        match &mut self.stage {
            // A browser that has its page and keeps its connection is not late.
            Stage::Request { reader, answered: 1.., .. } if reader.is_empty() => self.linger(cx),
            Stage::Request { reader, .. } => {
                let is_silent = reader.is_empty();
                self.time_out(is_silent, cx);
            }
            Stage::Header { reader, .. } => {
                let is_silent = reader.is_empty();
                self.time_out(is_silent, cx);
            }
            Stage::Open(open) => {
                if open.expire(cx) {
                    self.deadline = cx.after(cx.settings.pong_timeout);
                } else {
                    cx.effects.push(Effect::Abandon);
                }
            }
            Stage::Lingering { .. } => cx.effects.push(Effect::Abandon),
        }
    }

    /// The request, or what comes ahead of it, did not come in time.
    fn time_out<H: Handler>(&mut self, is_silent: bool, cx: &mut Context<H>) {
        cx.counters.handshake_timeouts.add(1);
        if is_silent {
            self.linger(cx);
        } else {
            let refusal = Refusal::new(408, "the request did not come in time").closing();
            self.refuse(&refusal, false, false, cx);
        }
    }

    /// Starts the end from our side, unless it has begun: a session gets a Close behind what is
    /// queued for it, and has until `deadline` to answer.
    pub(crate) fn close<H: Handler>(
        &mut self,
        code: CloseCode,
        reason: &str,
        deadline: Instant,
        cx: &mut Context<H>,
    ) {
        match &mut self.stage {
            Stage::Header { .. } | Stage::Request { .. } => {
                // Nothing is due from a client between requests, and browsers keep such
                // connections for long after our end.
                self.peer_ended = true;
                self.linger(cx);
            }
            Stage::Open(open) if open.close.may_send() => {
                open.send_close(code, reason, cx);
                self.deadline = cx.epoch.moment(deadline);
            }
            // The end has begun, and has its deadline.
            Stage::Open(_) | Stage::Lingering { .. } => {}
        }
    }

    /// Takes what belongs to the PROXY header and says how many bytes it was.
    fn receive_header<H: Handler>(&mut self, bytes: &[u8], cx: &mut Context<H>) -> usize {
        let Stage::Header { reader, .. } = &mut self.stage else { return bytes.len() };
        match reader.read(bytes, cx.settings.request_limits.head_bytes_max) {
            Ok((consumed, None)) => consumed,
            Ok((consumed, Some(header))) => {
                self.stage = Stage::first_request(Addresses::new(self.peer(), header.client()));
                consumed
            }
            Err(refusal) => {
                cx.counters.client_address_refusals.add(1);
                self.refuse(&refusal, false, false, cx);
                bytes.len()
            }
        }
    }

    /// Takes one request at most and says how many bytes it was.
    fn receive_request<H: Handler>(&mut self, bytes: &[u8], cx: &mut Context<H>) -> usize {
        let Stage::Request { reader, .. } = &mut self.stage else { return bytes.len() };
        match reader.read(bytes, &cx.settings.request_limits) {
            Ok((consumed, None)) => consumed,
            Ok((consumed, Some(request))) => {
                self.serve(&request, cx);
                consumed
            }
            Err(refusal) => {
                let is_proxy_header = refusal == Refusal::proxy_header();
                cx.counters.client_address_refusals.add(is_proxy_header.into());
                self.refuse(&refusal, false, false, cx);
                bytes.len()
            }
        }
    }

    fn serve<H: Handler>(&mut self, request: &Request, cx: &mut Context<H>) {
        let head_only = request.method() == Method::Head;
        let answered = match &mut self.stage {
            Stage::Request { answered, .. } => {
                *answered += 1;
                *answered
            }
            Stage::Header { .. } | Stage::Open(_) | Stage::Lingering { .. } => return,
        };
        self.deadline = cx.after(cx.settings.handshake_timeout);
        let keep_alive = request.keep_alive() && answered < REQUESTS_MAX;
        let outcome = if cx.intake != Intake::Open {
            Err(Refusal::unavailable("the server is shutting down", 1))
        } else if let Err(refusal) = self.identify(request, cx) {
            Err(refusal)
        } else if let Some(path) = cx.site.websocket_index(request.path()) {
            self.upgrade(request, path, cx)
        } else {
            self.answer(request, keep_alive, cx)
        };
        if let Err(refusal) = outcome {
            self.refuse(&refusal, head_only, keep_alive, cx);
        }
    }

    /// Learns from a request whom it is for, where requests say so.
    fn identify<H>(&mut self, request: &Request, cx: &Context<H>) -> Result<(), Refusal> {
        if cx.settings.clients.are_in_requests() {
            let client = cx.settings.clients.of_request(request, self.peer());
            let client = client.inspect_err(|_| cx.counters.client_address_refusals.add(1))?;
            let told = Addresses::new(self.peer(), client);
            if let Stage::Request { addresses, .. } = &mut self.stage {
                *addresses = told;
            }
        }
        Ok(())
    }

    fn upgrade<H: Handler>(
        &mut self,
        request: &Request,
        path: PathIndex,
        cx: &mut Context<H>,
    ) -> Result<(), Refusal> {
        let upgrade = negotiate(request, &cx.settings.upgrade_policy)?;
        let (peer, client) = (self.peer(), self.client());
        cx.admission.enter(client.ip(), cx.now).map_err(|limit| limit.refuse(&cx.counters))?;
        let worker = WorkerId(cx.worker);
        let panicked = Cell::new(false);
        let asked = UpgradeRequest { request, peer, client, worker, path, panicked };
        let decided = cx.handler.on_upgrade(&asked);
        if asked.panicked.get() {
            cx.counters.handler_panics.add(1);
        }
        let accept = decided.inspect_err(|_| cx.admission.leave(client.ip()))?;
        cx.effects.push(Effect::Respond(response::switching_protocols(&upgrade, &mut cx.pool)));
        cx.effects.push(Effect::Join);
        let session = Session {
            id: SessionId::new(cx.worker, cx.next_session),
            addresses: Addresses::new(peer, Some(client)),
            subprotocol: upgrade.subprotocol().map(Box::from),
            data: accept.data,
            path,
        };
        cx.next_session += 1;
        cx.counters.sessions_opened.add(1);
        cx.registry.insert(session.id, self.flow);
        cx.rates.open(self.flow);
        let mut open = OpenSession::new(session, cx.after(Duration::ZERO));
        open.call(cx, H::on_open);
        self.stage = Stage::Open(open);
        self.upgraded = true;
        self.after_session_step(cx);
        Ok(())
    }

    /// Moves the deadline, or the whole connection, to where the session has got to.
    fn after_session_step<H: Handler>(&mut self, cx: &mut Context<H>) {
        let Stage::Open(open) = &mut self.stage else { return };
        match open.close.tcp_close() {
            // Something was heard just now.
            TcpClose::NotYet => {
                let interval = cx.settings.ping_interval;
                self.deadline = interval.map_or(Moment::NEVER, |interval| cx.after(interval));
            }
            TcpClose::OncePeerAnswers => {
                if !open.close_timed {
                    open.close_timed = true;
                    self.deadline = cx.after(cx.settings.close_timeout);
                }
            }
            TcpClose::OnceFlushed => {
                // RFC 6455 section 7.1.1: after both Closes the server is the first to close. One
                // that broke the protocol may still be sending; its end is awaited.
                self.peer_ended |= open.close.has_received();
                open.end(cx);
                self.linger(cx);
            }
        }
    }

    fn answer<H: Handler>(
        &mut self,
        request: &Request,
        keep_alive: bool,
        cx: &mut Context<H>,
    ) -> Result<(), Refusal> {
        let Some(route) = cx.site.get(request.path()) else {
            return Err(Refusal::new(404, "there is nothing at this path"));
        };
        if request.method() == Method::Other {
            return Err(Refusal::method_not_allowed("GET, HEAD"));
        }
        let frame = match route {
            Route::Page(page) => response::answer(page, request, keep_alive, &mut cx.pool),
            Route::Computed(answer) => {
                let asked = GetRequest {
                    request,
                    peer: self.peer(),
                    client: self.client(),
                    worker: WorkerId(cx.worker),
                };
                let answered = compute(&**answer, &asked).unwrap_or_else(|panic| {
                    let error = HandlerError::from_panic(&*panic);
                    error!(client = %self.client(), path = request.path(), %error, "no answer");
                    cx.counters.http_panics.add(1);
                    Err(Refusal::new(500, "the server failed on this request"))
                });
                response::answer(&answered?, request, keep_alive, &mut cx.pool)
            }
        };
        cx.counters.http_requests.add(1);
        cx.effects.push(Effect::Respond(frame));
        if !keep_alive {
            self.linger(cx);
        }
        Ok(())
    }

    fn refuse<H: Handler>(
        &mut self,
        refusal: &Refusal,
        head_only: bool,
        keep_alive: bool,
        cx: &mut Context<H>,
    ) {
        debug!(client = %self.client(), status = refusal.status(), why = refusal.detail(), "refused");
        cx.counters.http_refusals.add(1);
        let keep_alive = keep_alive && !refusal.must_close();
        let frame = response::refusal(refusal, head_only, keep_alive, &mut cx.pool);
        cx.effects.push(Effect::Respond(frame));
        if !keep_alive {
            self.linger(cx);
        }
    }

    /// Ends our direction behind what is queued, and waits for the peer to end its own: closing
    /// at once would reset the connection under bytes that are still on their way to the peer.
    fn linger<H: Handler>(&mut self, cx: &mut Context<H>) {
        self.stop_serving();
        self.deadline = cx.after(cx.settings.close_timeout);
        cx.effects.push(Effect::Finish);
    }

    /// Keeps of a session what the log wants to know.
    fn stop_serving(&mut self) {
        let addresses = Addresses::new(self.peer(), Some(self.client()));
        let session = match &mut self.stage {
            Stage::Open(open) => Some(Box::new(open.summary())),
            Stage::Lingering { session, .. } => session.take(),
            Stage::Header { .. } | Stage::Request { .. } => None,
        };
        self.stage = Stage::Lingering { addresses, session };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a session adds in all is counted by the test `idle_memory`; most of it is this.
    #[test]
    fn a_connection_takes_little_more_than_two_cache_lines() {
        let most = 152;
        assert!(
            size_of::<Connection>() <= most,
            "{} bytes, of which {} are an open session; what few sessions need belongs into a box",
            size_of::<Connection>(),
            size_of::<OpenSession>(),
        );
    }
}
