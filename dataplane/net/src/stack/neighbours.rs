//! What is said and heard of hardware addresses: ARP (RFC 826, RFC 5227) and neighbour discovery
//! (RFC 4861).

use std::net::{IpAddr, Ipv6Addr};

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
            ndisc(output, address, ALL_NODES, advert, tag);
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
            let [.., a, b, c] = wanted.octets();
            let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
            let solicit =
                NdiscRepr::NeighborSolicit { target_addr: wanted, lladdr: Some(own(output)) };
            ndisc(output, address, group, solicit, tag);
        }
        (address, wanted) => arp_request(output, address, wanted, tag),
    }
}

/// Who an ARP packet says has which address.
pub(crate) fn told_by_arp(packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let packet = ArpPacket::new_checked(packet).ok()?;
    let ArpRepr::EthernetIpv4 { source_hardware_addr, source_protocol_addr, .. } =
        ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    one_station(source_protocol_addr.into(), source_hardware_addr.0)
}

/// Who a message of neighbour discovery says has which address.
pub(crate) fn told_by_ndisc(packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    if packet.next_header() != IpProtocol::Icmpv6 || packet.hop_limit() != HOP_LIMIT {
        return None;
    }
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    let checksums = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&source, &destination, &message, &checksums).ok()? {
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, lladdr, .. }) => {
            one_station(target_addr.into(), mac_of(lladdr?)?)
        }
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { lladdr, .. }) => {
            one_station(source.into(), mac_of(lladdr?)?)
        }
        _ => None,
    }
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
    output.link = Link::new(BROADCAST, tag);
    output.send_arp(request.buffer_len(), |packet| {
        request.emit(&mut ArpPacket::new_unchecked(packet));
    });
}

fn ndisc<P: FramePort>(
    output: &mut Output<P>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: NdiscRepr<'_>,
    tag: Option<Tag>,
) {
    let message = Icmpv6Repr::Ndisc(message);
    let header = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    // RFC 2464 section 7.
    let [.., a, b, c, d] = destination.octets();
    output.link = Link::new([0x33, 0x33, a, b, c, d], tag);
    let len = header.buffer_len() + message.buffer_len();
    output.send_packet(len, |bytes| {
        let mut packet = Ipv6Packet::new_unchecked(bytes);
        header.emit(&mut packet);
        let mut payload = Icmpv6Packet::new_unchecked(packet.payload_mut());
        message.emit(&source, &destination, &mut payload, &ChecksumCapabilities::default());
    });
}
