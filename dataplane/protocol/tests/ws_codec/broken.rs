//! The table of broken frames, answered by the decoder alone.

use std::collections::HashSet;

use hioload_protocol::ws::{DecodeLimits, ProtocolError};

use crate::broken_frames::{BROKEN_FRAMES, MESSAGE_BYTES_MAX};
use crate::client::{Seen, decode_bytewise, decode_whole, limits};

#[test]
fn each_broken_sequence_ends_with_its_error_however_it_arrives() {
    for case in BROKEN_FRAMES {
        let whole = decode_whole(case.bytes, limits(MESSAGE_BYTES_MAX));
        let Some(Seen::Error(error)) = whole.last() else { panic!("{}: {whole:?}", case.name) };
        // No two errors have the same reason, so this names the error.
        assert_eq!(error.reason(), case.reason, "{}", case.name);
        assert_eq!(error.close_code().get(), case.close_code, "{}", case.name);
        assert_eq!(decode_bytewise(case.bytes, limits(MESSAGE_BYTES_MAX)), whole, "{}", case.name);
    }
}

#[test]
fn the_table_has_every_error_of_a_service_that_takes_messages() {
    let in_table: HashSet<_> = BROKEN_FRAMES.iter().map(|case| case.reason).collect();
    let mut errors = HashSet::from(ProtocolError::ALL.map(ProtocolError::reason));
    errors.remove(ProtocolError::MessageRefused.reason());
    assert_eq!(in_table, errors);
}

#[test]
fn where_no_message_is_taken_its_header_is_an_error_and_control_frames_are_none() {
    let limits = DecodeLimits { messages_allowed: false, ..limits(MESSAGE_BYTES_MAX) };
    let refused = [Seen::Error(ProtocolError::MessageRefused)];
    for header in [b"\x81\x85\0\0\0\0", b"\x02\x85\0\0\0\0"] {
        assert_eq!(decode_bytewise(header, limits), refused);
    }
    let ping = b"\x89\x80\0\0\0\0";
    assert_eq!(decode_whole(ping, limits), [Seen::Ping(Vec::new())]);
}
