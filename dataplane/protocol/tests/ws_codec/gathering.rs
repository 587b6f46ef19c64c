//! What is copied, what is kept, and when.

use std::mem::size_of;

use hioload_buffer::Pool;
use hioload_protocol::ws::{
    Decoded, Decoder, Event, Kind, Message, ProtocolError, SERVER_HEADER_BYTES_MAX, encode,
};

use crate::client::{Seen, decode_whole, feed, frame, limits, pool};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Feeds `wire` and expects a message in it.
fn message<'a>(decoder: &'a mut Decoder, wire: &'a mut [u8], pool: &mut Pool) -> Message<'a> {
    let Decoded { outcome, .. } = decoder.decode(wire, &limits(usize::MAX), pool);
    match outcome {
        Ok(Some(Event::Message(message))) => message,
        other => panic!("no message but {other:?}"),
    }
}

#[test]
fn a_decoder_is_a_pointer() {
    assert_eq!(size_of::<Decoder>(), size_of::<usize>());
}

#[test]
fn a_whole_frame_stays_where_it_was_read() {
    let (mut decoder, mut pool) = (Decoder::new(), pool());
    let mut wire = frame(0x81, b"hello", KEY);
    let payload_at = wire[6..].as_ptr();
    let message = message(&mut decoder, &mut wire, &mut pool);
    assert_eq!(message.text(), Some("hello"));
    assert_eq!(message.payload().as_ptr(), payload_at);
}

#[test]
fn a_gathered_message_is_forwarded_in_the_buffer_it_was_gathered_in() {
    let (mut decoder, mut pool) = (Decoder::new(), pool());
    let payload = vec![7; 70_000];
    let mut wire = frame(0x82, &payload, KEY);
    let (first, second) = wire.split_at_mut(40_000);
    let started = decoder.decode(first, &limits(usize::MAX), &mut pool);
    assert!(matches!(started.outcome, Ok(None)));
    let message = message(&mut decoder, second, &mut pool);
    let gathered_at = message.payload().as_ptr();
    let forwarded = encode::forward(message, &mut pool);
    assert_eq!(forwarded.len(), SERVER_HEADER_BYTES_MAX + payload.len());
    assert_eq!(forwarded[..2], [0x82, 127]);
    assert_eq!(forwarded[SERVER_HEADER_BYTES_MAX..].as_ptr(), gathered_at);
    assert_eq!(forwarded[SERVER_HEADER_BYTES_MAX..], payload);
}

#[test]
fn whole_and_gathered_messages_are_forwarded_alike() {
    let mut pool = pool();
    for (first, len, header) in [(0x81, 5, &[0x81, 5][..]), (0x82, 300, &[0x82, 126, 1, 44])] {
        let payload = vec![b'a'; len];
        let expected = [header, &payload].concat();
        let mut decoder = Decoder::new();
        let mut wire = frame(first, &payload, KEY);
        let whole = message(&mut decoder, &mut wire, &mut pool);
        assert_eq!(encode::forward(whole, &mut pool)[..], expected[..]);

        let mut wire = frame(first, &payload, KEY);
        let (early, late) = wire.split_at_mut(len);
        assert!(matches!(decoder.decode(early, &limits(1_000), &mut pool).outcome, Ok(None)));
        let gathered = message(&mut decoder, late, &mut pool);
        assert_eq!(encode::forward(gathered, &mut pool)[..], expected[..]);
    }
}

#[test]
fn memory_grows_with_what_came_and_not_with_what_a_header_claims() {
    let (mut decoder, mut pool, mut seen) = (Decoder::new(), pool(), Vec::new());
    let mut wire = vec![0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0];
    feed(&mut decoder, &wire, limits(usize::MAX), &mut pool, &mut seen);
    assert_eq!(decoder.bytes_held(), 0, "a header takes no buffer");
    wire = vec![0; 1_000];
    for came in 1..=200 {
        feed(&mut decoder, &wire, limits(usize::MAX), &mut pool, &mut seen);
        let held = decoder.bytes_held();
        assert!(held <= 4 * came * wire.len(), "{held} bytes held for {came} kB");
    }
    assert_eq!(seen, []);
}

#[test]
fn the_limit_is_found_in_the_header_and_nothing_is_kept() {
    let (mut decoder, mut pool, mut seen) = (Decoder::new(), pool(), Vec::new());
    feed(&mut decoder, &frame(0x02, &[1; 60], KEY), limits(100), &mut pool, &mut seen);
    let next = frame(0x80, &[2; 41], KEY);
    feed(&mut decoder, &next[..6], limits(100), &mut pool, &mut seen);
    assert_eq!(seen, [Seen::Error(ProtocolError::MessageTooBig)]);
    assert_eq!(decoder.bytes_held(), 0);
}

#[test]
fn no_limit_lets_a_message_in_that_no_buffer_holds() {
    let mut wire = vec![0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 1, 0, 0, 0, 0];
    let seen = decode_whole(&wire, limits(usize::MAX));
    assert_eq!(seen, [Seen::Error(ProtocolError::MessageTooBig)]);
    wire[9] = 0;
    assert_eq!(decode_whole(&wire, limits(usize::MAX)), [], "1 GiB is let in");
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    let wire = [frame(0x02, &[1; 60], KEY), frame(0x80, &[2; 40], KEY)].concat();
    let [Seen::Message(Kind::Binary, payload)] = &decode_whole(&wire, limits(100))[..] else {
        panic!("no message");
    };
    assert_eq!(payload.len(), 100);
}

#[test]
fn nothing_is_held_between_messages() {
    let (mut decoder, mut pool, mut seen) = (Decoder::new(), pool(), Vec::new());
    let wire = [frame(0x01, b"one ", KEY), frame(0x80, b"two", KEY)].concat();
    for byte in &wire {
        feed(&mut decoder, &[*byte], limits(100), &mut pool, &mut seen);
    }
    assert_eq!(seen, [Seen::Message(Kind::Text, b"one two".to_vec())]);
    assert_eq!(decoder.bytes_held(), 0);
}

#[test]
fn a_ping_in_pieces_between_fragments_in_pieces_leaves_the_message_whole() {
    let (mut decoder, mut pool, mut seen) = (Decoder::new(), pool(), Vec::new());
    let wire = [
        frame(0x01, "grüß ".as_bytes(), KEY),
        frame(0x89, &[9; 125], KEY),
        frame(0x00, "di".as_bytes(), KEY),
        frame(0x8a, b"", KEY),
        frame(0x89, b"again", KEY),
        frame(0x80, "ch".as_bytes(), KEY),
    ]
    .concat();
    for piece in wire.chunks(3) {
        feed(&mut decoder, piece, limits(12), &mut pool, &mut seen);
    }
    let expected = [
        Seen::Ping(vec![9; 125]),
        Seen::Pong(vec![]),
        Seen::Ping(b"again".to_vec()),
        Seen::Message(Kind::Text, "grüß dich".as_bytes().to_vec()),
    ];
    assert_eq!(seen, expected);
    assert_eq!(decoder.bytes_held(), 0);
}

#[test]
fn after_a_ping_in_pieces_a_whole_frame_stays_where_it_was_read() {
    let (mut decoder, mut pool, mut seen) = (Decoder::new(), pool(), Vec::new());
    for piece in frame(0x89, b"ping", KEY).chunks(8) {
        feed(&mut decoder, piece, limits(100), &mut pool, &mut seen);
    }
    assert_eq!(seen, [Seen::Ping(b"ping".to_vec())]);
    let mut wire = frame(0x82, b"hello", KEY);
    let payload_at = wire[6..].as_ptr();
    assert_eq!(message(&mut decoder, &mut wire, &mut pool).payload().as_ptr(), payload_at);
    assert_eq!(decoder.bytes_held(), 0);
}

#[test]
fn a_message_of_many_one_byte_fragments_is_one_message() {
    let len = 1 << 18;
    let mut wire = frame(0x02, b"x", KEY);
    for _ in 2..len {
        wire.extend(frame(0x00, b"x", KEY));
    }
    wire.extend(frame(0x80, b"x", KEY));
    assert_eq!(decode_whole(&wire, limits(len)), [Seen::Message(Kind::Binary, vec![b'x'; len])]);
}
