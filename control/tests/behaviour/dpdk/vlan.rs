//! A port in a VLAN: all frames have its tag, and frames without it are nobody's.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::Backend;
use crate::client::Client;
use crate::dpdk::addresses;
use crate::dpdk::relay::TRUNK;
use crate::dpdk::wire::{Wire, ip, output};
use crate::scene::Server;

const TAGGED: Backend = Backend::Dpdk(Wire::Tagged);

/// What is sure not to be answered is waited for that long.
const WAIT: Duration = Duration::from_secs(1);

#[test]
fn clients_over_both_versions_of_ip_hear_each_other() {
    addresses::clients_over_both_versions_hear_each_other(TAGGED);
}

#[test]
fn pings_are_answered_over_both_versions_of_ip() {
    addresses::pings_are_answered(TAGGED);
}

#[test]
fn messages_of_many_full_frames_come_whole() {
    let server = Server::broadcast(TAGGED, "");
    let long = "x".repeat(100_000);
    for address in server.appliance.addresses() {
        Client::connect(*address).round_trip(&long);
    }
}

/// The relay does not see what the kernel itself sends at the relay's end of the port's wire.
#[test]
fn frames_without_a_tag_are_not_answered() {
    let server = Server::broadcast(TAGGED, "");
    let dpdk = || server.stats().dpdk.expect("it serves on DPDK");
    let mac = dpdk().ports[0].mac.clone().expect("an address");
    ip(&format!("address add 172.31.0.9/32 dev {TRUNK}"));
    let mut dropped = dpdk().drops["vlan"];
    let mut is_dropped = |what: &str| {
        let before = std::mem::replace(&mut dropped, dpdk().drops["vlan"]);
        assert!(dropped > before, "{what}");
    };

    // Nobody says where 172.31.0.1 is.
    assert!(!is_pinged_at_the_trunk());
    is_dropped("a question by ARP");
    ip(&format!("neighbour replace 172.31.0.1 lladdr {mac} dev {TRUNK}"));
    assert!(!is_pinged_at_the_trunk());
    is_dropped("an echo request");
    connect_at_the_trunk(server.address()).expect_err("a SYN without an answer");
    is_dropped("a SYN");

    server.serves_the_next_client();
}

fn is_pinged_at_the_trunk() -> bool {
    let seconds = WAIT.as_secs().to_string();
    let ping = ["-I", TRUNK, "-c", "1", "-W", seconds.as_str(), "172.31.0.1"];
    output("ping", &ping).status.success()
}

fn connect_at_the_trunk(address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind_device(Some(TRUNK.as_bytes()))?;
    socket.connect_timeout(&address.into(), WAIT)
}
