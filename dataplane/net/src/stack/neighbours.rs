//! What is said and heard of hardware addresses: ARP (RFC 826, RFC 5227) and neighbour discovery
//! (RFC 4861).

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpProtocol,
    Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use super::device::Output;
use super::link::{BROADCAST, Link, Mac, Tag};
use crate::FramePort;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Tells receivers that no router has touched the packet (RFC 4861 section 7.1).
const HOP_LIMIT: u8 = 255;

/// Tells all stations that `address` is here.
pub(crate) fn announce<P: FramePort>(output: &mut Output<P>, address: IpAddr, tag: Option<Tag>) {
    match address {
        IpAddr::V4(_) => arp_request(output, address, address, tag),
        IpAddr::V6(address) => {
            let advert = NdiscRepr::NeighborAdvert {
                flags: NdiscNeighborFlags::OVERRIDE,
                target_addr: address,
                lladdr: Some(own(output)),
            };
            ndisc(output, group(ALL_NODES, tag), address, ALL_NODES, advert);
        }
    }
}

/// Asks for the station that has `wanted`, from `address`.
pub(crate) fn ask<P: FramePort>(
    output: &mut Output<P>,
    address: IpAddr,
    wanted: IpAddr,
    tag: Option<Tag>,
) {
    match (address, wanted) {
        (IpAddr::V6(address), IpAddr::V6(wanted)) => {
            let nodes = solicited_node(wanted);
            let solicit =
                NdiscRepr::NeighborSolicit { target_addr: wanted, lladdr: Some(own(output)) };
            ndisc(output, group(nodes, tag), address, nodes, solicit);
        }
        (address, wanted) => arp_request(output, address, wanted, tag),
    }
}

/// Answers an ARP request for one of `addresses`; that of a station that has no address yet as well
/// (RFC 5227 section 2.1.1).
pub(crate) fn answer_arp<P: FramePort>(
    output: &mut Output<P>,
    addresses: &[IpNet],
    from: Link,
    packet: &[u8],
) {
    let Some(ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: asker,
        source_protocol_addr: source,
        target_protocol_addr: wanted,
        ..
    }) = read_arp(packet)
    else {
        return;
    };
    let link = from.with_mac(asker.0);
    if !has(addresses, wanted) || link.is_group() || source.is_multicast() || source.is_broadcast()
    {
        return;
    }
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(output.capabilities.mac),
        source_protocol_addr: wanted,
        target_hardware_addr: asker,
        target_protocol_addr: source,
    };
    arp(output, link, reply);
}

/// Answers a neighbour solicitation for one of `addresses` (RFC 4861 section 7.2.4), from whatever
/// address of the link: routers ask from their link-local one. A station that wants the address for
/// itself has none; all nodes are told then (RFC 4862 section 5.4.4).
pub(crate) fn answer_ndisc<P: FramePort>(
    output: &mut Output<P>,
    addresses: &[IpNet],
    from: Link,
    packet: &[u8],
) {
    let Some((source, destination, NdiscRepr::NeighborSolicit { target_addr, lladdr })) =
        read_ndisc(packet)
    else {
        return;
    };
    if !has(addresses, target_addr) || source.is_multicast() {
        return;
    }
    let ours = Some(own(output));
    let advert = |flags| NdiscRepr::NeighborAdvert { flags, target_addr, lladdr: ours };
    if !source.is_unspecified() {
        let flags = NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE;
        ndisc(output, from, target_addr, source, advert(flags));
    } else if lladdr.is_none() && destination == solicited_node(target_addr) {
        // Others are not valid (RFC 4861 section 7.1.1).
        let link = group(ALL_NODES, from.tag());
        ndisc(output, link, target_addr, ALL_NODES, advert(NdiscNeighborFlags::OVERRIDE));
    }
}

/// Who an ARP packet says has which address.
pub(crate) fn told_by_arp(packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let ArpRepr::EthernetIpv4 { source_hardware_addr, source_protocol_addr, .. } =
        read_arp(packet)?
    else {
        return None;
    };
    one_station(source_protocol_addr.into(), source_hardware_addr.0)
}

/// Who a message of neighbour discovery says has which address.
pub(crate) fn told_by_ndisc(packet: &[u8]) -> Option<(IpAddr, Mac)> {
    match read_ndisc(packet)? {
        (_, _, NdiscRepr::NeighborAdvert { target_addr, lladdr, .. }) => {
            one_station(target_addr.into(), mac_of(lladdr?)?)
        }
        (source, _, NdiscRepr::NeighborSolicit { lladdr, .. }) => {
            one_station(source.into(), mac_of(lladdr?)?)
        }
        _ => None,
    }
}

fn read_arp(packet: &[u8]) -> Option<ArpRepr> {
    ArpRepr::parse(&ArpPacket::new_checked(packet).ok()?).ok()
}

/// A message of neighbour discovery that is valid, with its source and its destination.
fn read_ndisc(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr, NdiscRepr<'_>)> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    if packet.next_header() != IpProtocol::Icmpv6 || packet.hop_limit() != HOP_LIMIT {
        return None;
    }
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    let checksums = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&source, &destination, &message, &checksums).ok()? {
        Icmpv6Repr::Ndisc(message) => Some((source, destination, message)),
        _ => None,
    }
}

fn has(addresses: &[IpNet], wanted: impl Into<IpAddr>) -> bool {
    let wanted = wanted.into();
    addresses.iter().any(|net| net.addr() == wanted)
}

/// The group that a station with this address listens to (RFC 4291 section 2.7.1).
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// All stations of a group (RFC 2464 section 7).
pub(crate) fn group(address: Ipv6Addr, tag: Option<Tag>) -> Link {
    let [.., a, b, c, d] = address.octets();
    Link::new([0x33, 0x33, a, b, c, d], tag)
}

fn one_station(address: IpAddr, mac: Mac) -> Option<(IpAddr, Mac)> {
    (!Link::new(mac, None).is_group() && !address.is_unspecified() && !address.is_multicast())
        .then_some((address, mac))
}

fn mac_of(address: RawHardwareAddress) -> Option<Mac> {
    address.as_bytes().try_into().ok()
}

fn own<P: FramePort>(output: &Output<P>) -> RawHardwareAddress {
    EthernetAddress(output.capabilities.mac).into()
}

/// An announcement where both addresses are the same (RFC 5227 section 3).
fn arp_request<P: FramePort>(
    output: &mut Output<P>,
    address: IpAddr,
    wanted: IpAddr,
    tag: Option<Tag>,
) {
    let (IpAddr::V4(address), IpAddr::V4(wanted)) = (address, wanted) else { return };
    let request = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(output.capabilities.mac),
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: wanted,
    };
    arp(output, Link::new(BROADCAST, tag), request);
}

fn arp<P: FramePort>(output: &mut Output<P>, link: Link, message: ArpRepr) {
    output.link = link;
    output.send_arp(message.buffer_len(), |packet| {
        message.emit(&mut ArpPacket::new_unchecked(packet));
    });
}

fn ndisc<P: FramePort>(
    output: &mut Output<P>,
    link: Link,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: NdiscRepr<'_>,
) {
    let message = Icmpv6Repr::Ndisc(message);
    let header = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    output.link = link;
    let len = header.buffer_len() + message.buffer_len();
    output.send_packet(len, |bytes| {
        let mut packet = Ipv6Packet::new_unchecked(bytes);
        header.emit(&mut packet);
        let mut payload = Icmpv6Packet::new_unchecked(packet.payload_mut());
        message.emit(&source, &destination, &mut payload, &ChecksumCapabilities::default());
    });
}
