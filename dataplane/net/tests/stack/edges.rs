//! What losses, silence and strangers do to a connection, where `smoltcp` leaves it to us.

use std::net::Ipv4Addr;
use std::time::Duration;

use hioload_net::{DropReason, FlowId, FlushState, FramePort, ReadState, Streams, WireOptions};
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use crate::scene::{Scene, arena, options, port_options};

/// The port that the station connects from first.
const CLIENT_PORT: u16 = 40_001;
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The frame of a SYN from anybody.
fn syn(source: Ipv4Addr, port: u16, sequence: i32) -> Vec<u8> {
    forged(source, port, TcpControl::Syn, sequence, None)
}

/// The frame of a segment without data that says it is from there.
fn forged(
    source: Ipv4Addr,
    port: u16,
    control: TcpControl,
    sequence: i32,
    acknowledged: Option<i32>,
) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 20];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[0x08, 0]);
    let segment = TcpRepr {
        src_port: port,
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(sequence),
        ack_number: acknowledged.map(TcpSeqNumber),
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

/// What stands in a frame of TCP over IPv4: its sequence number, and what it acknowledges.
fn numbers(frame: &[u8]) -> (i32, i32) {
    let at = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    (at(38), at(42))
}

/// The next sequence number that the server expects of its client.
fn next_of_client(scene: &mut Scene<'_>, client: SocketHandle, flow: FlowId) -> i32 {
    scene.station.wire.sent = Some(Vec::new());
    scene.station.send(client, b"hello");
    assert_eq!(scene.reads(flow, 5), b"hello");
    let sent = scene.station.wire.sent.take().expect("what was asked for");
    numbers(&sent[0]).0.wrapping_add(5)
}

/// The answers to these frames, one turn after the other.
fn answers(scene: &mut Scene<'_>, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<(i32, i32)> {
    scene.station.wire.seen = Some(Vec::new());
    for frame in frames {
        scene.station.wire.send(&frame);
        scene.turn();
    }
    scene.turn();
    let seen = scene.station.wire.seen.take().expect("what was asked for");
    seen.iter().map(|frame| numbers(frame)).collect()
}

#[test]
fn a_reset_within_the_window_is_answered_now_and_then_and_does_no_harm() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    let next = next_of_client(&mut scene, client, flow);
    scene.turns(3);

    let reset =
        |ahead: i32| forged(CLIENT, CLIENT_PORT, TcpControl::Rst, next.wrapping_add(ahead), None);
    let answered = answers(&mut scene, [1, 2, 500, 1023].map(reset));
    assert_eq!(answered.iter().map(|it| it.1).collect::<Vec<_>>(), [next]);
    assert_eq!(scene.read(flow).1, ReadState::Drained);
    scene.pass(Duration::from_secs(1));
    assert_eq!(answers(&mut scene, [reset(7)]).len(), 1, "and again a second later");

    // RFC 5961 section 3.2: outside of the window there is no answer, and the next one counts.
    scene.pass(Duration::from_secs(1));
    assert_eq!(answers(&mut scene, [-1, 1025, i32::MIN].map(reset)), []);
    assert_eq!(scene.read(flow).1, ReadState::Drained);
    assert_eq!(answers(&mut scene, [reset(0)]), []);
    assert_eq!(scene.read(flow).1, ReadState::Lost(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn a_reset_counts_by_what_was_received_whether_it_was_read_or_acknowledged_or_ended() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    let next = next_of_client(&mut scene, client, flow);
    // Neither read nor acknowledged.
    scene.station.send(client, b"more");
    scene.turn();
    let reset =
        |ahead: i32| forged(CLIENT, CLIENT_PORT, TcpControl::Rst, next.wrapping_add(ahead), None);
    let answered = answers(&mut scene, [0, 5].map(reset));
    assert_eq!(answered.iter().map(|it| it.1).collect::<Vec<_>>(), [next.wrapping_add(4)]);
    assert_eq!(scene.read(flow), (b"more".to_vec(), ReadState::Drained));

    scene.station.socket(client).close();
    scene.turns(3);
    assert_eq!(scene.read(flow).1, ReadState::Ended);
    answers(&mut scene, [reset(4)]);
    assert_eq!(scene.read(flow).1, ReadState::Ended);
    answers(&mut scene, [reset(5)]);
    assert_eq!(scene.read(flow).1, ReadState::Lost(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn a_handshake_is_broken_off_by_the_right_reset_alone() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    scene.turns(3);
    let stranger = Ipv4Addr::new(192, 0, 2, 77);
    scene.station.wire.send(&syn(stranger, 5000, 100));
    scene.turn();
    let reset = |sequence| forged(stranger, 5000, TcpControl::Rst, sequence, None);
    for (sequence, left) in [(102, 1), (100, 1), (101, 0)] {
        scene.station.wire.send(&reset(sequence));
        scene.turn();
        assert_eq!(scene.streams.stack_counters().half_open, left, "{sequence}");
    }
}

#[test]
fn a_syn_that_acknowledges_is_answered_as_well_and_does_no_harm() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    let next = next_of_client(&mut scene, client, flow);
    scene.turns(3);
    scene.station.wire.seen = Some(Vec::new());
    // RFC 5961 section 4.2: whatever its sequence number is.
    scene.say(flow, b"hi");
    scene.turn();
    let seen = scene.station.wire.seen.take().expect("what was asked for");
    let sent_until = numbers(&seen[0]).0.wrapping_add(2);
    let both = forged(CLIENT, CLIENT_PORT, TcpControl::Syn, next, Some(sent_until));
    assert_eq!(answers(&mut scene, [both]), [(sent_until, next)]);
    assert_eq!(scene.read(flow).1, ReadState::Drained);
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
