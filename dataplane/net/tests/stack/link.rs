//! What is on the wire beside TCP: neighbours, routers, VLANs, echoes, and what is not for us.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use hioload_net::{DropReason, Routers, Streams, WireOptions};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv4Repr,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, IpRepr, Ipv4Packet,
};

use crate::scene::{SERVER, SERVER_V6, Scene, arena, options, port_options};

#[test]
fn the_addresses_are_announced_when_the_link_comes_up() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    scene.station.wire.seen = Some(Vec::new());
    scene.turns(3);
    let seen = scene.station.wire.seen.take().unwrap();
    let announced = seen.iter().any(|frame| {
        let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
        if frame.ethertype() != EthernetProtocol::Arp {
            return false;
        }
        let packet = ArpPacket::new_checked(frame.payload()).unwrap();
        let ArpRepr::EthernetIpv4 { operation, source_protocol_addr, target_protocol_addr, .. } =
            ArpRepr::parse(&packet).unwrap()
        else {
            return false;
        };
        operation == ArpOperation::Request && source_protocol_addr == target_protocol_addr
    });
    assert!(announced, "gratuitous ARP");
    // To all nodes, an advertisement: type 136 behind Ethernet and IPv6.
    assert!(seen.iter().any(|frame| frame[..6] == [0x33, 0x33, 0, 0, 0, 1] && frame[54] == 136));
}

#[test]
fn a_vlan_is_served_and_frames_without_its_tag_are_not() {
    let arena = arena();
    let mut port_options = port_options();
    port_options.vlan = Some(7);
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options, options());
    for address in [SERVER, SERVER_V6] {
        let (flow, client) = scene.connect_to(address);
        scene.say(flow, b"tagged");
        assert_eq!(scene.hears(client, 6), b"tagged");
    }
    scene.station.wire.vlan = None;
    let client = scene.station.connect(SERVER);
    scene.turns(20);
    assert_eq!(scene.station.state(client), State::SynSent);
    assert!(scene.streams.stack_counters().dropped[DropReason::Vlan as usize] > 0);
}

#[test]
fn a_flow_follows_its_router_to_another_hardware_address() {
    let arena = arena();
    let mut port_options = port_options();
    port_options.addresses = vec!["192.0.2.1/30".parse().unwrap()];
    let router = "192.0.2.2".parse().unwrap();
    let routers = Arc::new(Routers::new(&[("0.0.0.0/0".parse().unwrap(), router)]));
    port_options.routers = Arc::clone(&routers);
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options, options());
    // The station is the router, and the client that is behind it.
    scene.station.set_addresses(&["192.0.2.9/24", "192.0.2.2/24"]);
    scene.until("the router is known", |_| routers.is_known(router));
    let (flow, client) = scene.connect();
    assert_eq!(scene.opened[0].peer.ip().to_string(), "192.0.2.9");

    // The client has nothing to say when another takes the router's place.
    scene.station.set_mac([2, 0, 0, 0, 0, 77]);
    scene.pass(Duration::from_secs(11));
    scene.turns(3);
    scene.say(flow, b"still there?");
    assert_eq!(scene.hears(client, 12), b"still there?");
}

#[test]
fn a_flow_follows_its_client_to_another_hardware_address() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let (flow, client) = scene.connect();
    scene.station.set_mac([2, 0, 0, 0, 0, 77]);
    scene.station.send(client, b"moved");
    assert_eq!(scene.reads(flow, 5), b"moved");
    scene.say(flow, b"seen");
    assert_eq!(scene.hears(client, 4), b"seen");
}

#[test]
fn echo_requests_are_answered_over_both_versions_of_ip() {
    for offloads in [false, true] {
        let wire = WireOptions { offloads, ..WireOptions::default() };
        echo_requests_are_answered(&wire);
    }
}

fn echo_requests_are_answered(wire: &WireOptions) {
    let arena = arena();
    let mut scene = Scene::with(&arena, wire, port_options(), options());
    scene.turns(3);
    let (ours, theirs) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let v4 = {
        let mut bytes = vec![0; 34 + 12];
        let echo = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 2, data: b"ping" };
        let (source, destination) = (Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(192, 0, 2, 1));
        let header = IpRepr::new(source.into(), destination.into(), IpProtocol::Icmp, 12, 64);
        let checksums = ChecksumCapabilities::default();
        header.emit(&mut bytes[14..], &checksums);
        echo.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[34..]), &checksums);
        bytes
    };
    let v6 = {
        let mut bytes = vec![0; 54 + 12];
        let echo = Icmpv6Repr::EchoRequest { ident: 1, seq_no: 2, data: b"ping" };
        let source: Ipv6Addr = "2001:db8::2".parse().unwrap();
        let destination: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let header = IpRepr::new(source.into(), destination.into(), IpProtocol::Icmpv6, 12, 64);
        let checksums = ChecksumCapabilities::default();
        header.emit(&mut bytes[14..], &checksums);
        let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[54..]);
        echo.emit(&source, &destination, &mut packet, &checksums);
        bytes
    };
    for (mut frame, kind, reply) in [(v4, [0x08, 0], (34, 0)), (v6, [0x86, 0xdd], (54, 129))] {
        frame[..6].copy_from_slice(&ours);
        frame[6..12].copy_from_slice(&theirs);
        frame[12..14].copy_from_slice(&kind);
        scene.station.wire.seen = Some(Vec::new());
        scene.station.wire.send(&frame);
        scene.turns(3);
        let (at, kind) = reply;
        let seen = scene.station.wire.seen.take().unwrap();
        let answer = seen.iter().find(|frame| frame[..6] == theirs && frame[at] == kind);
        assert_eq!(answer.map(|frame| &frame[at + 8..]), Some(&b"ping"[..]));
        if at == 34 {
            assert!(Ipv4Packet::new_unchecked(&answer.unwrap()[14..]).verify_checksum());
        }
    }
}

#[test]
fn what_is_not_for_us_is_counted_by_what_it_was() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    scene.turns(3);
    let ours = [2, 0, 0, 0, 0, 1];
    let theirs = [2, 0, 0, 0, 0, 2];
    let frame =
        |to: [u8; 6], kind: [u8; 2], rest: &[u8]| [&to[..], &theirs[..], &kind[..], rest].concat();
    let ipv4 = |protocol: u8, fragment: u8, to: [u8; 4]| {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, fragment, 0, 64, protocol, 0, 0, 192, 0, 2, 2];
        packet.extend(to);
        packet.extend([0, 1, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
        packet
    };
    let us = [192, 0, 2, 1];
    for (frame, reason) in [
        (vec![0; 13], DropReason::Malformed),
        (frame([2, 0, 0, 0, 0, 9], [8, 0], &ipv4(6, 0, us)), DropReason::OtherStation),
        (frame(ours, [0x88, 0xcc], &[0; 40]), DropReason::Protocol),
        (frame(ours, [8, 0], &[0x45; 10]), DropReason::Malformed),
        (frame(ours, [8, 0], &ipv4(6, 0x20, us)), DropReason::Fragment),
        (frame(ours, [8, 0], &ipv4(17, 0, us)), DropReason::Protocol),
        (frame(ours, [8, 0], &ipv4(6, 0, [192, 0, 2, 7])), DropReason::OtherAddress),
        (frame(ours, [8, 0], &ipv4(6, 0, us)), DropReason::Checksum),
        (frame([0xff; 6], [8, 0], &ipv4(6, 0, us)), DropReason::OtherStation),
    ] {
        let before = scene.streams.stack_counters().dropped[reason as usize];
        scene.station.wire.send(&frame);
        scene.turns(2);
        let after = scene.streams.stack_counters().dropped[reason as usize];
        assert_eq!(after - before, 1, "{reason:?}: {frame:02x?}");
    }
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.streams.counters().accepted, 0);
}
