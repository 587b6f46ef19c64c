//! A WebSocket session from its opening to its close handshake.

use std::mem;

use hioload_net::FlowId;
use hioload_protocol::ws::{
    Close, CloseCode, CloseHandshake, Decoded, Decoder, Event, Message, ProtocolError, encode,
};
use tracing::{debug, warn};

use crate::client_address::Addresses;
use crate::connection_log::EndedSession;
use crate::context::Context;
use crate::drain::Intake;
use crate::handler::{Handler, HandlerError};
use crate::moment::Moment;
use crate::outbox::{Effect, Outbox};
use crate::rate::Exceeded;
use crate::session::{Session, SessionId};

pub(crate) struct OpenSession {
    session: Session,
    decoder: Decoder,
    pub(crate) close: CloseHandshake,
    pub(crate) opened: Moment,
    pub(crate) messages_received: u64,
    ping: Ping,
    /// The wait for the peer's Close has begun.
    pub(crate) close_timed: bool,
}

/// Whether the peer was asked if it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ping {
    /// Not since something was heard.
    None,
    /// It may still answer.
    Sent,
    /// Its time is over.
    Unanswered,
}

impl OpenSession {
    pub(crate) fn new(session: Session, now: Moment) -> Self {
        Self {
            session,
            decoder: Decoder::new(),
            close: CloseHandshake::new(),
            opened: now,
            messages_received: 0,
            ping: Ping::None,
            close_timed: false,
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.session.id
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.session.addresses
    }

    pub(crate) fn receive<H: Handler>(
        &mut self,
        flow: FlowId,
        bytes: &mut [u8],
        cx: &mut Context<H>,
    ) {
        self.ping = Ping::None;
        let Self { session, decoder, close, messages_received, .. } = self;
        let unread_for = cx.now.saturating_duration_since(cx.unread_since);
        let mut rest = bytes;
        while !rest.is_empty() {
            let Decoded { consumed, outcome } =
                decoder.decode(rest, &cx.settings.decode_limits, &mut cx.pool);
            let is_message = matches!(outcome, Ok(Some(Event::Message(_))));
            // What comes behind our Close is ignored, and the wait for the peer's is bounded.
            if close.may_send()
                && let Err(exceeded) = cx.rates.take(flow, consumed, is_message, cx.now, unread_for)
            {
                return exceed(session, close, exceeded, cx);
            }
            match outcome {
                Ok(None) => {}
                Ok(Some(Event::Message(message))) => {
                    *messages_received += u64::from(take_message(session, close, message, cx));
                }
                Ok(Some(Event::Ping(payload))) if close.may_send() => {
                    cx.effects.push(Effect::Control(encode::pong(payload, &mut cx.pool)));
                }
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => {}
                Ok(Some(Event::Close(frame))) => take_close(close, &frame, cx),
                Err(error) => fail(session, close, error, cx),
            }
            rest = &mut mem::take(&mut rest)[consumed..];
        }
    }

    /// The wait is over: sends a ping and returns `true`, or `false` when the peer has missed its
    /// last chance.
    pub(crate) fn expire<H: Handler>(&mut self, cx: &mut Context<H>) -> bool {
        if self.close.has_sent() {
            cx.counters.close_timeouts.add(1);
            return false;
        }
        if self.ping != Ping::None {
            cx.counters.pong_timeouts.add(1);
            self.ping = Ping::Unanswered;
            return false;
        }
        self.ping = Ping::Sent;
        cx.counters.pings_sent.add(1);
        cx.effects.push(Effect::Control(encode::ping(b"", &mut cx.pool)));
        true
    }

    pub(crate) fn send_close<H>(&mut self, code: CloseCode, reason: &str, cx: &mut Context<H>) {
        send_close(&mut self.close, code, reason, cx);
        self.close_timed = true;
    }

    /// Runs a call of the handler that may fail.
    pub(crate) fn call<H: Handler>(
        &mut self,
        cx: &mut Context<H>,
        call: impl FnOnce(&H, &Session, &mut Outbox<'_>) -> Result<(), HandlerError>,
    ) {
        call_handler(&self.session, &mut self.close, cx, call);
    }

    /// Tells the handler that the session has ended.
    pub(crate) fn end<H: Handler>(&mut self, cx: &mut Context<H>) {
        cx.registry.remove(self.session.id);
        cx.admission.leave(self.session.client().ip());
        cx.counters.sessions_closed.add(1);
        let mut out = Outbox::new(&mut cx.pool, &mut cx.effects, true);
        cx.handler.on_close(&self.session, self.close.closed_with(), &mut out);
        if out.panicked {
            cx.counters.handler_panics.add(1);
        }
    }

    /// What the log says of the session, should it have ended.
    pub(crate) fn summary(&self) -> EndedSession {
        EndedSession {
            id: self.session.id,
            opened: self.opened,
            messages_received: self.messages_received,
            first_close: self.close.first(),
            answered: self.close.has_sent() && self.close.has_received(),
            pong_timed_out: self.ping == Ping::Unanswered,
        }
    }
}

/// Hands a message to the handler; `false` when it comes too late for that.
fn take_message<H: Handler>(
    session: &Session,
    close: &mut CloseHandshake,
    message: Message<'_>,
    cx: &mut Context<H>,
) -> bool {
    if cx.intake == Intake::Ended || !close.may_send() {
        cx.counters.messages_ignored.add(1);
        return false;
    }
    cx.counters.messages_received.add(1);
    cx.counters.message_bytes_received.add(message.len() as u64);
    call_handler(session, close, cx, |handler, session, out| {
        handler.on_message(session, message, out)
    });
    true
}

/// RFC 6455 section 5.5.1: a Close is answered with one of the same code.
fn take_close<H>(close: &mut CloseHandshake, frame: &Close<'_>, cx: &mut Context<H>) {
    if close.received(frame.code) {
        close.sent(frame.code);
        cx.effects.push(Effect::Close(encode::close(frame.code, "", &mut cx.pool)));
    }
}

/// RFC 6455 section 7.1.7: the peer broke the protocol, the connection fails.
fn fail<H>(
    session: &Session,
    close: &mut CloseHandshake,
    error: ProtocolError,
    cx: &mut Context<H>,
) {
    debug!(session = %session.id, %error, "closing the session for what the peer sent");
    match error {
        ProtocolError::MessageRefused => cx.counters.messages_refused.add(1),
        _ => cx.counters.protocol_errors.add(1),
    }
    if close.failed() {
        close.sent(Some(error.close_code()));
        let reason = error.reason();
        cx.effects.push(Effect::Close(encode::close(error.close_code(), reason, &mut cx.pool)));
    }
}

/// The peer sends faster than it may: it is told so, and no more of it is read.
fn exceed<H>(
    session: &Session,
    close: &mut CloseHandshake,
    exceeded: Exceeded,
    cx: &mut Context<H>,
) {
    debug!(session = %session.id, ?exceeded, "the peer sends too fast");
    match exceeded {
        Exceeded::Messages { .. } => cx.counters.limit_message_rate.add(1),
        Exceeded::Bytes { .. } => cx.counters.limit_byte_rate.add(1),
    }
    if close.failed() {
        let (code, reason) = (CloseCode::POLICY_VIOLATION, exceeded.reason());
        close.sent(Some(code));
        cx.effects.push(Effect::Close(encode::close(code, &reason, &mut cx.pool)));
    }
}

fn send_close<H>(close: &mut CloseHandshake, code: CloseCode, reason: &str, cx: &mut Context<H>) {
    if close.may_send() {
        close.sent(Some(code));
        cx.effects.push(Effect::Close(encode::close(code, reason, &mut cx.pool)));
    }
}

fn call_handler<H: Handler>(
    session: &Session,
    close: &mut CloseHandshake,
    cx: &mut Context<H>,
    call: impl FnOnce(&H, &Session, &mut Outbox<'_>) -> Result<(), HandlerError>,
) {
    let mut out = Outbox::new(&mut cx.pool, &mut cx.effects, !close.may_send());
    let result = call(&cx.handler, session, &mut out);
    if let Some(code) = out.closed_with() {
        close.sent(Some(code));
    }
    if let Err(error) = result {
        warn!(session = %session.id, %error, "handler failed; closing the session with 1011");
        cx.counters.handler_errors.add(1);
        if error.is_panic() {
            cx.counters.handler_panics.add(1);
        }
        send_close(close, CloseCode::INTERNAL_ERROR, "internal error", cx);
    }
}
