//! Connections that come and go in every way, and leave nothing behind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::Backend;
use crate::client::Client;
use crate::dpdk::wire::Wire;
use crate::scene::{Server, wait_until};

/// Long enough for some thousand connections.
const TIME: Duration = Duration::from_secs(5);

/// Mbufs in use by pool, and connections of either kind.
fn held(server: &Server) -> (Vec<(String, u32)>, u64) {
    let dpdk = server.stats().dpdk.expect("it serves on DPDK");
    let pools = dpdk.mempools.into_iter().map(|pool| (pool.name, pool.in_use)).collect();
    (pools, dpdk.flows.half_open + dpdk.flows.open)
}

/// Ends by a reset.
fn reset(client: &Client) {
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// A SYN whose answer meets no connection, so that it is reset in the middle of the handshake.
fn give_up_a_handshake(address: SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_nonblocking(true).expect("an option");
    socket.connect(&address.into()).expect_err("it takes a while");
}

#[test]
fn after_a_churn_of_connections_all_mbufs_and_flows_are_back() {
    let server = Server::broadcast(Backend::Dpdk(Wire::Tap), "");
    let address = server.address();
    Client::connect(address).send_close(1000);
    wait_until("the first connection is gone", || held(&server).1 == 0);
    let (pools, _) = held(&server);

    let end = Instant::now() + TIME;
    let mut rounds = 0;
    while Instant::now() < end {
        let mut orderly = Client::connect(address);
        let (leaving, cut_off) = (Client::connect(address), Client::connect(address));
        let silent = Client::tcp(address);
        give_up_a_handshake(address);
        orderly.round_trip("hello");
        orderly.send_close(1000);
        orderly.until_close();
        // It ends with its end of the stream, the messages unread.
        drop(leaving);
        reset(&cut_off);
        reset(&silent);
        rounds += 1;
    }

    assert!(rounds > 10, "{rounds} rounds");
    wait_until("all flows are gone", || held(&server).1 == 0);
    // A worker keeps up to two bursts at hand to be sent.
    wait_until("all mbufs are back", || {
        let now = held(&server).0;
        now.iter().zip(&pools).all(|((_, now), (_, before))| *now <= before + 64)
    });
    assert_eq!(server.stats().probes["active_clients"], 0);
    server.serves_the_next_client();
}
