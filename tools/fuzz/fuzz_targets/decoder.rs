//! Bytes of a WebSocket client, whole and split: nothing panics, both give the same events, and
//! memory is bounded by what came.
#![no_main]

use hioload_buffer::{Pool, PoolOptions};
use hioload_protocol::ws::{
    CONTROL_BYTES_MAX, DecodeLimits, Decoded, Decoder, Event, Kind, Message, encode,
};
use libfuzzer_sys::fuzz_target;

/// Room that a pool may give beyond what is asked for.
const BUFFER_BYTES_MIN: usize = 4 * 1024;

fuzz_target!(|bytes: &[u8]| {
    // Steered by a byte that the stream keeps, so that any capture of frames is an input.
    let steer = bytes.last().map_or(1, |&byte| usize::from(byte));
    // A limit that short inputs reach, or none, so that a header may claim anything.
    let message_bytes_max = if steer % 2 == 0 { 256 } else { usize::MAX };
    let limits = DecodeLimits { message_bytes_max, messages_allowed: true };
    let whole = decode(bytes, bytes.len(), &limits);
    assert_eq!(decode(bytes, 1, &limits), whole);
    assert_eq!(decode(bytes, steer % 61 + 2, &limits), whole);
});

/// What comes out of `bytes` in chunks of `chunk_len`, told as text.
fn decode(bytes: &[u8], chunk_len: usize, limits: &DecodeLimits) -> Vec<String> {
    let mut pool = Pool::new(PoolOptions::default());
    let mut decoder = Decoder::new();
    let mut seen = Vec::new();
    let mut came = 0;
    for chunk in bytes.to_vec().chunks_mut(chunk_len.max(1)) {
        came += chunk.len();
        let mut rest = chunk;
        while !rest.is_empty() {
            let Decoded { consumed, outcome } = decoder.decode(rest, limits, &mut pool);
            assert!(consumed > 0);
            match outcome {
                Ok(Some(event)) => seen.push(tell(event, limits)),
                Ok(None) => assert_eq!(consumed, rest.len()),
                Err(error) => {
                    assert_eq!(consumed, rest.len());
                    seen.push(error.to_string());
                }
            }
            rest = &mut rest[consumed..];
            assert!(decoder.bytes_held() <= 4 * came + BUFFER_BYTES_MIN);
        }
    }
    seen
}

fn tell(event: Event<'_>, limits: &DecodeLimits) -> String {
    match event {
        Event::Message(message) => tell_message(message, limits),
        Event::Ping(payload) => tell_control("ping", payload),
        Event::Pong(payload) => tell_control("pong", payload),
        Event::Close(close) => format!("{close:?}"),
    }
}

fn tell_control(name: &str, payload: &[u8]) -> String {
    assert!(payload.len() <= CONTROL_BYTES_MAX);
    format!("{name} {payload:?}")
}

fn tell_message(message: Message<'_>, limits: &DecodeLimits) -> String {
    assert!(message.len() <= limits.message_bytes_max);
    assert_eq!(message.text().is_some(), message.kind() == Kind::Text);
    let told = format!("{:?} {:?}", message.kind(), message.payload());
    let payload = message.payload().to_vec();
    let frame = encode::forward(message, &mut Pool::new(PoolOptions::default()));
    assert!(frame.ends_with(&payload));
    told
}
