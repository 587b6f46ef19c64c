//! What a frame costs: decoded whole, decoded in pieces, encoded.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hioload_buffer::{Pool, PoolOptions};
use hioload_protocol::ws::{DecodeLimits, Decoded, Decoder, Event, encode};

const LIMITS: DecodeLimits =
    DecodeLimits { message_bytes_max: 16 * 1024 * 1024, messages_allowed: true };
const PAYLOAD_BYTES: [usize; 3] = [64, 1024, 16 * 1024];

/// A masked frame; `first` is FIN and opcode. The mask of text is zero: decoding unmasks in place,
/// again and again, and the text must stay text.
fn frame(first: u8, payload_len: usize) -> Vec<u8> {
    let mut wire = vec![first];
    match payload_len {
        0..126 => wire.push(0x80 | payload_len.to_le_bytes()[0]),
        126..65_536 => {
            wire.push(0x80 | 126);
            wire.extend(&payload_len.to_be_bytes()[6..]);
        }
        _ => {
            wire.push(0x80 | 127);
            wire.extend(payload_len.to_be_bytes());
        }
    }
    wire.extend(if first & 0x0f == 1 { [0; 4] } else { [0x37, 0xfa, 0x21, 0x3d] });
    wire.resize(wire.len() + payload_len, b'a');
    wire
}

/// Decodes `wire`, in pieces of `piece_len`, and returns how many messages that were.
fn decode(decoder: &mut Decoder, wire: &mut [u8], piece_len: usize, pool: &mut Pool) -> usize {
    let mut messages = 0;
    for piece in wire.chunks_mut(piece_len) {
        let mut rest = piece;
        while !rest.is_empty() {
            let Decoded { consumed, outcome } = decoder.decode(rest, &LIMITS, pool);
            if let Ok(Some(Event::Message(message))) = black_box(outcome) {
                messages += 1;
                black_box(message.payload());
            }
            rest = &mut rest[consumed..];
        }
    }
    messages
}

fn decode_whole(c: &mut Criterion) {
    for (name, first) in [("decode/binary", 0x82), ("decode/text", 0x81)] {
        let mut group = c.benchmark_group(name);
        for len in PAYLOAD_BYTES {
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_with_input(BenchmarkId::from_parameter(len), &len, |b, &len| {
                let mut pool = Pool::new(PoolOptions::default());
                let mut decoder = Decoder::new();
                let mut wire = frame(first, len);
                let wire_len = wire.len();
                b.iter(|| {
                    assert_eq!(decode(&mut decoder, &mut wire, wire_len, &mut pool), 1);
                });
            });
        }
    }
}

/// Pieces as segments (1,448 bytes) and as reads of a kernel socket (64 KiB); the last is a message
/// in fragments of one byte.
fn decode_pieces(c: &mut Criterion) {
    let mut one_byte_fragments = frame(0x02, 1);
    for _ in 2..(1 << 20) {
        one_byte_fragments.extend(frame(0x00, 1));
    }
    one_byte_fragments.extend(frame(0x80, 1));
    let cases = [
        ("16 KiB in segments", 16 * 1024, frame(0x82, 16 * 1024), 1448),
        ("16 MiB in reads", 16 << 20, frame(0x82, 16 << 20), 64 * 1024),
        ("1 MiB in fragments of a byte", 1 << 20, one_byte_fragments, 64 * 1024),
    ];
    let mut group = c.benchmark_group("decode/pieces");
    group.sample_size(20);
    for (name, len, mut wire, piece_len) in cases {
        group.throughput(Throughput::Bytes(len));
        group.bench_function(name, |b| {
            let mut pool = Pool::new(PoolOptions::default());
            let mut decoder = Decoder::new();
            b.iter(|| assert_eq!(decode(&mut decoder, &mut wire, piece_len, &mut pool), 1));
        });
    }
}

fn encode_message(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode/message");
    for len in PAYLOAD_BYTES {
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::from_parameter(len), &len, |b, &len| {
            let mut pool = Pool::new(PoolOptions::default());
            let payload = "a".repeat(len);
            b.iter(|| encode::forward(black_box(payload.as_str()).into(), &mut pool));
        });
    }
}

criterion_group!(ws, decode_whole, decode_pieces, encode_message);
criterion_main!(ws);
