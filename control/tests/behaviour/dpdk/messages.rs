//! Where messages lie.

use crate::Backend;
use crate::client::Client;
use crate::dpdk::wire::Wire;
use crate::scene::{Server, wait_until};

/// Those who hear each message, besides the speaker.
const CROWD: usize = 10;
/// More than what the transport takes for a client that does not read.
const MESSAGES: usize = 600;
const BYTES: usize = 1500;

/// Mbufs of messages in use.
fn in_use(server: &Server) -> u32 {
    let dpdk = server.stats().dpdk.expect("it serves on DPDK");
    let messages = dpdk.mempools.iter().find(|pool| pool.name == "messages_0");
    messages.expect("there is such a pool").in_use
}

#[test]
fn a_message_takes_one_mbuf_however_many_wait_for_it() {
    let server = Server::broadcast(Backend::Dpdk(Wire::Tap), "broadcast.backlog_max = \"2 MiB\"");
    let mut crowd: Vec<Client> = (0..CROWD).map(|_| Client::connect(server.address())).collect();
    let mut speaker = Client::connect(server.address());
    let text = |number: usize| format!("{number:05}{}", "x".repeat(BYTES));

    for number in 0..MESSAGES {
        speaker.round_trip(&text(number));
    }

    let waiting = server.total("backlog_messages");
    let (mbufs, waiting) = (u64::from(in_use(&server)), waiting / CROWD as u64);
    assert!(waiting > 100, "{waiting} messages wait for each");
    assert!(mbufs >= waiting && mbufs <= MESSAGES as u64, "{mbufs} mbufs, {waiting} waiting");

    for client in &mut crowd {
        for number in 0..MESSAGES {
            assert_eq!(client.next_text(), text(number));
        }
    }
    wait_until("all mbufs are back", || in_use(&server) == 0);
}
