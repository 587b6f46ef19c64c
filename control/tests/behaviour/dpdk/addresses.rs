//! Both versions of IP, and what a host asks before it connects.

use crate::Backend;
use crate::client::Client;
use crate::dpdk::wire::{Wire, run};
use crate::scene::Server;

#[test]
fn clients_over_both_versions_of_ip_hear_each_other() {
    clients_over_both_versions_hear_each_other(Backend::Dpdk(Wire::Tap));
}

#[test]
fn pings_are_answered_over_both_versions_of_ip() {
    pings_are_answered(Backend::Dpdk(Wire::Tap));
}

pub(crate) fn clients_over_both_versions_hear_each_other(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let addresses = server.appliance.addresses();
    assert!(addresses[0].is_ipv4() && addresses[1].is_ipv6(), "{addresses:?}");
    let (mut four, mut six) = (Client::connect(addresses[0]), Client::connect(addresses[1]));
    for (said, speaker) in [("over IPv4", &mut four), ("over IPv6", &mut six)] {
        speaker.send_text(said);
    }
    for client in [&mut four, &mut six] {
        let mut heard = [client.next_text(), client.next_text()];
        heard.sort();
        assert_eq!(heard, ["over IPv4", "over IPv6"]);
    }
}

pub(crate) fn pings_are_answered(backend: Backend) {
    let _server = Server::broadcast(backend, "");
    for address in ["172.31.0.1", "fd31::1"] {
        run("ping", &["-c", "3", "-i", "0.01", "-W", "10", address]);
    }
}
