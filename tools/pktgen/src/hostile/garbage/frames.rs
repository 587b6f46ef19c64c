//! Frames that break RFC 6455, and the codes that a server closes with then. None of them completes
//! a message: a server that takes one for good would pass it on to the others.

use fastrand::Rng;

use super::pick;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const PROTOCOL_ERROR: u16 = 1002;
const INVALID_PAYLOAD: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// Codes that must not be sent in a Close (RFC 6455 section 7.4), or that nobody has defined.
const BAD_CODES: [u16; 10] = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999];

/// Bytes that are no UTF-8: a byte that has no meaning, a surrogate, something over U+10FFFF, forms
/// that are too long, a sequence that breaks off.
const NO_UTF8: [&[u8]; 8] = [
    b"\xff",
    b"\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc3(",
    b"\xe2\x82",
];

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadFrame {
    ReservedBits,
    ReservedOpcode,
    Unmasked,
    ControlFragmented,
    ControlTooLong,
    LengthNotMinimal,
    LengthOver63Bits,
    MessageTooBig,
    ContinuationOfNothing,
    MessageInMessage,
    TextNoUtf8,
    FragmentsNoUtf8,
    CloseOfOneByte,
    CloseWithBadCode,
    CloseReasonNoUtf8,
}

impl BadFrame {
    pub(super) const ALL: [Self; 15] = [
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::Unmasked,
        Self::ControlFragmented,
        Self::ControlTooLong,
        Self::LengthNotMinimal,
        Self::LengthOver63Bits,
        Self::MessageTooBig,
        Self::ContinuationOfNothing,
        Self::MessageInMessage,
        Self::TextNoUtf8,
        Self::FragmentsNoUtf8,
        Self::CloseOfOneByte,
        Self::CloseWithBadCode,
        Self::CloseReasonNoUtf8,
    ];

    /// What it is, and the section of RFC 6455 that it breaks.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ReservedBits => "a frame with reserved bits (RFC 6455 section 5.2)",
            Self::ReservedOpcode => "a frame with a reserved opcode (RFC 6455 section 5.2)",
            Self::Unmasked => "a frame that is not masked (RFC 6455 section 5.1)",
            Self::ControlFragmented => "a fragmented control frame (RFC 6455 section 5.5)",
            Self::ControlTooLong => "a control frame over 125 bytes (RFC 6455 section 5.5)",
            Self::LengthNotMinimal => "a length in more bytes than it takes (RFC 6455 section 5.2)",
            Self::LengthOver63Bits => "a length over 63 bits (RFC 6455 section 5.2)",
            Self::MessageTooBig => "a message of 2^40 bytes (RFC 6455 section 7.4.1)",
            Self::ContinuationOfNothing => "a continuation of nothing (RFC 6455 section 5.4)",
            Self::MessageInMessage => "a message inside another one (RFC 6455 section 5.4)",
            Self::TextNoUtf8 => "text that is no UTF-8 (RFC 6455 section 8.1)",
            Self::FragmentsNoUtf8 => "fragments that are no UTF-8 (RFC 6455 section 8.1)",
            Self::CloseOfOneByte => "a Close of one byte (RFC 6455 section 5.5.1)",
            Self::CloseWithBadCode => "a Close with a bad code (RFC 6455 section 7.4)",
            Self::CloseReasonNoUtf8 => "a Close whose reason is no UTF-8 (RFC 6455 section 5.5.1)",
        }
    }

    /// The codes that a server may close with (RFC 6455 section 7.4.1).
    pub(super) fn codes(self) -> &'static [u16] {
        match self {
            Self::MessageTooBig => &[TOO_BIG],
            // It is both.
            Self::LengthOver63Bits => &[PROTOCOL_ERROR, TOO_BIG],
            Self::TextNoUtf8 | Self::FragmentsNoUtf8 | Self::CloseReasonNoUtf8 => {
                &[INVALID_PAYLOAD]
            }
            _ => &[PROTOCOL_ERROR],
        }
    }

    /// Appends the frame, and those ahead of it that make it wrong. A good ping may be the first.
    pub(super) fn write(self, random: &mut Rng, wire: &mut Vec<u8>) {
        if random.u8(..4) == 0 {
            frame(random, wire, FIN | PING, b"ahead");
        }
        match self {
            Self::ReservedBits => {
                let (bits, opcode) = (random.u8(1..8) << 4, pick(random, [TEXT, BINARY, PING]));
                frame(random, wire, FIN | bits | opcode, b"reserved");
            }
            Self::ReservedOpcode => {
                let opcode = pick(random, [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
                frame(random, wire, FIN | opcode, b"reserved");
            }
            Self::Unmasked => wire.extend_from_slice(&[FIN | BINARY, 3, b'r', b'a', b'w']),
            Self::ControlFragmented => {
                let opcode = pick(random, [CLOSE, PING, PONG]);
                frame(random, wire, opcode, &1000_u16.to_be_bytes());
            }
            Self::ControlTooLong => {
                let (opcode, len) = (pick(random, [CLOSE, PING, PONG]), random.u16(126..2000));
                let mut payload = vec![b'x'; len.into()];
                payload[..2].copy_from_slice(&1000_u16.to_be_bytes());
                frame(random, wire, FIN | opcode, &payload);
            }
            Self::LengthNotMinimal => {
                let opcode = FIN | pick(random, [TEXT, BINARY]);
                let len = random.u8(..126);
                if random.bool() {
                    wire.extend_from_slice(&[opcode, MASKED | 126, 0, len]);
                } else {
                    wire.extend_from_slice(&[opcode, MASKED | 127, 0, 0, 0, 0, 0, 0, 0, len]);
                }
                masked(random, wire, &vec![b'x'; len.into()]);
            }
            Self::LengthOver63Bits => {
                let high = 0x80 | random.u8(..0x80);
                wire.extend_from_slice(&[FIN | BINARY, MASKED | 127, high, 0, 0, 0, 0, 0, 0, 9]);
                masked(random, wire, b"123456789");
            }
            Self::MessageTooBig => {
                wire.extend_from_slice(&[FIN | BINARY, MASKED | 127, 0, 0, 1, 0, 0, 0, 0, 0]);
                masked(random, wire, b"its beginning");
            }
            Self::ContinuationOfNothing => {
                let fin = pick(random, [0, FIN]);
                frame(random, wire, fin | CONTINUATION, b"of what?");
            }
            Self::MessageInMessage => {
                let opcode = pick(random, [TEXT, BINARY]);
                frame(random, wire, opcode, b"first ");
                if random.bool() {
                    frame(random, wire, CONTINUATION, b"goes on ");
                }
                frame(random, wire, FIN | BINARY, b"second");
            }
            Self::TextNoUtf8 => {
                let text = [&b"plain "[..], pick(random, NO_UTF8), b" text"].concat();
                frame(random, wire, FIN | TEXT, &text);
            }
            Self::FragmentsNoUtf8 => {
                frame(random, wire, TEXT, b"plain ");
                let text = pick(random, NO_UTF8);
                frame(random, wire, FIN | CONTINUATION, text);
            }
            Self::CloseOfOneByte => frame(random, wire, FIN | CLOSE, &[3]),
            Self::CloseWithBadCode => {
                let code = pick(random, BAD_CODES);
                frame(random, wire, FIN | CLOSE, &code.to_be_bytes());
            }
            Self::CloseReasonNoUtf8 => {
                let payload = [&1000_u16.to_be_bytes()[..], pick(random, NO_UTF8)].concat();
                frame(random, wire, FIN | CLOSE, &payload);
            }
        }
    }
}

/// A frame with a length as it should be.
fn frame(random: &mut Rng, wire: &mut Vec<u8>, first: u8, payload: &[u8]) {
    wire.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..=125), _) => wire.push(MASKED | len),
        (_, Ok(len)) => {
            wire.push(MASKED | 126);
            wire.extend_from_slice(&len.to_be_bytes());
        }
        // There is none so long here.
        (_, Err(_)) => {}
    }
    masked(random, wire, payload);
}

fn masked(random: &mut Rng, wire: &mut Vec<u8>, payload: &[u8]) {
    let key = random.u32(..).to_ne_bytes();
    wire.extend_from_slice(&key);
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    /// Tungstenite takes lengths in any form, and has limits of its own for messages.
    const TAKEN_BY_TUNGSTENITE: [BadFrame; 1] = [BadFrame::LengthNotMinimal];

    #[test]
    fn another_reader_finds_each_of_them_bad() {
        for seed in 0..200 {
            for bad in BadFrame::ALL {
                let mut wire = Vec::new();
                bad.write(&mut Rng::with_seed(seed), &mut wire);
                let mut server = WebSocket::from_raw_socket(Cursor::new(wire), Role::Server, None);
                let mut reads = std::iter::repeat_with(|| server.read());
                let mut messages = 0;
                let fault = reads.by_ref().take(5).find_map(|read| match read {
                    Ok(message) if message.is_text() || message.is_binary() => {
                        messages += 1;
                        None
                    }
                    Ok(_) => None,
                    Err(error) => Some(error),
                });
                if !TAKEN_BY_TUNGSTENITE.contains(&bad) {
                    assert_eq!(messages, 0, "{bad:?}, seed {seed}: it completes a message");
                    assert!(fault.is_some(), "{bad:?}, seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_frames_again() {
        for bad in BadFrame::ALL {
            let written = |seed| {
                let mut wire = Vec::new();
                bad.write(&mut Rng::with_seed(seed), &mut wire);
                wire
            };
            assert_eq!(written(11), written(11), "{bad:?}");
        }
    }
}
