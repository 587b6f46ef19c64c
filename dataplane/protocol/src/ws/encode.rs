//! Frames as a server sends them: unmasked, unfragmented (RFC 6455, sections 5.1 and 5.2).
//!
//! Header and payload are written once, into one pooled buffer; every receiver gets a reference.

use hioload_buffer::{Frame, Pool};

use super::header::{FirstByte, LENGTH_IN_2_BYTES, LENGTH_IN_8_BYTES};
use super::message::Payload;
use super::{CONTROL_BYTES_MAX, CloseCode, Kind, Message, Opcode, SERVER_HEADER_BYTES_MAX};

/// Bytes of the longest reason of a Close: what a control frame holds beside the code.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// A message for others: one that was received, or one made of a `&str` or a `&[u8]`.
///
/// A gathered payload is not copied: the header goes into the headroom of its buffer. Any other is
/// copied behind its header.
///
/// # Panics
/// When header and payload together are 2<sup>32</sup> bytes or more, which nothing that a client
/// sent is.
pub fn forward(message: Message<'_>, pool: &mut Pool) -> Frame {
    match message.into_payload() {
        Payload::Text(text) => frame(Opcode::Text, text.as_bytes(), &[], pool),
        Payload::Binary(bytes) => frame(Opcode::Binary, bytes, &[], pool),
        Payload::Gathered(kind, mut buffer) => {
            buffer.prepend(&Header::new(kind.into(), buffer.len()));
            buffer.freeze()
        }
    }
}

/// A ping with the first 125 bytes of `payload` (RFC 6455, section 5.5).
pub fn ping(payload: &[u8], pool: &mut Pool) -> Frame {
    frame(Opcode::Ping, up_to(payload, CONTROL_BYTES_MAX), &[], pool)
}

/// A pong with the first 125 bytes of `payload`, which a ping never passes (section 5.5.3).
pub fn pong(payload: &[u8], pool: &mut Pool) -> Frame {
    frame(Opcode::Pong, up_to(payload, CONTROL_BYTES_MAX), &[], pool)
}

/// A Close with a code and a reason, or with neither (section 5.5.1).
///
/// `reason` is cut at the last character that ends within [`CLOSE_REASON_BYTES_MAX`] bytes; without
/// a code there is no place for it, and it is left out.
pub fn close(code: impl Into<Option<CloseCode>>, reason: &str, pool: &mut Pool) -> Frame {
    let Some(code) = code.into() else { return frame(Opcode::Close, &[], &[], pool) };
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
    frame(Opcode::Close, &code.get().to_be_bytes(), reason.as_bytes(), pool)
}

/// A frame with the payload `head` and `tail`.
fn frame(opcode: Opcode, head: &[u8], tail: &[u8], pool: &mut Pool) -> Frame {
    let header = Header::new(opcode, head.len() + tail.len());
    let mut buffer = pool.get_empty(0, header.len() + head.len() + tail.len());
    for part in [&*header, head, tail] {
        buffer.append(part);
    }
    buffer.freeze()
}

fn up_to(bytes: &[u8], len_max: usize) -> &[u8] {
    &bytes[..bytes.len().min(len_max)]
}

impl From<Kind> for Opcode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
        }
    }
}

/// The header of an unmasked frame with FIN, in its shortest form.
struct Header {
    bytes: [u8; SERVER_HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    fn new(opcode: Opcode, payload_len: usize) -> Self {
        let mut bytes = [0; SERVER_HEADER_BYTES_MAX];
        bytes[0] = FirstByte::FIN | opcode as u8;
        let len = match (u8::try_from(payload_len), u16::try_from(payload_len)) {
            (Ok(len), _) if len < LENGTH_IN_2_BYTES => {
                bytes[1] = len;
                2
            }
            (_, Ok(len)) => {
                bytes[1] = LENGTH_IN_2_BYTES;
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
                4
            }
            _ => {
                bytes[1] = LENGTH_IN_8_BYTES;
                bytes[2..10].copy_from_slice(&(payload_len as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, len }
    }
}

impl std::ops::Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use hioload_buffer::PoolOptions;

    use super::*;

    #[test]
    fn the_length_takes_the_fewest_bytes() {
        let mut pool = Pool::new(PoolOptions::default());
        let mut header_of = |len: usize| {
            let frame = forward(Message::from(&vec![7; len][..]), &mut pool);
            assert!(frame[frame.len() - len..].iter().all(|byte| *byte == 7));
            frame[..frame.len() - len].to_vec()
        };
        assert_eq!(header_of(0), [0x82, 0]);
        assert_eq!(header_of(125), [0x82, 125]);
        assert_eq!(header_of(126), [0x82, 126, 0, 126]);
        assert_eq!(header_of(255), [0x82, 126, 0, 255]);
        assert_eq!(header_of(65_535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(header_of(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_reason_that_is_too_long_is_cut_between_characters() {
        let mut pool = Pool::new(PoolOptions::default());
        let frame = close(CloseCode::GOING_AWAY, &"é".repeat(100), &mut pool);
        assert_eq!(frame[..4], [0x88, 124, 0x03, 0xe9]);
        assert_eq!(frame[4..], *"é".repeat(61).as_bytes());
    }

    #[test]
    fn a_close_without_a_code_has_no_payload() {
        let mut pool = Pool::new(PoolOptions::default());
        assert_eq!(close(None, "unused", &mut pool)[..], [0x88, 0]);
    }

    #[test]
    fn control_frames_are_cut_at_125_bytes() {
        let mut pool = Pool::new(PoolOptions::default());
        assert_eq!(ping(&[1; 126], &mut pool)[..3], [0x89, 125, 1]);
        assert_eq!(pong(&[1; 126], &mut pool).len(), 2 + 125);
    }
}
