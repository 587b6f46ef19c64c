//! The binary and its clients in two processes that share memory: no frame goes through the kernel,
//! and both ends are DPDK's.

use std::net::SocketAddr;
use std::path::Path;

use hioload_dpdk::Mempool;

use crate::Backend;
use crate::client::{BINARY, Client, FIN, Received, TEXT, frame};
use crate::dpdk::station::{Station, Stream};
use crate::dpdk::wire::{Wire, files_in, huge_page_files, memif_socket};
use crate::process::Process;
use crate::signals::Signal;

const MEMIF: Backend = Backend::Dpdk(Wire::Memif);

/// Clients, half of them over either version of IP.
fn clients(station: &Station, process: &Process, count: usize) -> Vec<Client<Stream>> {
    let four = process.address;
    let six: SocketAddr = "[fd31::1]:8080".parse().expect("an address");
    assert!(four.is_ipv4());
    (0..count).map(|number| station.client(if number % 2 == 0 { four } else { six })).collect()
}

#[test]
fn every_client_gets_every_message_once_and_in_order() {
    const CLIENTS: usize = 8;
    const MESSAGES: usize = 50;
    let process = Process::start(MEMIF, "");
    let station = Station::start();
    let mut clients = clients(&station, &process, CLIENTS);

    for number in 0..MESSAGES {
        for (speaker, client) in clients.iter_mut().enumerate() {
            client.send_text(&format!("{speaker} {number}"));
        }
    }

    let heard: Vec<Vec<String>> = clients
        .iter_mut()
        .map(|client| (0..CLIENTS * MESSAGES).map(|_| client.next_text()).collect())
        .collect();
    assert!(heard.iter().all(|all| *all == heard[0]), "one worker gives all the same order");
    for speaker in 0..CLIENTS {
        let from = format!("{speaker} ");
        let said: Vec<&str> = heard[0].iter().filter_map(|text| text.strip_prefix(&from)).collect();
        let expected: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
        assert_eq!(said, expected, "of client {speaker}");
    }
    // Nothing comes twice.
    for client in &mut clients {
        client.send_close(1000);
    }
    for client in &mut clients {
        assert_eq!(client.next(), Received::Close(Some(1000), String::new()));
    }
}

#[test]
fn a_message_of_many_segments_arrives_whole_in_frames_of_the_full_length() {
    let rings = "tcp.receive_buffer = \"8 KiB\"\ntcp.send_buffer = \"16 KiB\"";
    let process = Process::start(MEMIF, rings);
    let station = Station::start();
    let mut clients = clients(&station, &process, 4);
    let message: Vec<u8> = (0..=250).cycle().take(100_000).collect();

    clients[0].send(&frame(FIN | BINARY, &message));
    clients[1].send(&frame(FIN | TEXT, b"a short one behind it"));

    let long = Received::Binary(message);
    let short = Received::Text("a short one behind it".to_owned());
    for client in &mut clients {
        let heard = [client.next(), client.next()];
        assert!(heard.contains(&long) && heard.contains(&short), "the same bytes");
    }
    assert_eq!(station.longest_frame(), 14 + 1500);
}

#[test]
fn a_close_is_answered_behind_what_was_said_and_the_others_go_on() {
    let process = Process::start(MEMIF, "");
    let station = Station::start();
    let mut clients = clients(&station, &process, 3);
    let mut leaving = clients.remove(0);
    leaving.send_text("last words");
    leaving.send_close(4001);

    assert_eq!(leaving.next_text(), "last words");
    assert_eq!(leaving.next(), Received::Close(Some(4001), String::new()));
    assert!(leaving.is_at_end());

    for client in &mut clients {
        assert_eq!(client.next_text(), "last words");
    }
    clients[0].send_text("and we go on");
    for client in &mut clients {
        assert_eq!(client.next_text(), "and we go on");
    }
}

#[test]
fn after_a_signal_all_get_1001_and_neither_process_leaves_anything() {
    let mut process = Process::start(MEMIF, "");
    let station = Station::start();
    let mut clients = clients(&station, &process, 6);
    for client in &mut clients {
        client.send_text("traffic");
    }

    process.signal(Signal::Terminate);

    for client in &mut clients {
        let (heard, code, _) = client.until_close();
        assert_eq!(code, Some(1001), "after {heard:?}");
        assert!(heard.iter().all(|message| *message == Received::Text("traffic".to_owned())));
        client.send_close(1001);
        assert!(client.is_at_end());
    }
    // The server ends now. From here on nobody waits for a client.
    assert_eq!(process.exit_status(), Some(0));
    assert!(!memif_socket().exists());
    drop(clients);
    let pools = station.end_after_server();
    let lost: Vec<u32> = pools.iter().map(Mempool::in_use).collect();
    assert_eq!(lost, [0, 0], "mbufs");
    assert_eq!(huge_page_files(), Vec::<String>::new());
    // With the last of an EAL, which is cleaned up only when no mbuf is left, its directory goes.
    drop(pools);
    assert_eq!(files_in(Path::new("/var/run/dpdk")), Vec::<String>::new());
}
