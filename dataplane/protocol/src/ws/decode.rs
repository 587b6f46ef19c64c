//! From a client's bytes to events (RFC 6455, sections 5 and 6.2).

mod assembler;

use std::ops::Range;

use hioload_buffer::Pool;
use hioload_mem::unmask;

use self::assembler::Assembler;
use super::{Event, Header, Message, Opcode, ProtocolError};

/// What no limit can be set above: a pooled buffer holds less than 4 GiB.
const MESSAGE_BYTES_CEILING: usize = 1 << 30;

/// What a client may ask of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of the largest message, all its fragments together; no more than 1 GiB counts.
    pub message_bytes_max: usize,
    /// Whether messages are taken at all; without, any frame of one is an error at its header.
    pub messages_allowed: bool,
}

impl DecodeLimits {
    /// Bytes of the largest message that is taken.
    fn message_len_max(&self) -> usize {
        self.message_bytes_max.min(MESSAGE_BYTES_CEILING)
    }
}

/// What [`Decoder::decode`] did.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Bytes of the input that are done with: all of it, unless there is an event.
    pub consumed: usize,
    /// The event that ended at `consumed`; `None` where the input ended first.
    pub outcome: Result<Option<Event<'a>>, ProtocolError>,
}

/// Decodes what one client sends after its handshake.
///
/// A frame that lies in the input as a whole is unmasked in place and its event borrows from the
/// input: no copy, no allocation. Of anything else the decoder keeps what has come, in its own few
/// bytes (header) or in a buffer of the pool (payload), which grows as bytes come, never by what a
/// header claims, and which it gives up with the event. Work per frame is bounded by the bytes of
/// the frame, however many fragments there are.
///
/// Text is validated as it comes: the first byte that makes it invalid is an error, even where the
/// message is far from complete. A message that is too big is an error when its header is read.
///
/// After an error or a Close the decoder consumes and ignores everything.
///
/// A decoder is as small as a pointer until something comes in pieces or the end does.
///
/// The caller's loop:
///
/// ```
/// use hioload_buffer::{Pool, PoolOptions};
/// use hioload_protocol::ws::{DecodeLimits, Decoded, Decoder, Event, encode};
///
/// let mut pool = Pool::new(PoolOptions::default());
/// let mut decoder = Decoder::new();
/// let limits = DecodeLimits { message_bytes_max: 64 * 1024, messages_allowed: true };
/// let mut replies = Vec::new();
///
/// // Two masked frames, as read from the network: a text "hi" and a ping.
/// let mut read = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2, 0x89, 0x80, 0, 0, 0, 0];
/// let mut rest = &mut read[..];
/// while !rest.is_empty() {
///     let Decoded { consumed, outcome } = decoder.decode(rest, &limits, &mut pool);
///     match outcome {
///         Ok(Some(Event::Message(message))) => replies.push(encode::forward(message, &mut pool)),
///         Ok(Some(Event::Ping(payload))) => replies.push(encode::pong(payload, &mut pool)),
///         Ok(Some(Event::Pong(_))) => {}
///         Ok(Some(Event::Close(close))) => {
///             replies.push(encode::close(close.code, "", &mut pool));
///             break;
///         }
///         Ok(None) => {}
///         Err(error) => {
///             replies.push(encode::close(error.close_code(), error.reason(), &mut pool));
///             break;
///         }
///     }
///     rest = &mut rest[consumed..];
/// }
/// assert_eq!(replies[0][..], *b"\x81\x02hi");
/// assert_eq!(replies[1][..], *b"\x8a\x00");
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    /// Decodes all but whole messages, pings and pongs; there since the first of something else,
    /// and kept for the next.
    assembler: Option<Box<Assembler>>,
}

impl Decoder {
    /// A decoder for a connection on which no frame was received.
    pub const fn new() -> Self {
        Self { assembler: None }
    }

    /// Bytes of pooled memory held for a payload that is not complete.
    ///
    /// The payload of a control frame that came in pieces is held until the next call of
    /// [`decode`](Self::decode).
    pub fn bytes_held(&self) -> usize {
        self.assembler.as_ref().map_or(0, |assembler| assembler.bytes_held())
    }

    /// Consumes `input` up to the end of the first event in it; call again with the rest.
    ///
    /// Without an event, or with an error, all of it is consumed. Consumed bytes are changed: the
    /// mask is removed in place.
    pub fn decode<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &DecodeLimits,
        pool: &mut Pool,
    ) -> Decoded<'a> {
        if self.assembler.as_ref().is_none_or(|assembler| assembler.is_idle())
            && let Some((header, Range { start, end })) = whole_frame(input, limits)
        {
            let consumed = input.len();
            let payload = &mut input[start..end];
            unmask(payload, header.key, 0);
            let event = match header.opcode {
                Opcode::Text => match str::from_utf8(payload) {
                    Ok(text) => Event::Message(Message::from(text)),
                    Err(_) => return self.fail(ProtocolError::InvalidUtf8, consumed),
                },
                Opcode::Ping => Event::Ping(payload),
                Opcode::Pong => Event::Pong(payload),
                _ => Event::Message(Message::from(&*payload)),
            };
            return Decoded { consumed: end, outcome: Ok(Some(event)) };
        }
        self.assembler.get_or_insert_default().decode(input, limits, pool)
    }

    fn fail(&mut self, error: ProtocolError, consumed: usize) -> Decoded<'static> {
        **self.assembler.get_or_insert_default() = Assembler::finished();
        Decoded { consumed, outcome: Err(error) }
    }
}

/// The header of a message in one frame, a ping or a pong that `input` begins with and holds as a
/// whole, and where its payload is. `None` for all else, whatever is wrong included.
fn whole_frame(input: &[u8], limits: &DecodeLimits) -> Option<(Header, Range<usize>)> {
    let (header, start) = Header::parse(input).ok()??;
    let len = usize::try_from(header.payload_len).ok()?;
    let is_taken = match header.opcode {
        Opcode::Text | Opcode::Binary => {
            header.fin && limits.messages_allowed && len <= limits.message_len_max()
        }
        Opcode::Ping | Opcode::Pong => true,
        Opcode::Continuation | Opcode::Close => false,
    };
    (is_taken && len <= input.len() - start).then(|| (header, start..start + len))
}
