//! Connections that come and go in every way, and leave nothing behind.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::Backend;
use crate::client::{Client, FIN, PING, Received, frame};
use crate::dpdk::crowd::Crowd;
use crate::dpdk::held::Held;
use crate::dpdk::wire::{Wire, other_host};
use crate::process::Process;

/// Two equal rounds: what the first has taken is enough for the second.
const ROUNDS: usize = 2;
const CONNECTIONS: usize = 100_000 / ROUNDS;
const DELIVERIES: usize = 1_000_000 / ROUNDS;
/// Clients that stay.
const STAYING: usize = 100;
/// Hosts that come and go.
const HOSTS: u8 = 5;

/// By how much the heap may grow from the first round to the second: 20 bytes for each connection.
const GROWTH_MAX: u64 = 1 << 20;

#[test]
fn a_hundred_thousand_connections_and_a_million_messages_leave_nothing_behind() {
    let process = Process::start(Backend::Dpdk(Wire::Tap), "");
    let address = process.address;
    // A host has a port for each of its connections, those in TIME-WAIT included.
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535").expect("it is root's");
    Client::connect(address).send_close(1000);
    let before = Held::once_back(&process, &Held::by(&process), 0);
    let mut crowd = Crowd::connect(address, STAYING);

    let rounds = [(); ROUNDS].map(|()| {
        thread::scope(|scope| {
            for host in 1..=HOSTS {
                let source = other_host(host).into();
                scope.spawn(move || {
                    for _ in 0..CONNECTIONS / usize::from(HOSTS) / 5 {
                        come_and_go_in_five_ways(source, address);
                    }
                });
            }
            crowd.chat(DELIVERIES / STAYING);
        });
        Held::once_back(&process, &before, STAYING as u64)
    });

    let [first, second] = &rounds;
    assert!(second.heap_bytes < first.heap_bytes + GROWTH_MAX, "{rounds:?}");
    assert_eq!(second.huge_bytes, first.huge_bytes);
    assert!(second.time_wait <= 2000, "{second:?}");
    drop(crowd);
    Held::once_back(&process, &before, 0);
    let totals = &process.stats()["totals"];
    assert_eq!(totals["connections"], 0);
    assert_eq!(totals["deliveries_dropped_backlog"], 0);
    Client::connect(address).round_trip("still there?");
}

fn come_and_go_in_five_ways(source: IpAddr, address: SocketAddr) {
    let mut orderly = session(source, address);
    let (leaving, cut_off) = (session(source, address), session(source, address));
    let silent = Client::tcp_from(source, address);
    give_up_a_handshake(source, address);
    orderly.send(&frame(FIN | PING, b"hello"));
    while orderly.next() != Received::Pong(b"hello".to_vec()) {}
    orderly.send_close(1000);
    orderly.until_close();
    // It ends with its end of the stream, or by a reset when messages are unread.
    drop(leaving);
    reset(&cut_off);
    reset(&silent);
}

fn session(source: IpAddr, address: SocketAddr) -> Client {
    let mut client = Client::tcp_from(source, address);
    client.upgrade("");
    client
}

/// Ends by a reset.
fn reset(client: &Client) {
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// A SYN whose answer meets no connection, so that it is reset in the middle of the handshake.
fn give_up_a_handshake(source: IpAddr, address: SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this host");
    socket.set_nonblocking(true).expect("an option");
    socket.connect(&address.into()).expect_err("it takes a while");
}
