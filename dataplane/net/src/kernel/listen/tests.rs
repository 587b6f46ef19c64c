//! What is bound, what is refused, and what a connection has from its listener.

use std::net::{TcpListener as Holder, TcpStream as Client};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use socket2::SockRef;

use super::*;

const LOOPBACK: &str = "127.0.0.1:0";

/// The modes in which several workers can accept on this system.
const MODES: &[AcceptMode] = if PORT_SHARED_BY_KERNEL {
    &[AcceptMode::PerWorker, AcceptMode::Dealt]
} else {
    &[AcceptMode::Dealt]
};

fn options(mode: AcceptMode, addresses: &[&str]) -> ListenOptions {
    let addresses = addresses.iter().map(|a| a.parse().expect("an address")).collect();
    ListenOptions { addresses, mode, ..ListenOptions::default() }
}

fn error_of(options: &ListenOptions, workers: usize) -> ListenError {
    match listen(options, workers) {
        Ok(listening) => panic!("{:?} was bound", listening.addresses),
        Err(error) => error,
    }
}

#[test]
fn port_zero_becomes_one_port_for_all_workers_of_an_address() {
    for &mode in MODES {
        let listening = listen(&options(mode, &[LOOPBACK, LOOPBACK]), 3).expect("bound");
        let [first, second] = listening.addresses[..] else { panic!("two addresses") };
        assert!(first.port() != 0 && second.port() != 0 && first != second);
        assert_eq!(listening.inlets.len(), 3);
        for address in [first, second] {
            Client::connect(address).expect("accepted by the kernel");
        }
    }
}

#[test]
fn a_second_program_with_the_same_address_is_refused_whatever_the_modes() {
    for &mode in MODES {
        let listening = listen(&options(mode, &[LOOPBACK]), 2).expect("bound");
        let address = listening.addresses[0];
        for &second in MODES {
            let error = error_of(&options(second, &[&address.to_string()]), 2);
            assert_eq!(error.address(), Some(address));
            assert!(!error.unavailable());
            assert!(error.to_string().contains(&address.to_string()), "{error}");
            assert!(error.to_string().contains("the port is taken"), "{error}");
        }
    }
}

#[test]
fn dropping_the_inlets_frees_the_port() {
    for &mode in MODES {
        let listening = listen(&options(mode, &[LOOPBACK]), 2).expect("bound");
        let address = listening.addresses[0];
        drop(listening);
        listen(&options(mode, &[&address.to_string()]), 2).expect("bound again");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_that_another_program_is_ready_to_share_is_refused() {
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    other.set_reuse_address(true).expect("set");
    share_port(&other).expect("set");
    let any: SocketAddr = LOOPBACK.parse().expect("an address");
    other.bind(&any.into()).expect("bound");
    other.listen(1).expect("listening");
    let address = other.local_addr().expect("an address").as_socket().expect("IPv4");
    let error = error_of(&options(AcceptMode::PerWorker, &[&address.to_string()]), 2);
    assert!(error.to_string().contains("the port is taken"), "{error}");
}

#[test]
fn a_port_can_be_taken_again_while_connections_of_an_earlier_program_linger() {
    for &mode in MODES {
        let earlier = Holder::bind(LOOPBACK).expect("bound");
        let address = earlier.local_addr().expect("an address");
        let client = Client::connect(address).expect("connected");
        drop(earlier.accept().expect("accepted"));
        drop(earlier);
        listen(&options(mode, &[&address.to_string()]), 2).expect("bound again");
        drop(client);
    }
}

#[test]
fn an_address_of_another_host_is_told_from_a_taken_port() {
    // Documentation addresses, which no host has (RFC 5737, RFC 3849).
    for address in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        let error = error_of(&options(AcceptMode::Dealt, &[LOOPBACK, address]), 1);
        assert!(error.unavailable(), "{error}");
        assert_eq!(error.address(), address.parse().ok());
        assert!(error.to_string().contains("no such address"), "{error}");
    }
}

#[test]
fn a_host_without_ipv6_and_a_port_without_permission_are_told_apart() {
    let address = "[::1]:80".parse().expect("an address");
    let of = |cause| ListenError::Address { address, cause };
    assert!(of(io::Error::from_raw_os_error(ADDRESS_FAMILY_NOT_SUPPORTED)).unavailable());
    let denied = of(io::ErrorKind::PermissionDenied.into());
    assert!(!denied.unavailable());
    assert!(denied.to_string().contains("below 1024"), "{denied}");
}

#[test]
fn the_unspecified_addresses_of_both_families_are_two_sockets() {
    let Ok(probe) = Holder::bind("[::]:0") else { return };
    drop(probe);
    let first = listen(&options(AcceptMode::default(), &["0.0.0.0:0"]), 2).expect("IPv4 bound");
    let port = first.addresses[0].port();
    let second = options(AcceptMode::default(), &[&format!("[::]:{port}")]);
    listen(&second, 2).expect("IPv6 bound beside it");
}

#[test]
fn nothing_to_listen_on_is_an_error() {
    assert!(matches!(error_of(&options(AcceptMode::Dealt, &[]), 1), ListenError::Nothing));
    assert!(matches!(error_of(&options(AcceptMode::Dealt, &[LOOPBACK]), 0), ListenError::Nothing));
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_has_the_options_from_its_first_moment() {
    let mut options = options(AcceptMode::PerWorker, &[LOOPBACK]);
    options.socket = SocketOptions {
        nodelay: true,
        send_buffer_bytes: Some(50_000),
        receive_buffer_bytes: Some(60_000),
        keepalive: Some(Duration::from_secs(77)),
    };
    let (stream, client) = accepted(&options);
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_nodelay().expect("asked"));
    // The kernel doubles what it is given, for its own bookkeeping (socket(7)).
    assert_eq!(socket.send_buffer_size().expect("asked"), 100_000);
    assert_eq!(socket.recv_buffer_size().expect("asked"), 120_000);
    assert!(socket.keepalive().expect("asked"));
    assert_eq!(socket.tcp_keepalive_time().expect("asked"), Duration::from_secs(77));
    drop(client);
}

#[test]
fn a_connection_without_options_has_those_of_the_system() {
    let mut options = options(AcceptMode::PerWorker, &[LOOPBACK]);
    options.socket.nodelay = false;
    let (stream, client) = accepted(&options);
    let socket = SockRef::from(&stream);
    assert!(!socket.tcp_nodelay().expect("asked"));
    assert!(!socket.keepalive().expect("asked"));
    drop(client);
}

/// A connection as its worker gets it, and the other end.
fn accepted(options: &ListenOptions) -> (TcpStream, Client) {
    let mut listening = listen(options, 1).expect("bound");
    let client = Client::connect(listening.addresses[0]).expect("connected");
    let Inlet { mut poller, mut source, .. } = listening.inlets.remove(0);
    for event in poller.wait(Some(Duration::from_secs(10))).expect("a wait") {
        source.note(event.token());
    }
    let mut streams = Vec::new();
    source.accept(Instant::now(), 1, |stream, _| streams.push(stream));
    (streams.pop().expect("a connection"), client)
}
