//! Bytes as a client sends and reads them.

use std::fmt;

use super::Response;

/// What a client got from the server.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping and its payload.
    Ping(Vec<u8>),
    /// A pong and its payload.
    Pong(Vec<u8>),
    /// A Close: its code, if there is one, and its reason.
    Close(Option<u16>, String),
    /// The end of the stream, in order or by a reset.
    End,
}

impl Received {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Binary(bytes.into())
    }

    /// A Close with a code.
    pub fn close(code: u16, reason: impl Into<String>) -> Self {
        Self::Close(Some(code), reason.into())
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "text {text:?}"),
            Self::Binary(bytes) => write!(f, "binary \"{}\"", bytes.escape_ascii()),
            Self::Ping(bytes) => write!(f, "ping \"{}\"", bytes.escape_ascii()),
            Self::Pong(bytes) => write!(f, "pong \"{}\"", bytes.escape_ascii()),
            Self::Close(Some(code), reason) => write!(f, "close {code} {reason:?}"),
            Self::Close(None, _) => f.write_str("close without a code"),
            Self::End => f.write_str("the end"),
        }
    }
}

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// A whole frame as a client sends it, masked (RFC 6455 section 5.3).
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("below 126")),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).expect("below 2^16").to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first frame of `bytes` and its length, if it is complete. Messages of this server are never
/// fragmented.
pub(super) fn parse_frame(bytes: &[u8]) -> Option<(Received, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (length, start): (usize, usize) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (usize::try_from(length).expect("a length that fits into memory"), 10)
        }
        length => (usize::from(length), 2),
    };
    let payload = bytes.get(start..start.checked_add(length)?)?.to_vec();
    let received = match first {
        0x81 => Received::Text(String::from_utf8(payload).expect("the server sends UTF-8")),
        0x82 => Received::Binary(payload),
        0x88 => {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            let reason = payload.get(2..).unwrap_or_default();
            Received::Close(code, String::from_utf8_lossy(reason).into_owned())
        }
        0x89 => Received::Ping(payload),
        0x8a => Received::Pong(payload),
        byte => panic!("the server sent a frame that begins with {byte:#04x}"),
    };
    Some((received, start + length))
}

/// The first HTTP response of `bytes` and its length, if it is complete. It has a body unless it
/// answers `HEAD` or its status has none.
pub(super) fn parse_response(bytes: &[u8], head_only: bool) -> Option<(Response, usize)> {
    let head_len = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = str::from_utf8(&bytes[..head_len]).expect("the server sends heads in UTF-8");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let response = Response::new(status.expect("the server sends a status line"), headers);
    let body_len = match response.header("content-length") {
        Some(length) if !head_only => length.parse().expect("the server sends a length"),
        _ => 0,
    };
    let body = bytes.get(head_len..head_len + body_len)?.to_vec();
    Some((response.with_body(body), head_len + body_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_when_it_is_whole() {
        for length in [0_usize, 125, 126, 0xffff, 0x1_0000] {
            let mut frame = vec![0x82];
            match length {
                0..126 => frame.push(u8::try_from(length).unwrap()),
                126..0x1_0000 => {
                    frame.push(126);
                    frame.extend(u16::try_from(length).unwrap().to_be_bytes());
                }
                _ => {
                    frame.push(127);
                    frame.extend((length as u64).to_be_bytes());
                }
            }
            frame.extend(vec![7; length]);
            for cut in 0..frame.len().min(20) {
                assert_eq!(parse_frame(&frame[..cut]).map(|it| it.1), None, "{length} {cut}");
            }
            let whole = (Received::Binary(vec![7; length]), frame.len());
            frame.extend([0x81, 0]);
            assert_eq!(parse_frame(&frame), Some(whole));
        }
    }

    #[test]
    fn a_response_is_read_when_it_is_whole() {
        let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-Tag: a\r\n\r\nno, more";
        for cut in 0..bytes.len() - 6 {
            assert!(parse_response(&bytes[..cut], false).is_none(), "{cut}");
        }
        let (response, length) = parse_response(bytes, false).unwrap();
        assert_eq!((response.status(), response.text(), length), (404, "no", bytes.len() - 6));
        assert_eq!(response.header("x-tag"), Some("a"));
        assert_eq!(parse_response(bytes, true).unwrap().0.text(), "");
    }
}
