//! What a client said: messages and control frames.

use std::fmt;

use hioload_buffer::Buffer;

use super::Close;

/// What the decoder found.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole message; its fragments, if there were any, are put together.
    Message(Message<'a>),
    /// A ping, to be answered with a pong of this payload (RFC 6455, section 5.5.2).
    Ping(&'a [u8]),
    /// A pong; it needs no answer (section 5.5.3).
    Pong(&'a [u8]),
    /// A Close; nothing the peer sends after it counts (section 5.5.1).
    Close(Close<'a>),
}

/// Whether a message is text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes of any meaning.
    Binary,
}

/// A whole message.
///
/// Where the client sent it in one frame that arrived in one piece, the payload lies in the read
/// buffer. Otherwise it was gathered in a pooled buffer, which the message owns;
/// [`encode::forward`](super::encode::forward) sends that buffer on without another copy.
///
/// `Message::from` makes one of a `&str` (text) or of a `&[u8]` (binary).
pub struct Message<'a> {
    payload: Payload<'a>,
}

pub(super) enum Payload<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    /// Text that is gathered here is known to be UTF-8.
    Gathered(Kind, Buffer),
}

impl<'a> Message<'a> {
    pub(super) fn new(payload: Payload<'a>) -> Self {
        Self { payload }
    }

    pub(super) fn into_payload(self) -> Payload<'a> {
        self.payload
    }

    /// Whether this is text or binary.
    pub fn kind(&self) -> Kind {
        match &self.payload {
            Payload::Text(_) => Kind::Text,
            Payload::Binary(_) => Kind::Binary,
            Payload::Gathered(kind, _) => *kind,
        }
    }

    /// The bytes of the message.
    pub fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(bytes) => bytes,
            Payload::Gathered(_, buffer) => buffer,
        }
    }

    /// The text of a text message; `None` of a binary one.
    ///
    /// Free for a message that arrived in one piece. For a gathered one, which was validated piece
    /// by piece, a `&str` of the whole can only be had from safe code by validating it again: one
    /// pass over the payload in each call. Call it once, and only where text is needed; a broadcast
    /// does without.
    pub fn text(&self) -> Option<&str> {
        match &self.payload {
            Payload::Text(text) => Some(text),
            Payload::Gathered(Kind::Text, buffer) => str::from_utf8(buffer).ok(),
            Payload::Binary(_) | Payload::Gathered(Kind::Binary, _) => None,
        }
    }

    /// Bytes of payload.
    pub fn len(&self) -> usize {
        self.payload().len()
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(Payload::Text(text))
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(Payload::Binary(bytes))
    }
}

/// Says kind and length; payloads are the users' own and do not belong in logs.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?}, {} bytes)", self.kind(), self.len())
    }
}
