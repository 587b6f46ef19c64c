//! An interface that stays the kernel's, whose frames DPDK takes through an XDP socket.

use crate::Backend;
use crate::client::{BINARY, Client, FIN, Received, frame};
use crate::dpdk::wire::{Wire, huge_page_files};
use crate::process::Process;
use crate::scene::Server;
use crate::signals::Signal;

const XDP: Backend = Backend::Dpdk(Wire::Xdp);

#[test]
fn clients_over_both_versions_of_ip_get_every_message_in_order() {
    const MESSAGES: usize = 100;
    let server = Server::broadcast(XDP, "");
    let addresses = server.appliance.addresses();
    let mut clients: Vec<Client> =
        (0..6).map(|number| Client::connect(addresses[number % addresses.len()])).collect();

    for number in 0..MESSAGES {
        for client in &mut clients {
            client.send_text(&number.to_string());
        }
    }

    let heard: Vec<Vec<String>> = clients
        .iter_mut()
        .map(|client| (0..6 * MESSAGES).map(|_| client.next_text()).collect())
        .collect();
    assert!(heard.iter().all(|all| *all == heard[0]), "one worker gives all the same order");
    for number in 0..MESSAGES {
        let count = heard[0].iter().filter(|text| **text == number.to_string()).count();
        assert_eq!(count, 6, "of message {number}");
    }
}

#[test]
fn a_message_of_many_segments_arrives_whole() {
    let server = Server::broadcast(XDP, "");
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(server.address())).collect();
    let message: Vec<u8> = (0..=250).cycle().take(300_000).collect();

    clients[0].send(&frame(FIN | BINARY, &message));

    let message = Received::Binary(message);
    for client in &mut clients {
        assert!(client.next() == message, "the same bytes");
    }
}

#[test]
fn after_a_signal_and_after_a_kill_the_interface_can_be_used_again() {
    for round in 0..2 {
        let mut process = Process::start(XDP, "");
        let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(process.address)).collect();
        for client in &mut clients {
            client.send_text("traffic");
        }
        process.signal(Signal::Terminate);
        for client in &mut clients {
            let (heard, code, _) = client.until_close();
            let is_traffic = |message: &Received| *message == Received::Text("traffic".to_owned());
            assert!(heard.iter().all(is_traffic), "round {round}: {heard:?}");
            assert_eq!(code, Some(1001), "round {round}");
            client.send_close(1001);
            assert!(client.is_at_end(), "round {round}");
        }
        assert_eq!(process.exit_status(), Some(0), "round {round}");

        let process = Process::start(XDP, "");
        Client::connect(process.address).round_trip("hello");
        // Killed as it goes out of scope.
        drop(process);
        assert_eq!(huge_page_files(), Vec::<String>::new());
    }
}
