//! What losses, silence and strangers do to a connection, where `smoltcp` leaves it to us.

use std::net::Ipv4Addr;
use std::time::Duration;

use hioload_net::{DropReason, FlushState, FramePort, ReadState, Streams, WireOptions};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use crate::scene::{Scene, arena, options, port_options};

/// The port that the station connects from first.
const CLIENT_PORT: u16 = 40_001;
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The frame of a SYN from anybody.
fn syn(source: Ipv4Addr, port: u16, sequence: i32) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 20];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[0x08, 0]);
    let segment = TcpRepr {
        src_port: port,
        dst_port: 80,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(sequence),
        ack_number: None,
        window_len: 1000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let (source, destination) = (source.into(), SERVER.into());
    let checksums = ChecksumCapabilities::default();
    IpRepr::new(source, destination, IpProtocol::Tcp, 20, 64).emit(&mut frame[14..], &checksums);
    let mut packet = TcpPacket::new_unchecked(&mut frame[34..]);
    segment.emit(&mut packet, &source, &destination, &checksums);
    frame
}

#[test]
fn after_a_loss_of_all_that_was_on_its_way_one_timeout_is_enough() {
    let arena = arena();
    let mut options = options();
    options.send_ring_bytes = 8192;
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options(), options);
    let (flow, client) = scene.connect();
    for _ in 0..20 {
        scene.say(flow, &[b'w'; 1400]);
        assert_eq!(scene.hears(client, 1400).len(), 1400);
    }

    scene.say(flow, &[b'x'; 5840]);
    for _ in 0..3 {
        scene.pass_alone(Duration::from_micros(100));
        scene.station.wire.port.receive(scene.now, &mut Vec::new());
    }
    let begin = scene.now;

    assert_eq!(scene.hears(client, 5840), [b'x'; 5840]);
    assert!(scene.now - begin < Duration::from_millis(1500), "{:?}", scene.now - begin);
}

#[test]
fn a_strangers_syn_on_a_connection_is_answered_now_and_then_and_does_it_no_harm() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.turns(3);

    scene.station.wire.seen = Some(Vec::new());
    for sequence in 0..5 {
        scene.station.wire.send(&syn(CLIENT, CLIENT_PORT, sequence));
        scene.turn();
    }
    let seen = scene.station.wire.seen.take().expect("what was asked for");
    let windows: Vec<_> = seen.iter().map(|it| u16::from_be_bytes([it[48], it[49]])).collect();
    assert_eq!(windows, [1024]);

    let begin = scene.now;
    scene.station.send(client, b"hello");
    assert_eq!(scene.reads(flow, 5), b"hello");
    assert!(scene.now - begin < Duration::from_millis(2), "{:?}", scene.now - begin);
}

#[test]
fn nobody_is_answered_who_comes_from_an_address_that_no_station_has() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    scene.turns(3);
    scene.station.wire.seen = Some(Vec::new());

    for first in [0, 127, 224, 240, 255] {
        scene.station.wire.send(&syn(Ipv4Addr::new(first, 0, 0, 1), 5000, 1));
    }
    scene.turns(3);

    assert_eq!(scene.station.wire.seen, Some(Vec::new()));
    let dropped = scene.streams.stack_counters().dropped;
    assert_eq!(dropped[DropReason::Source as usize], 5);
}

#[test]
fn whoever_is_given_up_while_something_is_sent_to_him_is_told_of() {
    // At any moment of the tick in which the deadline is noticed.
    for phase in 0..10 {
        let arena = arena();
        let mut options = options();
        options.keepalive = Some(Duration::from_secs(1));
        let mut scene = Scene::with(&arena, &WireOptions::default(), port_options(), options);
        let (flow, client) = scene.connect();
        scene.station.send(client, b"here");
        assert_eq!(scene.reads(flow, 4), b"here");
        scene.turns(20 + phase);
        scene.station.vanish(client);
        scene.say(flow, b"still there?");
        scene.pass_alone(Duration::from_millis(2950));
        scene.readable.clear();

        let mut is_told = false;
        for _ in 0..1000 {
            scene.pass_alone(Duration::from_micros(100));
            is_told = scene.readable.contains(&flow);
            if is_told {
                break;
            }
            if scene.streams.backlog(flow).messages == 0 {
                scene.queue(flow, b"x");
            }
            if let FlushState::Lost(kind) = scene.streams.flush(flow).state {
                assert_eq!(kind, std::io::ErrorKind::TimedOut, "phase {phase}");
                is_told = true;
                break;
            }
        }
        assert!(is_told, "phase {phase}");
        assert_eq!(scene.read(flow).1, ReadState::Lost(std::io::ErrorKind::TimedOut));
    }
}
