//! Frames and messages that come in pieces.

use std::ops::Range;

use hioload_buffer::{Buffer, Pool};
use hioload_mem::unmask;

use super::{DecodeLimits, Decoded};
use crate::ws::message::Payload;
use crate::ws::{
    CLIENT_HEADER_BYTES_MAX, CONTROL_BYTES_MAX, Close, Event, Header, Kind, Message, Opcode,
    ProtocolError, SERVER_HEADER_BYTES_MAX, Utf8Validator,
};

/// Room of the first buffer for a payload that did not come in one piece.
const GATHERED_BYTES_MIN: usize = 64;

/// Decodes any input, and keeps what is not complete. See [`Decoder`](super::Decoder).
#[derive(Debug)]
pub(super) struct Assembler {
    stage: Stage,
    /// The kind of the message of which a fragment came and the last one did not.
    begun: Option<Kind>,
    text: Utf8Validator,
    /// The payload of the message so far, and behind it that of a control frame.
    gathered: Option<Buffer>,
    /// How many of the last bytes in `gathered` belong to a control frame.
    control_len: u8,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Between frames, or within a header.
    Header(PartialHeader),
    /// Within a frame, behind its header: the fields of a [`Frame`], laid out in 16 bytes with the
    /// tag of this enum.
    Payload { remaining: usize, key: [u8; 4], content: Content, fin: bool },
    /// After an error or a Close.
    Finished,
}

/// What is still to come of a frame.
#[derive(Clone, Copy)]
struct Frame {
    /// Bytes of payload.
    remaining: usize,
    /// The mask, turned so that its first byte is for the next byte of payload.
    key: [u8; 4],
    content: Content,
    fin: bool,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Data(Kind),
    Control(Control),
}

#[derive(Clone, Copy, Debug)]
enum Control {
    Close,
    Ping,
    Pong,
}

/// A message or control frame that is complete.
struct Whole {
    content: Content,
    place: Place,
    /// What the input held of the payload; its end is the end of the frame.
    input: Range<usize>,
}

/// Where a complete payload is.
enum Place {
    /// In the input.
    Input,
    /// In a buffer of its own.
    Buffer(Buffer),
    /// The last bytes of [`Assembler::gathered`].
    Tail,
}

impl Default for Assembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Assembler {
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Header(PartialHeader::EMPTY),
            begun: None,
            text: Utf8Validator::new(),
            gathered: None,
            control_len: 0,
        }
    }

    /// An assembler that takes nothing more.
    pub(super) fn finished() -> Self {
        Self { stage: Stage::Finished, ..Self::new() }
    }

    /// Whether nothing is kept: the next byte begins a frame, and a message.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        let Stage::Header(partial) = &self.stage else { return false };
        partial.len == 0 && self.begun.is_none() && self.gathered.is_none()
    }

    pub(super) fn bytes_held(&self) -> usize {
        self.gathered.as_ref().map_or(0, |buffer| buffer.headroom() + buffer.capacity())
    }

    pub(super) fn decode<'a>(
        &'a mut self,
        input: &'a mut [u8],
        limits: &DecodeLimits,
        pool: &mut Pool,
    ) -> Decoded<'a> {
        self.drop_last_control_payload();
        let whole = match self.advance(input, limits, pool) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Decoded { consumed: input.len(), outcome: Ok(None) },
            Err(error) => return self.fail(error, input.len()),
        };
        let Whole { content, place, input: Range { start, end: consumed } } = whole;
        let input_len = input.len();
        let in_input = &input[start..consumed];
        let event = match (content, place) {
            (Content::Data(kind), Place::Buffer(buffer)) => {
                Event::Message(Message::new(Payload::Gathered(kind, buffer)))
            }
            (Content::Data(Kind::Binary), _) => Event::Message(Message::from(in_input)),
            (Content::Data(Kind::Text), _) => match str::from_utf8(in_input) {
                Ok(text) => Event::Message(Message::from(text)),
                Err(_) => return self.fail(ProtocolError::InvalidUtf8, input_len),
            },
            (Content::Control(control), place) => {
                let payload = match place {
                    Place::Tail => self.control_payload(),
                    Place::Input | Place::Buffer(_) => in_input,
                };
                match control.event(payload) {
                    Ok(event) => event,
                    Err(error) => return Decoded { consumed: input_len, outcome: Err(error) },
                }
            }
        };
        Decoded { consumed, outcome: Ok(Some(event)) }
    }

    /// Takes frames from `input` up to the end of the first that completes something.
    fn advance(
        &mut self,
        input: &mut [u8],
        limits: &DecodeLimits,
        pool: &mut Pool,
    ) -> Result<Option<Whole>, ProtocolError> {
        let mut end = 0;
        loop {
            let frame = match &mut self.stage {
                &mut Stage::Payload { remaining, key, content, fin } => {
                    Frame { remaining, key, content, fin }
                }
                Stage::Finished => return Ok(None),
                Stage::Header(partial) => {
                    let Some((header, taken)) = partial.read(&input[end..])? else {
                        return Ok(None);
                    };
                    end += taken;
                    self.begin_frame(header, limits)?
                }
            };
            let start = end;
            end += frame.remaining.min(input.len() - start);
            let place = self.take_payload(frame, &mut input[start..end], limits, pool)?;
            if let Some(place) = place {
                return Ok(Some(Whole { content: frame.content, place, input: start..end }));
            }
            if let Stage::Payload { .. } = self.stage {
                return Ok(None);
            }
        }
    }

    /// Judges a header by what came before it.
    fn begin_frame(
        &mut self,
        header: Header,
        limits: &DecodeLimits,
    ) -> Result<Frame, ProtocolError> {
        let content = match (header.opcode, self.begun) {
            (Opcode::Close, _) => Content::Control(Control::Close),
            (Opcode::Ping, _) => Content::Control(Control::Ping),
            (Opcode::Pong, _) => Content::Control(Control::Pong),
            (Opcode::Text, None) => Content::Data(Kind::Text),
            (Opcode::Binary, None) => Content::Data(Kind::Binary),
            (Opcode::Continuation, Some(kind)) => Content::Data(kind),
            // Section 5.4: the fragments of a message MUST NOT be interleaved with another one's.
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(ProtocolError::InterruptedMessage);
            }
            (Opcode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
        };
        let len_max = match content {
            Content::Data(_) if !limits.messages_allowed => {
                return Err(ProtocolError::MessageRefused);
            }
            Content::Data(_) => limits.message_len_max().saturating_sub(self.gathered_len()),
            Content::Control(_) => CONTROL_BYTES_MAX,
        };
        // Section 10.4: a limit of ours, for all fragments together.
        let remaining = usize::try_from(header.payload_len)
            .ok()
            .filter(|len| *len <= len_max)
            .ok_or(ProtocolError::MessageTooBig)?;
        if let Content::Data(kind) = content {
            self.begun = (!header.fin).then_some(kind);
        }
        Ok(Frame { remaining, key: header.key, content, fin: header.fin })
    }

    /// Takes a piece of a frame's payload, all there is in the input, and sets the next stage.
    /// Says where the payload is when that completes a message or control frame.
    fn take_payload(
        &mut self,
        mut frame: Frame,
        piece: &mut [u8],
        limits: &DecodeLimits,
        pool: &mut Pool,
    ) -> Result<Option<Place>, ProtocolError> {
        unmask(piece, frame.key, 0);
        let gathered_len = self.gathered_len();
        // A message grows no further than its last frame says; any other, no further than allowed.
        let len_max = match frame.content {
            Content::Data(_) if frame.fin => gathered_len + frame.remaining,
            _ => limits.message_len_max() + CONTROL_BYTES_MAX,
        };
        frame.remaining -= piece.len();
        frame.key.rotate_left(piece.len() % 4);
        let Frame { remaining, key, content, fin } = frame;
        let complete = remaining == 0;
        self.stage = match content {
            _ if !complete => Stage::Payload { remaining, key, content, fin },
            Content::Control(Control::Close) => Stage::Finished,
            _ => Stage::Header(PartialHeader::EMPTY),
        };

        match content {
            Content::Data(kind) => {
                if complete && fin && self.gathered.is_none() {
                    return Ok(Some(Place::Input));
                }
                if kind == Kind::Text {
                    self.text.push(piece)?;
                }
                self.gather(piece, len_max, pool);
                if !(complete && fin) {
                    return Ok(None);
                }
                self.text.finish()?;
                Ok(self.gathered.take().map(Place::Buffer))
            }
            Content::Control(_) => {
                if complete && self.control_len == 0 {
                    return Ok(Some(Place::Input));
                }
                self.gather(piece, len_max, pool);
                #[expect(clippy::cast_possible_truncation, reason = "at most 125 bytes")]
                {
                    self.control_len += piece.len() as u8;
                }
                Ok(complete.then_some(Place::Tail))
            }
        }
    }

    /// Appends `piece` to what is gathered, in a buffer that grows twofold but not over `len_max`.
    fn gather(&mut self, piece: &[u8], len_max: usize, pool: &mut Pool) {
        if piece.is_empty() {
            return;
        }
        let mut buffer = match self.gathered.take() {
            Some(buffer) => {
                let len = buffer.len() + piece.len();
                let twofold = buffer.capacity().saturating_mul(2).min(len_max);
                if len <= buffer.capacity() { buffer } else { pool.grow(buffer, twofold.max(len)) }
            }
            None => pool.get_empty(SERVER_HEADER_BYTES_MAX, piece.len().max(GATHERED_BYTES_MIN)),
        };
        buffer.append(piece);
        self.gathered = Some(buffer);
    }

    fn gathered_len(&self) -> usize {
        self.gathered.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// The payload of a control frame that came in pieces.
    fn control_payload(&self) -> &[u8] {
        let gathered = self.gathered.as_deref().unwrap_or_default();
        &gathered[gathered.len() - usize::from(self.control_len)..]
    }

    /// Drops the payload of the last control frame, whose event the caller is done with.
    fn drop_last_control_payload(&mut self) {
        let message_len = match self.stage {
            Stage::Header(_) if self.control_len > 0 => {
                self.gathered_len() - usize::from(self.control_len)
            }
            Stage::Header(_) | Stage::Payload { .. } => return,
            Stage::Finished => 0,
        };
        self.control_len = 0;
        match &mut self.gathered {
            Some(buffer) if message_len > 0 => buffer.truncate(message_len),
            gathered => *gathered = None,
        }
    }

    fn fail(&mut self, error: ProtocolError, consumed: usize) -> Decoded<'static> {
        *self = Self::finished();
        Decoded { consumed, outcome: Err(error) }
    }
}

impl Control {
    fn event(self, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
        Ok(match self {
            Self::Close => Event::Close(Close::parse(payload)?),
            Self::Ping => Event::Ping(payload),
            Self::Pong => Event::Pong(payload),
        })
    }
}

/// The bytes of a header that is not complete.
#[derive(Clone, Copy, Debug)]
struct PartialHeader {
    bytes: [u8; CLIENT_HEADER_BYTES_MAX],
    len: u8,
}

impl PartialHeader {
    const EMPTY: Self = Self { bytes: [0; CLIENT_HEADER_BYTES_MAX], len: 0 };

    /// Reads a header that goes on in `input`, and says how many bytes of it that took. Keeps them
    /// all when they are too few.
    fn read(&mut self, input: &[u8]) -> Result<Option<(Header, usize)>, ProtocolError> {
        let kept = usize::from(self.len);
        if kept == 0
            && let Some(read) = Header::parse(input)?
        {
            return Ok(Some(read));
        }
        for (slot, byte) in self.bytes[kept..].iter_mut().zip(input) {
            *slot = *byte;
            self.len += 1;
        }
        let read = Header::parse(&self.bytes[..usize::from(self.len)])?;
        Ok(read.map(|(header, len)| (header, len - kept)))
    }
}
