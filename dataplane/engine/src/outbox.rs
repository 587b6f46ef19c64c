//! What a handler wants sent, encoded on the spot and queued when the handler has returned.

use hioload_buffer::{Frame, Pool};
use hioload_protocol::ws::{CloseCode, Message, encode};

/// Takes what a handler sends. It is sent in the order of the calls, after the handler returns.
///
/// A message to be sent is one that was received, a `&str` (text) or a `&[u8]` (binary).
pub struct Outbox<'a> {
    pool: &'a mut Pool,
    effects: &'a mut Vec<Effect>,
    /// A Close was queued, here or before: nothing more goes to this session.
    closed: bool,
    /// The handler panicked where it cannot return an error, and a layer caught it.
    pub(crate) panicked: bool,
}

/// What a connection asks of its worker, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The session gets messages from here on.
    Join,
    /// To everybody.
    Publish(Frame),
    /// To this session.
    Send(Frame),
    /// A ping or pong, ahead of queued messages.
    Control(Frame),
    /// An HTTP response.
    Respond(Frame),
    /// The Close frame; no message follows it.
    Close(Frame),
    /// No message follows, without a Close frame: the session is lost.
    Leave,
    /// End our direction once everything before this is sent.
    Finish,
    /// Give the connection up now.
    Abandon,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(pool: &'a mut Pool, effects: &'a mut Vec<Effect>, closed: bool) -> Self {
        Self { pool, effects, closed, panicked: false }
    }

    /// Whether a Close was queued.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sends to every session of the appliance, whatever its path, this one included unless the
    /// configuration says otherwise (`broadcast.include_sender`). Encoded once, queued by
    /// reference.
    pub fn broadcast<'m>(&mut self, message: impl Into<Message<'m>>) {
        let frame = encode::forward(message.into(), self.pool);
        self.effects.push(Effect::Publish(frame));
    }

    /// Sends to this session; does nothing once it is closing.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) {
        if self.closed {
            return;
        }
        let frame = encode::forward(message.into(), self.pool);
        self.effects.push(Effect::Send(frame));
    }

    /// Starts the close handshake (RFC 6455 section 7.1.2) behind everything that is queued.
    /// Messages that come after this call are ignored. A reason beyond 123 bytes is cut.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if self.closed {
            return;
        }
        self.closed = true;
        let frame = encode::close(code, reason, self.pool);
        self.effects.push(Effect::Close(frame));
    }
}
