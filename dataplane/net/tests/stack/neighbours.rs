//! What stations of the link ask for, and are told: who has an address, and who listens to a group.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use hioload_net::{Routers, WireOptions};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, MldAddressRecord, MldRecordType,
    MldRepr, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use crate::scene::{SERVER_V6, Scene, arena, options, port_options};

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THEIR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const TO_OUR_GROUP: [u8; 6] = [0x33, 0x33, 0xff, 0, 0, 1];
const TO_ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const TO_LISTENERS: [u8; 6] = [0x33, 0x33, 0, 0, 0, 0x16];

const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The solicited-node group of that.
const OUR_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const LISTENERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
/// An options header with a router alert for listener discovery, and padding.
const ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

fn address(mac: [u8; 6]) -> RawHardwareAddress {
    EthernetAddress(mac).into()
}

fn ethernet(to: [u8; 6], kind: u16, packet: &[u8]) -> Vec<u8> {
    [&to[..], &THEIR_MAC, &kind.to_be_bytes(), packet].concat()
}

fn icmp(from: Ipv6Addr, to: Ipv6Addr, hop_limit: u8, options: &[u8], message: &[u8]) -> Vec<u8> {
    let header = Ipv6Repr {
        src_addr: from,
        dst_addr: to,
        next_header: if options.is_empty() { IpProtocol::Icmpv6 } else { IpProtocol::HopByHop },
        payload_len: options.len() + message.len(),
        hop_limit,
    };
    let mut packet = vec![0; 40];
    header.emit(&mut Ipv6Packet::new_unchecked(&mut packet));
    packet.extend_from_slice(options);
    let mut message = message.to_vec();
    Icmpv6Packet::new_unchecked(&mut message).fill_checksum(&from, &to);
    packet.extend(message);
    packet
}

/// A question for who has `wanted`.
fn solicitation(
    (from, to): (Ipv6Addr, Ipv6Addr),
    hop_limit: u8,
    wanted: Ipv6Addr,
    own: Option<[u8; 6]>,
) -> Vec<u8> {
    let solicit = NdiscRepr::NeighborSolicit { target_addr: wanted, lladdr: own.map(address) };
    let solicit = Icmpv6Repr::Ndisc(solicit);
    let mut message = vec![0; solicit.buffer_len()];
    let checksums = ChecksumCapabilities::default();
    solicit.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(&mut message), &checksums);
    icmp(from, to, hop_limit, &[], &message)
}

/// What the server sends after this frame, when it has said what it says of itself.
fn answers(scene: &mut Scene<'_>, frame: &[u8]) -> Vec<Vec<u8>> {
    scene.turns(3);
    scene.station.wire.seen = Some(Vec::new());
    scene.station.wire.send(frame);
    scene.turns(3);
    scene.station.wire.seen.take().unwrap()
}

/// Asserts that a frame is an advertisement of our address.
fn assert_advertises(frame: &[u8], mac: [u8; 6], to: Ipv6Addr, flags: NdiscNeighborFlags) {
    assert_eq!(
        (&frame[..6], &frame[6..14]),
        (&mac[..], &[&OUR_MAC[..], &[0x86, 0xdd]].concat()[..])
    );
    let packet = Ipv6Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!((packet.src_addr(), packet.dst_addr(), packet.hop_limit()), (OURS, to, 255));
    let message = Icmpv6Packet::new_checked(packet.payload()).unwrap();
    let message = Icmpv6Repr::parse(&OURS, &to, &message, &ChecksumCapabilities::default());
    let advert =
        NdiscRepr::NeighborAdvert { flags, target_addr: OURS, lladdr: Some(address(OUR_MAC)) };
    assert_eq!(message, Ok(Icmpv6Repr::Ndisc(advert)));
}

#[test]
fn a_router_that_asks_from_its_link_local_address_is_told_where_we_are() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let packet = solicitation((ROUTER, OUR_GROUP), 255, OURS, Some(THEIR_MAC));
    let answers = answers(&mut scene, &ethernet(TO_OUR_GROUP, 0x86dd, &packet));
    assert_eq!(answers.len(), 1);
    let flags = NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE;
    assert_advertises(&answers[0], THEIR_MAC, ROUTER, flags);
}

#[test]
fn a_station_that_asks_us_alone_whether_we_are_still_there_is_answered() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let station = "2001:db8::2".parse().unwrap();
    for from in [ROUTER, station] {
        let packet = solicitation((from, OURS), 255, OURS, None);
        let answers = answers(&mut scene, &ethernet(OUR_MAC, 0x86dd, &packet));
        assert_eq!(answers.len(), 1, "{from}");
        let flags = NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE;
        assert_advertises(&answers[0], THEIR_MAC, from, flags);
    }
}

#[test]
fn a_station_that_wants_our_address_for_itself_learns_that_it_is_taken() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let packet = solicitation((NOBODY, OUR_GROUP), 255, OURS, None);
    let answers = answers(&mut scene, &ethernet(TO_OUR_GROUP, 0x86dd, &packet));
    assert_eq!(answers.len(), 1);
    assert_advertises(&answers[0], TO_ALL_NODES, ALL_NODES, NdiscNeighborFlags::OVERRIDE);
}

#[test]
fn solicitations_that_are_not_valid_get_no_answer() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let other = "2001:db8::1:1".parse().unwrap();
    let mut broken = solicitation((ROUTER, OUR_GROUP), 255, OURS, Some(THEIR_MAC));
    broken[42] ^= 1;
    for (what, packet) in [
        ("over a router", solicitation((ROUTER, OUR_GROUP), 254, OURS, Some(THEIR_MAC))),
        ("nobody's address", solicitation((NOBODY, OUR_GROUP), 255, OURS, Some(THEIR_MAC))),
        ("nobody to one", solicitation((NOBODY, OURS), 255, OURS, None)),
        ("for a group", solicitation((ROUTER, OUR_GROUP), 255, OUR_GROUP, Some(THEIR_MAC))),
        ("from a group", solicitation((ALL_NODES, OUR_GROUP), 255, OURS, Some(THEIR_MAC))),
        ("for another", solicitation((ROUTER, OUR_GROUP), 255, other, Some(THEIR_MAC))),
        ("damaged", broken),
    ] {
        let answers = answers(&mut scene, &ethernet(TO_OUR_GROUP, 0x86dd, &packet));
        assert!(answers.is_empty(), "{what}: {answers:02x?}");
    }
}

#[test]
fn answers_have_the_tag_of_the_question() {
    let arena = arena();
    let mut port_options = port_options();
    port_options.vlan = Some(7);
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options, options());
    let tag = [0x81, 0, 0x60, 7];
    for (from, mac) in [(ROUTER, THEIR_MAC), (NOBODY, TO_ALL_NODES)] {
        let packet = solicitation((from, OUR_GROUP), 255, OURS, None);
        let mut frame = ethernet(TO_OUR_GROUP, 0x86dd, &packet);
        frame.splice(12..12, tag);
        let answers = answers(&mut scene, &frame);
        assert_eq!(answers.len(), 1);
        assert_eq!((&answers[0][..6], &answers[0][12..16]), (&mac[..], &tag[..]));
    }
    let mut frame = ethernet([0xff; 6], 0x0806, &arp_request([192, 0, 2, 2], [192, 0, 2, 1]));
    frame.splice(12..12, tag);
    let answers = answers(&mut scene, &frame);
    assert_eq!(answers.len(), 1);
    assert_eq!((&answers[0][..6], &answers[0][12..16]), (&THEIR_MAC[..], &tag[..]));
}

fn arp_request(from: [u8; 4], wanted: [u8; 4]) -> Vec<u8> {
    let request = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(THEIR_MAC),
        source_protocol_addr: from.into(),
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: wanted.into(),
    };
    let mut packet = vec![0; request.buffer_len()];
    request.emit(&mut ArpPacket::new_unchecked(&mut packet));
    packet
}

#[test]
fn requests_and_probes_for_our_ipv4_address_are_answered_and_others_are_not() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let us = [192, 0, 2, 1];
    for from in [[192, 0, 2, 2], [0; 4]] {
        let answers = answers(&mut scene, &ethernet([0xff; 6], 0x0806, &arp_request(from, us)));
        assert_eq!(answers.len(), 1, "{from:?}");
        let frame = EthernetFrame::new_checked(&answers[0][..]).unwrap();
        assert_eq!(frame.dst_addr(), EthernetAddress(THEIR_MAC));
        assert_eq!(frame.ethertype(), EthernetProtocol::Arp);
        let reply = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap());
        let expected = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: EthernetAddress(OUR_MAC),
            source_protocol_addr: us.into(),
            target_hardware_addr: EthernetAddress(THEIR_MAC),
            target_protocol_addr: from.into(),
        };
        assert_eq!(reply, Ok(expected));
    }
    let to_others = arp_request([192, 0, 2, 2], [192, 0, 2, 3]);
    let mut reply = arp_request([192, 0, 2, 2], us);
    reply[7] = 2;
    let mut from_all = arp_request([192, 0, 2, 2], us);
    from_all[8..14].fill(0xff);
    let from_group = arp_request(Ipv4Addr::new(224, 0, 0, 1).octets(), us);
    for packet in [to_others, reply, from_all, from_group] {
        let answers = answers(&mut scene, &ethernet([0xff; 6], 0x0806, &packet));
        assert!(answers.is_empty(), "{answers:02x?}");
    }
}

#[test]
fn a_flow_follows_a_router_that_is_known_by_its_link_local_address() {
    let arena = arena();
    let mut port_options = port_options();
    port_options.addresses = vec!["2001:db8::1/126".parse().unwrap()];
    let routers = Arc::new(Routers::new(&[("::/0".parse().unwrap(), ROUTER.into())]));
    port_options.routers = Arc::clone(&routers);
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options, options());
    // The station is the router, and the client that is behind it.
    scene.station.set_addresses(&["2001:db8::9/64", "fe80::1/64"]);
    scene.until("the router is known", |_| routers.is_known(ROUTER.into()));
    let (flow, client) = scene.connect_to(SERVER_V6);
    assert_eq!(scene.opened[0].peer.ip().to_string(), "2001:db8::9");

    // The client has nothing to say when another takes the router's place.
    scene.station.set_mac([2, 0, 0, 0, 0, 77]);
    scene.pass(Duration::from_secs(11));
    scene.turns(3);
    scene.say(flow, b"still there?");
    assert_eq!(scene.hears(client, 12), b"still there?");
}

/// The groups that the listener reports among these frames tell of, and how.
fn reported(frames: &[Vec<u8>], from: Ipv6Addr) -> Vec<(MldRecordType, Ipv6Addr)> {
    let mut records = Vec::new();
    for frame in frames.iter().filter(|frame| frame[..6] == TO_LISTENERS) {
        assert_eq!(frame[12..14], [0x86, 0xdd]);
        let packet = Ipv6Packet::new_checked(&frame[14..]).unwrap();
        assert_eq!((packet.src_addr(), packet.dst_addr()), (from, LISTENERS));
        assert_eq!((packet.next_header(), packet.hop_limit()), (IpProtocol::HopByHop, 1));
        let (options, message) = packet.payload().split_at(ALERT.len());
        assert_eq!(options, ALERT);
        let message = Icmpv6Packet::new_checked(message).unwrap();
        let checksums = ChecksumCapabilities::default();
        let Ok(Icmpv6Repr::Mld(MldRepr::Report { nr_mcast_addr_rcrds, data })) =
            Icmpv6Repr::parse(&from, &LISTENERS, &message, &checksums)
        else {
            panic!("no report: {frame:02x?}");
        };
        assert_eq!(data.len(), usize::from(nr_mcast_addr_rcrds) * 20);
        records.extend(data.chunks(20).map(|record| {
            let record = MldAddressRecord::new_checked(record).unwrap();
            assert_eq!((record.num_srcs(), record.aux_data_len()), (0, 0));
            (record.record_type(), record.mcast_addr())
        }));
    }
    records
}

#[test]
fn switches_are_told_of_our_groups_twice_when_the_link_comes_up() {
    let arena = arena();
    let mut port_options = port_options();
    // The second ends like the first, and shares its group.
    let addresses = ["2001:db8::1/64", "2001:db8:1::1/64", "192.0.2.1/24", "fe80::2/64"];
    port_options.addresses = addresses.map(|net| net.parse().unwrap()).to_vec();
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options, options());
    scene.station.wire.seen = Some(Vec::new());
    scene.pass(Duration::from_secs(60));
    let seen = scene.station.wire.seen.take().unwrap();
    let (change, second) = (MldRecordType::ChangeToExclude, "ff02::1:ff00:2".parse().unwrap());
    let once = [(change, OUR_GROUP), (change, second)];
    assert_eq!(reported(&seen, "fe80::2".parse().unwrap()), [once, once].concat());
}

#[test]
fn a_port_without_ipv6_tells_switches_nothing() {
    let arena = arena();
    let mut port_options = port_options();
    port_options.addresses = vec!["192.0.2.1/24".parse().unwrap()];
    let mut scene = Scene::with(&arena, &WireOptions::default(), port_options, options());
    scene.station.wire.seen = Some(Vec::new());
    scene.turns(3);
    let seen = scene.station.wire.seen.take().unwrap();
    assert!(seen.iter().all(|frame| frame[12..14] != [0x86, 0xdd]), "{seen:02x?}");
}

/// A question for who listens to `group`, by a version; the unspecified group stands for all.
fn query(version: u8, from: Ipv6Addr, hop: u8, options: &[u8], group: Ipv6Addr) -> Vec<u8> {
    let head = [130, 0, 0, 0, 0x27, 0x10, 0, 0];
    let tail: &[u8] = if version == 1 { &[] } else { &[2, 125, 0, 0] };
    let message = [&head[..], &group.octets(), tail].concat();
    ethernet(TO_ALL_NODES, 0x86dd, &icmp(from, ALL_NODES, hop, options, &message))
}

/// As Linux bridges pad it.
const ALERT_OF_BRIDGES: [u8; 8] = [58, 0, 5, 2, 0, 0, 0, 0];

#[test]
fn a_switch_that_asks_who_listens_is_told_of_our_groups() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    for (group, options) in [(NOBODY, ALERT), (OUR_GROUP, ALERT), (NOBODY, ALERT_OF_BRIDGES)] {
        let answers = answers(&mut scene, &query(2, ROUTER, 1, &options, group));
        assert_eq!(answers.len(), 1, "{group}");
        let expected = [(MldRecordType::ModeIsExclude, OUR_GROUP)];
        assert_eq!(reported(&answers, NOBODY), expected, "{group}");
    }
}

#[test]
fn a_switch_that_asks_by_version_1_is_told_of_each_group_by_version_1() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    for group in [NOBODY, OUR_GROUP] {
        let answers = answers(&mut scene, &query(1, ROUTER, 1, &ALERT_OF_BRIDGES, group));
        assert_eq!(answers.len(), 1, "{group}");
        let message = [&[131, 0, 0, 0, 0, 0, 0, 0][..], &OUR_GROUP.octets()].concat();
        let mut expected = icmp(NOBODY, OUR_GROUP, 1, &ALERT, &message);
        expected.splice(..0, [&TO_OUR_GROUP[..], &OUR_MAC, &[0x86, 0xdd]].concat());
        assert_eq!(answers[0], expected);
    }
}

#[test]
fn questions_for_other_groups_and_those_that_are_not_valid_get_no_answer() {
    let arena = arena();
    let mut scene = Scene::new(&arena);
    let others = "ff02::1:ff00:7".parse().unwrap();
    let no_alert = [58, 0, 1, 4, 0, 0, 0, 0];
    for version in [1, 2] {
        let mut broken = query(version, ROUTER, 1, &ALERT, NOBODY);
        broken[67] ^= 1;
        for (what, frame) in [
            ("another group", query(version, ROUTER, 1, &ALERT, others)),
            ("over a router", query(version, ROUTER, 64, &ALERT, NOBODY)),
            ("from elsewhere", query(version, OURS, 1, &ALERT, NOBODY)),
            ("without options", query(version, ROUTER, 1, &[], NOBODY)),
            ("without an alert", query(version, ROUTER, 1, &no_alert, NOBODY)),
            ("cut off", query(version, ROUTER, 1, &ALERT, NOBODY)[..70].to_vec()),
            ("damaged", broken),
        ] {
            let answers = answers(&mut scene, &frame);
            assert!(answers.is_empty(), "{what}: {answers:02x?}");
        }
    }
}
