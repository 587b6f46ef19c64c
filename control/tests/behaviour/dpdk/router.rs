//! A client in another network, behind a router.

use std::fs;
use std::sync::mpsc::channel;
use std::thread;

use hioload::{Appliance, Broadcast};

use crate::Backend;
use crate::client::Client;
use crate::dpdk::wire::{Wire, enter_namespace, ip};
use crate::scene::{Server, parse};

/// What the networks of the story are in a version of IP.
struct Version {
    /// Has the router pass packets on.
    forwarding: &'static str,
    /// Has a machine that takes an address over tell its neighbours.
    notify: &'static str,
    /// The router, as the server knows it, and as the client does.
    gateway: &'static str,
    near: &'static str,
    /// Gives the client and the router their addresses.
    client: &'static str,
    router: &'static str,
}

const IPV4: Version = Version {
    forwarding: "/proc/sys/net/ipv4/ip_forward",
    notify: "/proc/sys/net/ipv4/conf/tap0/arp_notify",
    gateway: "172.31.0.2",
    near: "10.9.0.1",
    client: "address add 10.9.0.2/24 dev client",
    router: "address add 10.9.0.1/24 dev router",
};

/// The router asks for the server from its link-local address.
const IPV6: Version = Version {
    forwarding: "/proc/sys/net/ipv6/conf/all/forwarding",
    notify: "/proc/sys/net/ipv6/conf/tap0/ndisc_notify",
    gateway: "fe80::1",
    near: "fd32::1",
    client: "address add fd32::2/64 dev client nodad",
    router: "address add fd32::1/64 dev router nodad
             address add fe80::1/64 dev tap0 nodad",
};

#[test]
fn a_client_behind_a_router_stays_when_another_machine_takes_the_routers_place() {
    a_client_behind_a_router_stays(&IPV4);
}

#[test]
fn a_client_stays_likewise_behind_a_router_that_has_a_link_local_address() {
    a_client_behind_a_router_stays(&IPV6);
}

/// The test's namespace is the router, and the client has one of its own.
fn a_client_behind_a_router_stays(version: &'static Version) {
    let port = format!("gateway = \"{}\"", version.gateway);
    let config = parse(&Wire::Tap.configuration_with("", &port));
    let started = Appliance::builder().config(config).handler(Broadcast).start();
    let server = Server::started(Backend::Dpdk(Wire::Tap), started);
    fs::write(version.forwarding, "1").expect("it is root's");
    fs::write(version.notify, "1").expect("it is root's");
    let router = fs::read_link("/proc/thread-self").expect("this thread");
    let (cabled, cable) = channel();
    let (start, started) = channel();
    let is_ipv4 = !version.gateway.contains(':');
    let mut addresses = server.appliance.addresses().iter();
    let address = *addresses.find(|at| at.is_ipv4() == is_ipv4).expect("one of each version");
    let client = thread::spawn(move || {
        enter_namespace();
        ip(&format!(
            "link add client type veth peer name router netns /proc/{}/ns/net
            {}
            link set client up",
            router.display(),
            version.client
        ));
        cabled.send(()).expect("it waits");
        started.recv().expect("the router is ready");
        ip(&format!("route add default via {}", version.near));
        let mut client = Client::connect(address);
        client.round_trip("from afar");
        assert_eq!(client.next_text(), "by the other machine");
        client.round_trip("still there");
    });
    cable.recv().expect("the client has a cable");
    ip(&format!("{}\nlink set router up", version.router));
    start.send(()).expect("it waits");
    server.wait_for("deliveries_sent", 1);

    ip("link set tap0 address 02:00:00:00:00:99");
    // The client has nothing to say that would show the way.
    server.appliance.handle().publish("by the other machine").expect("it is serving");
    client.join().expect("it is served on");
}
