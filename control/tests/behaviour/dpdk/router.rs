//! A client in another network, behind a router.

use std::fs;
use std::sync::mpsc::channel;
use std::thread;

use hioload::{Appliance, Broadcast};

use crate::Backend;
use crate::client::Client;
use crate::dpdk::wire::{Wire, enter_namespace, ip};
use crate::scene::{Server, parse};

/// The test's namespace is the router, and the client has one of its own.
#[test]
fn a_client_behind_a_router_stays_when_another_machine_takes_the_routers_place() {
    let port = r#"gateway = "172.31.0.2""#;
    let config = parse(&Wire::Tap.configuration_with("", port));
    let started = Appliance::builder().config(config).handler(Broadcast).start();
    let server = Server::started(Backend::Dpdk(Wire::Tap), started);
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("it is root's");
    // A machine that takes an address over tells its neighbours.
    fs::write("/proc/sys/net/ipv4/conf/tap0/arp_notify", "1").expect("it is root's");
    let router = fs::read_link("/proc/thread-self").expect("this thread");
    let (cabled, cable) = channel();
    let (start, started) = channel();
    let address = server.address();
    let client = thread::spawn(move || {
        enter_namespace();
        ip(&format!(
            "link add client type veth peer name router netns /proc/{}/ns/net
            address add 10.9.0.2/24 dev client
            link set client up",
            router.display()
        ));
        cabled.send(()).expect("it waits");
        started.recv().expect("the router is ready");
        ip("route add default via 10.9.0.1");
        let mut client = Client::connect(address);
        client.round_trip("from afar");
        assert_eq!(client.next_text(), "by the other machine");
        client.round_trip("still there");
    });
    cable.recv().expect("the client has a cable");
    ip("address add 10.9.0.1/24 dev router\nlink set router up");
    start.send(()).expect("it waits");
    server.wait_for("deliveries_sent", 1);

    ip("link set tap0 address 02:00:00:00:00:99");
    // The client has nothing to say that would show the way.
    server.appliance.handle().publish("by the other machine").expect("it is serving");
    client.join().expect("it is served on");
}
