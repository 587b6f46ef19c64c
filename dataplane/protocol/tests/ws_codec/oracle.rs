//! The codec against `tungstenite`, another implementation of RFC 6455.
//!
//! As a server it reads the same bytes as our decoder; as a client it reads what our encoder wrote.
//! Where tungstenite 0.30 and the RFC differ, [`judge`] says so and holds us to the RFC:
//!
//! - it accepts a length that is not in its shortest form (section 5.2);
//! - it tells a Close with a forbidden code as a Close with 1002 "Protocol violation", not as an
//!   error; on the wire that is the same;
//! - it forbids code 1014, which the IANA registry has;
//! - it looks for faults when the frame is complete, we when the byte that holds them is there;
//! - where a frame breaks several rules it compares the length with the limit first, and reads the
//!   reason of a Close before its code.

use std::io::{self, Cursor, Read, Write};

use hioload_protocol::ws::{CloseCode, Kind, ProtocolError, encode};
use proptest::prelude::*;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use crate::client::{Seen, conversation, damaged_conversation, decode_whole, limits, pool};

const MESSAGE_BYTES_MAX: usize = 40_000;

/// How the oracle's reading ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The bytes ended.
    Starved,
    Close(Option<u16>, String),
    /// An error that is answered with this code.
    Refused(CloseCode),
}

/// A connection of which one direction is given and the other is thrown away.
struct OneWay(Cursor<Vec<u8>>);

impl Read for OneWay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for OneWay {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite sees in `wire`, up to an error or a Close.
fn oracle(role: Role, wire: &[u8]) -> (Vec<Seen>, End) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connection = OneWay(Cursor::new(wire.to_vec()));
    let mut socket = WebSocket::from_raw_socket(connection, role, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(Message::Text(text)) => Seen::Message(Kind::Text, text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Seen::Message(Kind::Binary, bytes.to_vec()),
            Ok(Message::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(Message::Pong(payload)) => Seen::Pong(payload.to_vec()),
            Ok(Message::Close(None)) => return (seen, End::Close(None, String::new())),
            Ok(Message::Close(Some(close))) => {
                let reason = close.reason.as_str().to_owned();
                return (seen, End::Close(Some(close.code.into()), reason));
            }
            Ok(Message::Frame(_)) => unreachable!("only written, never read"),
            Err(Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => {
                return (seen, End::Starved);
            }
            Err(Error::Protocol(_)) => return (seen, End::Refused(CloseCode::PROTOCOL_ERROR)),
            Err(Error::Utf8(_)) => return (seen, End::Refused(CloseCode::INVALID_PAYLOAD)),
            Err(Error::Capacity(_)) => return (seen, End::Refused(CloseCode::MESSAGE_TOO_BIG)),
            Err(error) => unreachable!("{error}"),
        });
    }
}

/// Compares what we saw with what the oracle saw.
fn judge(wire: &[u8]) -> Result<(), TestCaseError> {
    let mut ours = decode_whole(wire, limits(MESSAGE_BYTES_MAX));
    let ending = ours.pop_if(|last| matches!(last, Seen::Close(..) | Seen::Error(_)));
    let Some(ending) = ending else {
        prop_assert_eq!(oracle(Role::Server, wire), (ours, End::Starved));
        return Ok(());
    };
    // The oracle looks once a frame is complete: zeros complete any that it would accept.
    let completed = [wire, &vec![0; MESSAGE_BYTES_MAX + 16]].concat();
    let (theirs, their_end) = oracle(Role::Server, &completed);
    match ending {
        Seen::Error(ProtocolError::LengthNotMinimal) => {
            prop_assert_eq!(&theirs[..ours.len()], ours);
            return Ok(());
        }
        Seen::Error(ProtocolError::InvalidCloseCode) => {
            let told = End::Close(Some(1002), "Protocol violation".into());
            let reason_first = End::Refused(CloseCode::INVALID_PAYLOAD);
            prop_assert!(their_end == told || their_end == reason_first, "{their_end:?}");
        }
        Seen::Error(error) => {
            let same = their_end == End::Refused(error.close_code());
            let length_first = error.close_code() == CloseCode::PROTOCOL_ERROR
                && their_end == End::Refused(CloseCode::MESSAGE_TOO_BIG);
            prop_assert!(same || length_first, "ours: {error:?}, theirs: {their_end:?}");
        }
        Seen::Close(Some(1014), _) => {
            prop_assert_eq!(their_end, End::Close(Some(1002), "Protocol violation".into()));
        }
        Seen::Close(code, reason) => prop_assert_eq!(their_end, End::Close(code, reason)),
        Seen::Message(..) | Seen::Ping(_) | Seen::Pong(_) => unreachable!("not an ending"),
    }
    prop_assert_eq!(theirs, ours);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn conversations_are_read_alike(wire in conversation()) {
        judge(&wire)?;
    }

    #[test]
    fn damaged_conversations_are_refused_alike(wire in damaged_conversation()) {
        judge(&wire)?;
    }

    #[test]
    fn a_client_reads_what_we_encode(
        text in any::<String>(),
        bytes in prop::collection::vec(any::<u8>(), 0..MESSAGE_BYTES_MAX),
        payload in prop::collection::vec(any::<u8>(), 0..=125),
        reason in "\\PC{0,40}",
    ) {
        let mut pool = pool();
        let frames = [
            encode::forward(text.as_str().into(), &mut pool),
            encode::ping(&payload, &mut pool),
            encode::forward(bytes.as_slice().into(), &mut pool),
            encode::pong(&payload, &mut pool),
            encode::close(CloseCode::POLICY_VIOLATION, &reason, &mut pool),
        ];
        let (seen, end) = oracle(Role::Client, &frames.map(|frame| frame.to_vec()).concat());
        let expected = [
            Seen::Message(Kind::Text, text.into_bytes()),
            Seen::Ping(payload.clone()),
            Seen::Message(Kind::Binary, bytes),
            Seen::Pong(payload),
        ];
        prop_assert_eq!(&seen[..], &expected[..]);
        let cut = reason.floor_char_boundary(encode::CLOSE_REASON_BYTES_MAX);
        prop_assert_eq!(end, End::Close(Some(1008), reason[..cut].to_owned()));
    }
}

#[test]
fn a_length_not_in_its_shortest_form_is_refused_though_the_oracle_reads_it() {
    let wire = b"\x82\xfe\x00\x02\0\0\0\0hi";
    assert_eq!(
        oracle(Role::Server, wire),
        (vec![Seen::Message(Kind::Binary, b"hi".to_vec())], End::Starved)
    );
    assert_eq!(
        decode_whole(wire, limits(MESSAGE_BYTES_MAX)),
        [Seen::Error(ProtocolError::LengthNotMinimal)]
    );
}

#[test]
fn code_1014_is_taken_though_the_oracle_refuses_it() {
    let wire = b"\x88\x82\0\0\0\0\x03\xf6";
    let (_, end) = oracle(Role::Server, wire);
    assert_eq!(end, End::Close(Some(1002), "Protocol violation".into()));
    assert_eq!(
        decode_whole(wire, limits(MESSAGE_BYTES_MAX)),
        [Seen::Close(Some(1014), String::new())]
    );
}
