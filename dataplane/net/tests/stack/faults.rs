//! Connections on a wire that loses, doubles, delays and damages frames.

use std::net::IpAddr;
use std::time::Duration;

use hioload_net::{Streams, WireOptions};

use smoltcp::wire::TcpPacket;

use crate::scene::{SERVER, SERVER_V6, Scene, arena, options, port_options};

/// Both directions carry a stream at the same time, whole and in order, whatever the wire does.
fn carries_all(wire: &WireOptions) {
    let arena = arena();
    let mut scene = Scene::with(&arena, wire, port_options(), options());
    let (flow, client) = scene.connect();
    let stream: Vec<u8> = (0..40_000_u32).map(|at| (at % 253) as u8).collect();
    let (mut to_send, mut heard, mut read) = (&stream[..], Vec::new(), Vec::new());
    for piece in stream.chunks(700) {
        scene.queue(flow, piece);
    }
    scene.streams.flush(flow);
    scene.until(&format!("all is carried, with {wire:?}"), |scene| {
        let sent = scene.station.socket(client).send_slice(to_send).unwrap_or(0);
        to_send = &to_send[sent..];
        heard.extend(scene.station.received(client));
        read.extend(scene.read(flow).0);
        for flow in std::mem::take(&mut scene.writable) {
            scene.streams.flush(flow);
        }
        heard.len() == stream.len() && read.len() == stream.len()
    });
    assert!(heard == stream && read == stream, "whole and in order, with {wire:?}");
}

#[test]
fn a_stream_arrives_whole_though_frames_are_lost() {
    carries_all(&WireOptions {
        latency: Duration::from_micros(200),
        lost_ppm: 20_000,
        seed: 11,
        ..WireOptions::default()
    });
}

#[test]
fn a_stream_arrives_whole_though_frames_are_doubled_and_delayed() {
    carries_all(&WireOptions {
        latency: Duration::from_micros(300),
        doubled_ppm: 50_000,
        delayed_ppm: 50_000,
        seed: 12,
        ..WireOptions::default()
    });
}

#[test]
fn a_stream_arrives_whole_though_frames_are_damaged() {
    carries_all(&WireOptions { damaged_ppm: 20_000, seed: 13, ..WireOptions::default() });
    carries_all(&WireOptions {
        damaged_ppm: 20_000,
        offloads: true,
        seed: 14,
        ..WireOptions::default()
    });
}

/// Segments that a client would send, with fields that none would, and right checksums.
#[test]
fn no_segment_is_more_than_the_stack_can_bear() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let arena = arena();
    let mut scene = Scene::new(&arena);
    scene.station.wire.sent = Some(Vec::new());
    for address in [SERVER, SERVER_V6] {
        let (flow, client) = scene.connect_to(address);
        scene.station.send(client, b"hello");
        scene.reads(flow, 5);
        scene.station.socket(client).close();
        scene.turns(5);
    }
    let sent = scene.station.wire.sent.take().unwrap();
    let segments: Vec<_> = sent.into_iter().filter(|frame| tcp_at(frame).is_some()).collect();
    for round in 0..20_000 {
        let mut frame = segments[random.usize(..segments.len())].clone();
        let at = tcp_at(&frame).unwrap();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(at..frame.len());
            frame[place] = if random.bool() { random.u8(..) } else { frame[place] ^ 1 };
        }
        if random.u8(..) < 64 {
            // Other connections of the same client, so that there are some in each state.
            frame[at + 1] = random.u8(..4);
        }
        fill_checksum(&mut frame, at);
        scene.station.wire.send(&frame);
        scene.pass(Duration::from_micros(random.u64(..50_000)));
        if round % 7 == 0 {
            for flow in std::mem::take(&mut scene.readable) {
                scene.read(flow);
                scene.say(flow, b"well");
                if random.bool() {
                    scene.streams.close(flow);
                }
            }
        }
    }
    let counters = scene.streams.stack_counters();
    assert!(counters.half_open <= 8 && counters.open + counters.half_open <= 64, "{counters:?}");
    // A client that keeps to the rules is served as ever.
    scene.opened.clear();
    let (flow, client) = scene.connect();
    scene.say(flow, b"as ever");
    assert_eq!(scene.hears(client, 7), b"as ever");
}

/// Where TCP begins in a frame.
pub(crate) fn tcp_at(frame: &[u8]) -> Option<usize> {
    match ([frame[12], frame[13]], frame.get(23), frame.get(20)) {
        ([0x08, 0x00], Some(6), _) => Some(34),
        ([0x86, 0xdd], _, Some(6)) => Some(54),
        _ => None,
    }
}

pub(crate) fn fill_checksum(frame: &mut [u8], at: usize) {
    let (source, destination): (IpAddr, IpAddr) = if at == 34 {
        let address = |at: usize| <[u8; 4]>::try_from(&frame[at..at + 4]).unwrap();
        (address(26).into(), address(30).into())
    } else {
        let address = |at: usize| <[u8; 16]>::try_from(&frame[at..at + 16]).unwrap();
        (address(22).into(), address(38).into())
    };
    let mut packet = TcpPacket::new_unchecked(&mut frame[at..]);
    packet.fill_checksum(&source.into(), &destination.into());
}
