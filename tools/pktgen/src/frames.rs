//! Frames of a server, from bytes as they come off the wire: a strict reader that allocates
//! nothing for messages that lie whole in the buffer.
//!
//! It is not the appliance's decoder and shares no code with it. A frame that breaks RFC 6455 ends
//! the connection with a [`Fault`].

use std::fmt;

/// What a server sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A whole message, text or binary.
    Message(&'a [u8]),
    /// A ping with its payload, which the pong repeats.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A Close, with its code if it has one. Nothing may follow it.
    Close(Option<u16>),
}

/// How a server broke RFC 6455, or went over the limit of this reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    ReservedBits,
    ReservedOpcode(u8),
    Masked,
    LengthNotMinimal,
    LongControl,
    FragmentedControl,
    UnexpectedContinuation,
    UnfinishedMessage,
    ShortClose,
    TooLong { bytes: u64 },
    AfterClose,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "a frame with reserved bits (RFC 6455 section 5.2)",
            Self::ReservedOpcode(opcode) => {
                return write!(f, "a frame with the reserved opcode {opcode} (section 5.2)");
            }
            Self::Masked => "a masked frame (RFC 6455 section 5.1)",
            Self::LengthNotMinimal => "a length in more bytes than it takes (section 5.2)",
            Self::LongControl => "a control frame of more than 125 bytes (section 5.5)",
            Self::FragmentedControl => "a fragmented control frame (section 5.5)",
            Self::UnexpectedContinuation => "a continuation of nothing (section 5.4)",
            Self::UnfinishedMessage => "a message inside another one (section 5.4)",
            Self::ShortClose => "a Close of one byte (section 5.5.1)",
            Self::TooLong { bytes } => {
                return write!(f, "a message of at least {bytes} bytes, over the limit");
            }
            Self::AfterClose => "a frame after its Close (section 5.5.1)",
        })
    }
}

impl std::error::Error for Fault {}

/// Reads the frames of one connection. Between messages it owns no heap memory.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    unfinished: Option<Box<Unfinished>>,
    closed: bool,
}

/// What a reader keeps of a message whose end has not come yet.
#[derive(Debug, Default)]
struct Unfinished {
    /// The bytes of a frame whose end has not come yet.
    partial: Vec<u8>,
    /// The fragments of a message whose last one has not come yet.
    fragments: Option<Vec<u8>>,
}

/// What readers keep their unfinished messages in, used again and again: an end of a segment lies
/// within a message more often than not.
#[expect(clippy::vec_box, reason = "boxes are what a reader takes, and gives back")]
#[derive(Debug, Default)]
pub(crate) struct Spares(Vec<Box<Unfinished>>);

/// More than that is not kept for later: there is seldom a message as long.
const SPARE_BYTES_MAX: usize = 256 * 1024;
const SPARES_MAX: usize = 4096;

impl Spares {
    fn keep(&mut self, unfinished: Box<Unfinished>) {
        if self.0.len() < SPARES_MAX && unfinished.partial.capacity() <= SPARE_BYTES_MAX {
            self.0.push(unfinished);
        }
    }
}

struct Header {
    is_final: bool,
    opcode: u8,
    header_len: usize,
    payload_len: usize,
}

impl FrameReader {
    /// Takes bytes and hands each message or control frame that is complete with them to `take`.
    /// No message may be longer than `bytes_max`.
    ///
    /// # Errors
    /// What the server did wrong, after what came before it was handed over.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        spares: &mut Spares,
        mut take: impl FnMut(Incoming<'_>),
    ) -> Result<(), Fault> {
        let Some(mut unfinished) = self.unfinished.take() else {
            let mut fragments = None;
            let consumed = self.frames(bytes, bytes_max, &mut fragments, &mut take)?;
            if consumed < bytes.len() || fragments.is_some() {
                let mut unfinished = spares.0.pop().unwrap_or_default();
                unfinished.partial.extend_from_slice(&bytes[consumed..]);
                unfinished.fragments = fragments;
                self.unfinished = Some(unfinished);
            }
            return Ok(());
        };
        let Unfinished { partial, fragments } = &mut *unfinished;
        partial.extend_from_slice(bytes);
        let consumed = self.frames(partial, bytes_max, fragments, &mut take)?;
        partial.drain(..consumed);
        if partial.is_empty() && fragments.is_none() {
            spares.keep(unfinished);
        } else {
            self.unfinished = Some(unfinished);
        }
        Ok(())
    }

    /// Hands over the whole frames at the beginning of `bytes`, and says how many bytes they take.
    fn frames(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        fragments: &mut Option<Vec<u8>>,
        take: &mut impl FnMut(Incoming<'_>),
    ) -> Result<usize, Fault> {
        let mut consumed = 0;
        loop {
            let gathered = fragments.as_ref().map(Vec::len);
            let Some(header) = self.header(&bytes[consumed..], bytes_max, gathered)? else { break };
            let begin = consumed + header.header_len;
            let Some(payload) = bytes.get(begin..begin + header.payload_len) else { break };
            consumed = begin + header.payload_len;
            self.frame(&header, payload, fragments, take)?;
        }
        Ok(consumed)
    }

    fn frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        fragments: &mut Option<Vec<u8>>,
        take: &mut impl FnMut(Incoming<'_>),
    ) -> Result<(), Fault> {
        match (header.opcode, &mut *fragments) {
            (1 | 2, None) if header.is_final => take(Incoming::Message(payload)),
            (1 | 2, None) => *fragments = Some(payload.to_vec()),
            (0, Some(gathered)) => {
                gathered.extend_from_slice(payload);
                if header.is_final {
                    take(Incoming::Message(gathered));
                    *fragments = None;
                }
            }
            (8, _) => {
                self.closed = true;
                match payload {
                    [] => take(Incoming::Close(None)),
                    [high, low, ..] => {
                        take(Incoming::Close(Some(u16::from_be_bytes([*high, *low]))));
                    }
                    [_] => return Err(Fault::ShortClose),
                }
            }
            (9, _) => take(Incoming::Ping(payload)),
            (10, _) => take(Incoming::Pong),
            (0, None) => return Err(Fault::UnexpectedContinuation),
            (1 | 2, Some(_)) => return Err(Fault::UnfinishedMessage),
            (opcode, _) => return Err(Fault::ReservedOpcode(opcode)),
        }
        Ok(())
    }

    /// The header at the beginning of `bytes`, once it is complete. `gathered` bytes of its message
    /// have come, if it is a fragment.
    fn header(
        &self,
        bytes: &[u8],
        bytes_max: usize,
        gathered: Option<usize>,
    ) -> Result<Option<Header>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if self.closed {
            return Err(Fault::AfterClose);
        }
        if first & 0x70 != 0 {
            return Err(Fault::ReservedBits);
        }
        if second & 0x80 != 0 {
            return Err(Fault::Masked);
        }
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0f);
        let (payload_len, header_len) = match second {
            126 => {
                let Some(len) = rest.first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*len)), 4)
            }
            127 => {
                let Some(len) = rest.first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*len), 10)
            }
            len => (u64::from(*len), 2),
        };
        if opcode >= 8 && header_len > 2 {
            return Err(Fault::LongControl);
        }
        if opcode >= 8 && !is_final {
            return Err(Fault::FragmentedControl);
        }
        if header_len == 4 && payload_len < 126 || header_len == 10 && payload_len <= 0xffff {
            return Err(Fault::LengthNotMinimal);
        }
        let gathered = if opcode == 0 { gathered.unwrap_or(0) } else { 0 };
        let message_len = payload_len.saturating_add(gathered as u64);
        match usize::try_from(message_len) {
            Ok(len) if len <= bytes_max || opcode >= 8 => {
                Ok(Some(Header { is_final, opcode, header_len, payload_len: len - gathered }))
            }
            _ => Err(Fault::TooLong { bytes: message_len }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `wire` when it arrives in pieces of `piece_len`.
    fn read(wire: &[u8], piece_len: usize) -> (Vec<String>, Result<(), Fault>) {
        let mut reader = FrameReader::default();
        let mut spares = Spares::default();
        let mut taken = Vec::new();
        for piece in wire.chunks(piece_len) {
            let result = reader.read(piece, 70_000, &mut spares, |incoming| {
                taken.push(match incoming {
                    Incoming::Message(payload) => format!("message of {}", payload.len()),
                    other => format!("{other:?}"),
                });
            });
            if result.is_err() {
                return (taken, result);
            }
        }
        assert!(reader.unfinished.is_none(), "an idle connection owns no memory");
        (taken, Ok(()))
    }

    fn long(first: u8, payload_len: usize) -> Vec<u8> {
        let mut wire = vec![first];
        if payload_len < 0x1_0000 {
            wire.push(126);
            wire.extend(&payload_len.to_be_bytes()[6..]);
        } else {
            wire.push(127);
            wire.extend(payload_len.to_be_bytes());
        }
        wire.resize(wire.len() + payload_len, 7);
        wire
    }

    #[test]
    fn frames_are_the_same_in_whatever_pieces_they_arrive() {
        let mut wire = vec![0x82, 3, 1, 2, 3, 0x81, 0, 0x89, 2, 5, 6, 0x8a, 0];
        wire.extend(long(0x82, 126));
        wire.extend(long(0x82, 65_536));
        wire.extend([0x02, 1, 9, 0x89, 0, 0x00, 1, 9, 0x80, 1, 9]);
        wire.extend([0x88, 2, 3, 0xe8]);
        let whole = read(&wire, wire.len());
        assert_eq!(
            whole.0,
            [
                "message of 3",
                "message of 0",
                "Ping([5, 6])",
                "Pong",
                "message of 126",
                "message of 65536",
                "Ping([])",
                "message of 3",
                "Close(Some(1000))",
            ]
        );
        for piece_len in [1, 2, 3, 7, 1000] {
            assert_eq!(read(&wire, piece_len), whole, "in pieces of {piece_len}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_named() {
        for (wire, fault) in [
            (&[0xc2, 0][..], Fault::ReservedBits),
            (&[0x83, 0], Fault::ReservedOpcode(3)),
            (&[0x8b, 0], Fault::ReservedOpcode(11)),
            (&[0x82, 0x80], Fault::Masked),
            (&[0x82, 126, 0, 125], Fault::LengthNotMinimal),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Fault::LengthNotMinimal),
            (&[0x89, 126, 0, 126], Fault::LongControl),
            (&[0x09, 0], Fault::FragmentedControl),
            (&[0x80, 0], Fault::UnexpectedContinuation),
            (&[0x02, 0, 0x82, 0], Fault::UnfinishedMessage),
            (&[0x88, 1, 3], Fault::ShortClose),
            (&[0x88, 0, 0x82, 0], Fault::AfterClose),
            (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x71], Fault::TooLong { bytes: 70_001 }),
            (
                &[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255],
                Fault::TooLong { bytes: u64::MAX },
            ),
        ] {
            assert_eq!(read(wire, wire.len()).1, Err(fault), "{wire:x?}");
        }
        let mut wire = long(0x02, 69_999);
        wire.extend([0x80, 2, 0, 0]);
        assert_eq!(read(&wire, 1000).1, Err(Fault::TooLong { bytes: 70_001 }));
    }
}
