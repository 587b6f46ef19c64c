//! Work to be counted instead of timed: `ci/callgrind` runs it under callgrind.

use std::hint::black_box;

use hioload_buffer::{Pool, PoolOptions};
use hioload_protocol::ws::{DecodeLimits, Decoded, Decoder, Event, Message, encode};

use crate::scene::{Scene, message};

/// Sessions of a broadcast.
const SESSIONS: u32 = 1_000;

/// Does `what` as many times as `times` says: `decode` or `encode` a 64-byte frame, or `deliver` a
/// 64-byte message to one of 1,000 sessions. What else the process does is the same for every
/// number, so the difference of two counts is the cost of the difference.
pub(crate) fn run(what: &str, times: &str) {
    let times: u32 = times.parse().expect("a number of times");
    match what {
        "decode" => decode(times),
        "encode" => encode(times),
        "deliver" => deliver(times),
        _ => panic!("nothing is counted that is called {what}"),
    }
}

fn decode(times: u32) {
    let mut pool = Pool::new(PoolOptions::default());
    let mut decoder = Decoder::new();
    let limits = DecodeLimits { message_bytes_max: 1 << 20, messages_allowed: true };
    let mut wire = message();
    for _ in 0..times {
        let Decoded { outcome, .. } = decoder.decode(black_box(&mut wire), &limits, &mut pool);
        let Ok(Some(Event::Message(message))) = outcome else { panic!("not a message") };
        black_box(message.payload());
    }
}

fn encode(times: u32) {
    let mut pool = Pool::new(PoolOptions::default());
    let text = "a".repeat(64);
    for _ in 0..times {
        black_box(encode::forward(Message::from(black_box(text.as_str())), &mut pool));
    }
}

fn deliver(times: u32) {
    let mut scene = Scene::new(SESSIONS, 1);
    for _ in 0..times / SESSIONS {
        scene.round(1);
    }
}
