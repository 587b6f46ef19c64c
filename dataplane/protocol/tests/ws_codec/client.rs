//! What a client sends, and what the decoder made of it.

use hioload_buffer::{Pool, PoolOptions};
use hioload_protocol::ws::{DecodeLimits, Decoded, Decoder, Event, Kind, ProtocolError};
use proptest::prelude::*;

/// An event by value, or the error at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Message(Kind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Error(ProtocolError),
}

pub(crate) fn pool() -> Pool {
    Pool::new(PoolOptions::default())
}

pub(crate) fn limits(message_bytes_max: usize) -> DecodeLimits {
    DecodeLimits { message_bytes_max, messages_allowed: true }
}

/// A masked frame with the length in its shortest form; `first` is FIN, reserved bits and opcode.
pub(crate) fn frame(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut wire = vec![first];
    match payload.len() {
        len @ 0..=125 => wire.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..=65_535 => {
            wire.push(0x80 | 126);
            wire.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            wire.push(0x80 | 127);
            wire.extend((len as u64).to_be_bytes());
        }
    }
    wire.extend(key);
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    wire
}

/// Feeds `piece` to `decoder` and adds what comes of it to `seen`.
pub(crate) fn feed(
    decoder: &mut Decoder,
    piece: &[u8],
    limits: DecodeLimits,
    pool: &mut Pool,
    seen: &mut Vec<Seen>,
) {
    let mut piece = piece.to_vec();
    let mut rest = &mut piece[..];
    while !rest.is_empty() {
        let Decoded { consumed, outcome } = decoder.decode(rest, &limits, pool);
        match outcome {
            Ok(None) => assert_eq!(consumed, rest.len(), "without an event all is consumed"),
            Ok(Some(event)) => seen.push(by_value(event)),
            Err(error) => {
                seen.push(Seen::Error(error));
                assert_eq!(consumed, rest.len(), "with an error all is consumed");
            }
        }
        rest = &mut rest[consumed..];
    }
}

fn by_value(event: Event<'_>) -> Seen {
    match event {
        Event::Message(message) => {
            match message.kind() {
                Kind::Text => assert_eq!(message.text().unwrap().as_bytes(), message.payload()),
                Kind::Binary => assert_eq!(message.text(), None),
            }
            Seen::Message(message.kind(), message.payload().to_vec())
        }
        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
        Event::Pong(payload) => Seen::Pong(payload.to_vec()),
        Event::Close(close) => {
            Seen::Close(close.code.map(hioload_protocol::ws::CloseCode::get), close.reason.into())
        }
    }
}

/// What a new decoder sees in `wire`, cut at `cuts`, which are in ascending order.
pub(crate) fn decode_in_pieces(wire: &[u8], cuts: &[usize], limits: DecodeLimits) -> Vec<Seen> {
    let mut pool = pool();
    let mut decoder = Decoder::new();
    let mut seen = Vec::new();
    let mut start = 0;
    for cut in cuts.iter().copied().chain([wire.len()]) {
        let end = cut.clamp(start, wire.len());
        feed(&mut decoder, &wire[start..end], limits, &mut pool, &mut seen);
        start = end;
    }
    seen
}

pub(crate) fn decode_whole(wire: &[u8], limits: DecodeLimits) -> Vec<Seen> {
    decode_in_pieces(wire, &[], limits)
}

pub(crate) fn decode_bytewise(wire: &[u8], limits: DecodeLimits) -> Vec<Seen> {
    decode_in_pieces(wire, &(1..wire.len()).collect::<Vec<_>>(), limits)
}

/// A message in one to five fragments with control frames between them, or a Close now and then.
fn conversation_part() -> impl Strategy<Value = Vec<u8>> {
    let text = any::<Vec<char>>().prop_map(|chars| (0x1, String::from_iter(chars).into_bytes()));
    let bytes = prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| (0x2, bytes));
    let large = (126_usize..70_000).prop_map(|len| (0x2, vec![0xa5; len]));
    let message = prop_oneof![6 => text, 6 => bytes, 1 => large];
    let controls = prop::collection::vec(control(), 0..2);
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), controls), 0..4);
    let fragmented =
        (message, cuts, any::<[u8; 4]>()).prop_map(|((opcode, payload), cuts, key)| {
            let mut cuts: Vec<_> = cuts
                .into_iter()
                .map(|(cut, controls)| (cut.index(payload.len() + 1), controls))
                .collect();
            cuts.sort();
            let mut wire = Vec::new();
            let (mut start, mut opcode) = (0, opcode);
            for (cut, controls) in cuts {
                wire.extend(frame(opcode, &payload[start..cut], key));
                wire.extend(controls.concat());
                (start, opcode) = (cut, 0x0);
            }
            wire.extend(frame(0x80 | opcode, &payload[start..], key));
            wire
        });
    prop_oneof![12 => fragmented, 6 => control(), 1 => close()]
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    (prop::sample::select(vec![0x89, 0x8a]), payload, any::<[u8; 4]>())
        .prop_map(|(first, payload, key)| frame(first, &payload, key))
}

fn close() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![1000_u16..1016, 2990_u16..3010, 4990_u16..5010];
    let payload = prop::option::of((code, "\\PC{0,30}")).prop_map(|said| match said {
        Some((code, reason)) => [&code.to_be_bytes()[..], reason.as_bytes()].concat(),
        None => Vec::new(),
    });
    (payload, any::<[u8; 4]>()).prop_map(|(payload, key)| frame(0x88, &payload, key))
}

/// What a client may send, frame after frame; only some codes of a Close are wrong.
pub(crate) fn conversation() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(conversation_part(), 1..6).prop_map(|parts| parts.concat())
}

/// A conversation of which up to four bytes are changed; near a frame's start, often.
pub(crate) fn damaged_conversation() -> impl Strategy<Value = Vec<u8>> {
    let place = prop_oneof![any::<prop::sample::Index>().prop_map(Ok), (0_usize..20).prop_map(Err)];
    let damage = prop::collection::vec((place, any::<u8>()), 0..5);
    let cut = prop::option::weighted(0.3, any::<prop::sample::Index>());
    (conversation(), damage, cut).prop_map(|(mut wire, damage, cut)| {
        for (place, byte) in damage {
            let index = match place {
                Ok(anywhere) => anywhere.index(wire.len()),
                Err(near_the_start) => near_the_start.min(wire.len() - 1),
            };
            wire[index] = byte;
        }
        if let Some(cut) = cut {
            wire.truncate(cut.index(wire.len()));
        }
        wire
    })
}
