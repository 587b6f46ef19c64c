//! Connections on a wire without faults: how they begin, what they carry, how they end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hioload_net::{
    DropReason, FlowLimit, FlushState, FramePort, ReadState, StackOptions, Streams, WireOptions,
};
use smoltcp::socket::tcp::State;

use crate::scene::{SERVER, SERVER_V6, Scene, arena, options, port_options};

#[test]
fn a_client_connects_is_heard_and_answered_over_both_versions_of_ip() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    for address in [SERVER, SERVER_V6] {
        let (flow, client) = scene.connect_to(address);
        scene.station.send(client, b"hello");
        assert_eq!(scene.reads(flow, 5), b"hello");
        assert!(scene.readable.contains(&flow));
        scene.say(flow, b"good day");
        assert_eq!(scene.hears(client, 8), b"good day");
    }
    let peers: Vec<_> = scene.opened.iter().map(|flow| flow.peer.ip().to_string()).collect();
    assert_eq!(peers, ["192.0.2.2", "2001:db8::2"]);
    assert_eq!(scene.streams.counters().accepted, 2);
}

#[test]
fn ports_that_compute_checksums_are_given_the_right_beginning() {
    let arena = arena();
    let wire = WireOptions { offloads: true, ..WireOptions::default() };
    let mut scene = Scene::with(&arena, &wire, port_options(), options());
    for address in [SERVER, SERVER_V6] {
        let (flow, client) = scene.connect_to(address);
        scene.say(flow, b"an odd length");
        assert_eq!(scene.hears(client, 13), b"an odd length");
    }
    assert_eq!(scene.streams.stack_counters().dropped[DropReason::Checksum as usize], 0);
}

#[test]
fn more_than_the_rings_hold_goes_through_in_both_directions() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    let long: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();

    scene.queue(flow, &long);
    assert_eq!(scene.streams.flush(flow).state, FlushState::Blocked);
    let mut heard = Vec::new();
    scene.until("the client has it", |scene| {
        heard.extend(scene.station.received(client));
        for flow in std::mem::take(&mut scene.writable) {
            scene.streams.flush(flow);
        }
        heard.len() == long.len()
    });
    assert!(heard == long);
    assert_eq!((scene.streams.messages_sent(flow), scene.streams.bytes_sent(flow)), (1, 100_000));

    let mut rest = &long[..];
    let mut read = Vec::new();
    scene.until("the server has it", |scene| {
        let sent = scene.station.socket(client).send_slice(rest).expect("it is open");
        rest = &rest[sent..];
        read.extend(scene.read(flow).0);
        read.len() == long.len()
    });
    assert!(read == long);
}

#[test]
fn messages_that_wait_together_leave_in_as_few_segments_as_they_fit_into() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.turns(10);
    let before = scene.streams.stack_counters().segments_out;
    for _ in 0..16 {
        scene.queue(flow, &[b'x'; 66]);
    }
    let flushed = scene.streams.flush(flow);
    assert_eq!((flushed.messages, flushed.state), (16, FlushState::Drained));
    assert_eq!(scene.streams.stack_counters().segments_out - before, 1);
    assert_eq!(scene.hears(client, 16 * 66).len(), 16 * 66);
}

#[test]
fn what_is_delivered_at_once_is_taken_whole_behind_nothing_that_waits_or_not_at_all() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.turns(10);
    let before = scene.streams.stack_counters().segments_out;
    assert!(scene.streams.deliver(flow, 2, b"two messages"));
    assert_eq!(scene.streams.stack_counters().segments_out - before, 1);
    assert_eq!((scene.streams.messages_sent(flow), scene.streams.bytes_sent(flow)), (2, 12));
    assert!(!scene.streams.deliver(flow, 1, &[b'x'; 2037]), "the ring has 2,036 bytes of room");
    assert!(scene.streams.deliver(flow, 1, &[b'x'; 2036]));

    scene.queue(flow, b"waits");
    assert_eq!(scene.streams.flush(flow).state, FlushState::Blocked);
    assert_eq!(scene.hears(client, 2048).len(), 2048);
    assert!(!scene.streams.deliver(flow, 1, b"behind"), "that would overtake");
    assert_eq!(scene.streams.flush(flow).state, FlushState::Drained);
    assert!(scene.streams.deliver(flow, 1, b"behind"));
    assert_eq!(scene.hears(client, 11), b"waitsbehind");
    assert_eq!((scene.streams.messages_sent(flow), scene.streams.bytes_sent(flow)), (5, 2059));

    scene.streams.finish(flow);
    assert!(!scene.streams.deliver(flow, 1, b"too late"));
    scene.streams.close(flow);
    assert!(!scene.streams.deliver(flow, 1, b"too late"));
}

#[test]
fn a_talkative_client_leaves_no_more_deadlines_than_a_silent_one() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    for _ in 0..50 {
        scene.station.send(client, b"still here");
        scene.reads(flow, 10);
        // It is acknowledged by itself, since there is no answer yet.
        scene.pass(Duration::from_millis(12));
        scene.say(flow, b"so am I");
        scene.turn();
    }
    assert!(scene.streams.deadlines() <= 3, "{}", scene.streams.deadlines());
}

#[test]
fn a_client_that_ends_first_is_let_go_and_nothing_is_left() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.station.send(client, b"bye");
    scene.station.socket(client).close();
    assert_eq!(scene.reads(flow, 3), b"bye");
    scene.until("the end is read", |scene| scene.read(flow).1 == ReadState::Ended);

    scene.say(flow, b"good bye");
    scene.streams.finish(flow);
    assert_eq!(scene.streams.flush(flow).state, FlushState::Finished);
    scene.streams.close(flow);
    assert_eq!(scene.hears(client, 8), b"good bye");
    scene.until("all is over", |scene| scene.station.state(client) == State::TimeWait);
    scene.turns(2);
    let counters = scene.streams.stack_counters();
    assert_eq!((counters.open, counters.half_open, counters.time_wait), (0, 0, 0));
}

#[test]
fn a_connection_that_we_end_first_is_remembered_for_a_minute() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.streams.finish(flow);
    scene.streams.close(flow);
    scene.until("the client hears it", |scene| scene.station.state(client) == State::CloseWait);
    scene.station.socket(client).close();
    scene.until("it is acknowledged", |scene| scene.station.state(client) == State::Closed);
    let counters = scene.streams.stack_counters();
    assert_eq!((counters.open, counters.time_wait), (0, 1));

    scene.pass(Duration::from_secs(59));
    assert_eq!(scene.streams.stack_counters().time_wait, 1);
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.streams.stack_counters().time_wait, 0);
}

#[test]
fn a_client_comes_back_from_the_same_port_within_that_minute() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let client = scene.station.connect_from(SERVER, 4000);
    scene.until("connected", |scene| scene.opened.len() == 1);
    let flow = scene.opened[0].id;
    scene.streams.close(flow);
    scene.until("the client hears it", |scene| scene.station.state(client) == State::CloseWait);
    scene.station.socket(client).close();
    scene.until("it is acknowledged", |scene| scene.station.state(client) == State::Closed);
    assert_eq!(scene.streams.stack_counters().time_wait, 1);

    // The numbers of `smoltcp` are no clock: it may take a few tries until one is later.
    scene.until("connected again", |scene| {
        let client = scene.station.connect_from(SERVER, 4000);
        scene.turns(10);
        let connected = scene.opened.len() == 2;
        if !connected {
            scene.station.vanish(client);
        }
        connected
    });
    assert_eq!(scene.streams.stack_counters().time_wait, 0);
}

#[test]
fn a_reset_is_a_loss_and_frees_all() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.station.socket(client).abort();
    scene.until("the loss is read", |scene| {
        scene.read(flow).1 == ReadState::Lost(ErrorKind::ConnectionReset)
    });
    assert_eq!(scene.streams.flush(flow).state, FlushState::Lost(ErrorKind::ConnectionReset));
    scene.streams.close(flow);
    assert_eq!(scene.streams.stack_counters().open, 0);
}

#[test]
fn closing_with_something_queued_resets_and_without_does_not() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.queue(flow, b"never sent");
    assert_eq!(scene.streams.close(flow).messages, 1);
    scene.turns(4);
    assert_eq!(scene.station.state(client), State::Closed);

    let (flow, client) = scene.connect();
    scene.say(flow, b"sent");
    scene.streams.close(flow);
    assert_eq!(scene.hears(client, 4), b"sent");
    assert_eq!(scene.station.state(client), State::CloseWait);
}

#[test]
fn a_connection_is_ending_until_the_peer_has_all_of_it() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.say(flow, b"last words");
    assert!(!scene.streams.is_ending(), "it is open");
    scene.streams.close(flow);
    assert!(scene.streams.is_ending());
    scene.until("the peer has all", |scene| !scene.streams.is_ending());
    assert_eq!(scene.station.received(client), b"last words");
    assert_eq!(scene.station.state(client), State::CloseWait, "which has not ended its side");
}

#[test]
fn who_is_still_there_when_the_server_goes_is_told_by_a_reset() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (_, client) = scene.connect();
    let (closed, leaving) = scene.connect();
    scene.streams.close(closed);
    scene.until("the peer has all", |scene| !scene.streams.is_ending());
    let Scene { streams, mut station, now, .. } = scene;
    drop(streams);
    station.turn(now, smoltcp::time::Instant::from_secs(1));
    assert_eq!(station.state(client), State::Closed);
    assert_eq!(station.state(leaving), State::CloseWait, "a reset would take what it has not read");
}

#[test]
fn a_void_flow_does_nothing_while_tcp_still_ends_it() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.streams.close(flow);
    assert_eq!(scene.streams.flush(flow).state, FlushState::Drained);
    assert_eq!(scene.read(flow).1, ReadState::Drained);
    scene.queue(flow, b"nobody");
    assert_eq!(scene.streams.backlog(flow).messages, 0);
    scene.station.send(client, b"too late");
    scene.until("it is told so", |scene| scene.station.state(client) == State::Closed);
    assert_eq!(scene.streams.stack_counters().open, 0);
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let client = scene.station.connect("192.0.2.1:81");
    scene.until("refused", |scene| scene.station.state(client) == State::Closed);
    assert_eq!(scene.streams.stack_counters().resets_out, 1);

    scene.streams.stop_accepting();
    let client = scene.station.connect(SERVER);
    scene.until("refused", |scene| scene.station.state(client) == State::Closed);
}

#[test]
fn as_many_connect_as_may_and_the_next_one_once_there_is_room() {
    let arena = arena();
    let mut options = options();
    options.flows_max = 3;
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options(), options);
    let first = scene.connect().0;
    scene.connect();
    scene.connect();
    let late = scene.station.connect(SERVER);
    scene.turns(20);
    assert_eq!(scene.station.state(late), State::SynSent);
    let dropped = scene.streams.stack_counters().dropped[DropReason::FlowsFull as usize];
    assert!(dropped >= 1, "{dropped}");

    // One goes by a reset, so nothing of it is left, and the next SYN finds room.
    scene.queue(first, b"x");
    scene.streams.close(first);
    scene.until("there is room", |scene| scene.station.state(late) == State::Established);
}

#[test]
fn workers_let_in_as_many_together_as_may_connect_in_all() {
    let arena = arena();
    let all = Arc::new(FlowLimit::new(3));
    let worker = || {
        let options = StackOptions { flows_in_all: Arc::clone(&all), ..options() };
        Scene::with(&arena, &WireOptions::default(), port_options(), options)
    };
    let (mut one, mut other) = (worker(), worker());
    one.connect();
    let leaving = one.connect().0;
    other.connect();
    let late = other.station.connect(SERVER);
    other.turns(20);
    assert_eq!(other.station.state(late), State::SynSent);

    one.queue(leaving, b"x");
    one.streams.close(leaving);
    other.until("there is room", |scene| scene.station.state(late) == State::Established);

    // A worker that ends makes room for as many as it had.
    let late = one.station.connect(SERVER);
    one.turns(20);
    assert_eq!(one.station.state(late), State::SynSent);
    drop(other);
    one.until("there is room", |scene| scene.station.state(late) == State::Established);
}

#[test]
fn where_it_is_crowded_clients_that_are_not_let_in_are_not_kept() {
    let arena = arena();
    let mut options = options();
    options.admit = Box::new(|address| address.is_ipv6());
    options.flows_max = 8;
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options(), options);
    for _ in 0..6 {
        scene.connect();
    }
    let refused = scene.station.connect(SERVER);
    scene.turns(20);
    assert_eq!(scene.station.state(refused), State::SynSent);
    scene.connect_to(SERVER_V6);
    let counters = scene.streams.stack_counters();
    assert_eq!((counters.open, counters.half_open), (7, 0));
    assert!(counters.dropped[DropReason::NotAdmitted as usize] >= 1);
}

#[test]
fn half_open_connections_make_room_for_new_ones_and_end_by_themselves() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    scene.connect();
    for _ in 0..20 {
        // It asks and says no more.
        let client = scene.station.connect(SERVER);
        scene.turn();
        scene.station.vanish(client);
    }
    let counters = scene.streams.stack_counters();
    assert!(counters.half_open <= 8, "{counters:?}");
    scene.connect();
    for _ in 0..9 {
        scene.pass(Duration::from_secs(1));
    }
    let counters = scene.streams.stack_counters();
    assert_eq!((counters.open, counters.half_open), (2, 0));
}

#[test]
fn a_silent_client_is_lost_where_it_is_asked_whether_it_is_there() {
    let arena = arena();
    let mut options = options();
    options.keepalive = Some(Duration::from_secs(10));
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options(), options);
    let (alive, _) = scene.connect();
    let (gone, client) = scene.connect();
    scene.station.vanish(client);
    // Resets of the station's own would tell.
    for _ in 0..60 {
        scene.pass(Duration::from_millis(900));
    }
    assert_eq!(scene.read(alive).1, ReadState::Drained);
    assert!(matches!(scene.read(gone).1, ReadState::Lost(_)));
}

#[test]
fn a_client_is_not_lost_while_the_worker_is_held_up() {
    let arena = arena();
    let mut options = options();
    options.keepalive = Some(Duration::from_secs(1));
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options(), options);
    let (flow, client) = scene.connect();
    scene.hold_up(Duration::from_secs(3600));
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.read(flow).1, ReadState::Drained);
    scene.say(flow, b"still there?");
    assert_eq!(scene.hears(client, 12), b"still there?");
}

#[test]
fn who_vanishes_in_a_handshake_or_at_the_end_is_given_up_by_keepalive_and_counted() {
    let arena = arena();
    let mut options = options();
    options.keepalive = Some(Duration::from_secs(1));
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options(), options);
    let (closing, _) = scene.connect();
    scene.station.connect(SERVER);
    // Its SYN comes, and no more.
    scene.turn();
    assert_eq!(scene.streams.stack_counters().half_open, 1);
    scene.streams.close(closing);
    for _ in 0..4 {
        scene.pass_alone(Duration::from_secs(1));
    }
    let counters = scene.streams.stack_counters();
    assert_eq!((counters.open, counters.half_open), (0, 0));
    assert_eq!((counters.half_open_expired, counters.closing_expired), (1, 1));
}

#[test]
fn every_frame_goes_back_to_where_it_came_from() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    for _ in 0..50 {
        let (flow, client) = scene.connect();
        scene.say(flow, &[7; 300]);
        scene.hears(client, 300);
        scene.station.socket(client).close();
        scene.until("the end is read", |scene| scene.read(flow).1 == ReadState::Ended);
        scene.streams.close(flow);
        scene.until("all is over", |scene| scene.streams.stack_counters().open == 0);
    }
    assert_eq!(scene.streams.ports().next().unwrap().waiting(), 0);
    // One that is taken ahead.
    assert!(scene.station.wire.port.frames_in_use() <= 1);
    assert_eq!(scene.pool.buffers_in_use(), 0);
    assert!(arena.bytes_used() <= 2 * 3072, "sockets are used again: {}", arena.bytes_used());
}
