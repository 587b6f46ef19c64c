//! What the codec allocates once its pool is warm.

use hioload_buffer::{Pool, PoolOptions};
use hioload_mem::CountingAllocator;
use hioload_protocol::ws::{DecodeLimits, Decoded, Decoder, Event, encode};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const LIMITS: DecodeLimits = DecodeLimits { message_bytes_max: 64 * 1024, messages_allowed: true };
const MESSAGES: usize = 100_000;

/// Calls of the allocator in `MESSAGES` times `act`, after as many as warm the pool.
fn allocations(mut act: impl FnMut()) -> u64 {
    for _ in 0..100 {
        act();
    }
    let before = CountingAllocator::this_thread();
    for _ in 0..MESSAGES {
        act();
    }
    (CountingAllocator::this_thread() - before).calls
}

/// Text frames of 600 bytes and a ping; the masks are zero, so that they can be decoded again.
fn wire() -> Vec<u8> {
    let mut wire = Vec::new();
    for fin_and_opcode in [0x81, 0x01, 0x80] {
        wire.extend([fin_and_opcode, 0x80 | 126, 2, 88, 0, 0, 0, 0]);
        wire.resize(wire.len() + 600, b'a');
    }
    wire.extend([0x89, 0x82, 0, 0, 0, 0, b'h', b'i']);
    wire
}

/// Decodes `wire` in pieces, forwards its messages and answers its pings. Returns how many frames
/// that makes.
fn answer(wire: &mut [u8], piece_len: usize, decoder: &mut Decoder, pool: &mut Pool) -> usize {
    let mut frames = 0;
    for mut rest in wire.chunks_mut(piece_len) {
        while !rest.is_empty() {
            let Decoded { consumed, outcome } = decoder.decode(rest, &LIMITS, pool);
            match outcome {
                Ok(Some(Event::Message(message))) => {
                    frames += usize::from(encode::forward(message, pool).len() > 600);
                }
                Ok(Some(Event::Ping(payload))) => {
                    frames += usize::from(encode::pong(payload, pool).len() == 4);
                }
                other => assert!(matches!(other, Ok(None)), "{other:?}"),
            }
            rest = &mut rest[consumed..];
        }
    }
    frames
}

#[test]
fn whole_frames_are_decoded_without_a_buffer() {
    let mut pool = Pool::new(PoolOptions::default());
    let mut decoder = Decoder::new();
    let mut wire = wire();
    let whole_len = 608;
    let allocations = allocations(|| {
        let decoded = decoder.decode(&mut wire[..whole_len], &LIMITS, &mut pool);
        assert!(matches!(decoded.outcome, Ok(Some(Event::Message(_)))));
    });
    assert_eq!(allocations, 0);
}

#[test]
fn messages_in_pieces_are_gathered_and_forwarded_in_recycled_buffers() {
    let mut pool = Pool::new(PoolOptions::default());
    let mut decoder = Decoder::new();
    let mut wire = wire();
    let allocations = allocations(|| {
        assert_eq!(answer(&mut wire, 250, &mut decoder, &mut pool), 3);
    });
    assert_eq!(allocations, 0);
}

#[test]
fn messages_are_encoded_into_recycled_buffers() {
    let mut pool = Pool::new(PoolOptions::default());
    let allocations = allocations(|| {
        drop(encode::forward("the same for everybody".into(), &mut pool));
    });
    assert_eq!(allocations, 0);
}
