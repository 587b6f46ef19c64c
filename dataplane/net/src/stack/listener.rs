//! Tells which groups are listened to here: multicast listener discovery (RFC 3810, and RFC 2710
//! where it is asked for by version 1).
//!
//! Switches that look into it pass solicitations on to those who have told that they listen to the
//! solicited-node group of their address, and to nobody else (RFC 4541 section 3).

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use smoltcp::wire::{Icmpv6Packet, IpProtocol, Ipv6Packet, Ipv6Repr};

use super::device::Output;
use super::link::{Link, Tag};
use super::neighbours::{group, solicited_node};
use crate::FramePort;

const QUERY: u8 = 130;
const REPORT_V1: u8 = 131;
const REPORT: u8 = 143;

/// Kinds of records: any source is wanted (RFC 3810 section 5.2.12), as was already so, or newly.
const MODE_IS_EXCLUDE: u8 = 2;
const CHANGE_TO_EXCLUDE_MODE: u8 = 4;

/// All that take in reports (RFC 3810 section 5.2.14).
const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// Never beyond the link (RFC 3810 section 5).
const HOP_LIMIT: u8 = 1;
/// The option that asks routers to look at a packet (RFC 2711).
const ROUTER_ALERT: [u8; 4] = [5, 2, 0, 0];
/// A header with that option and padding, before ICMP, and of no more than eight bytes.
const OPTIONS: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];
const QUERY_V1_BYTES: usize = 24;
const QUERY_BYTES_MIN: usize = 28;

/// Tells that the solicited-node groups of `addresses` are listened to from now on.
pub(crate) fn announce<P: FramePort>(
    output: &mut Output<P>,
    addresses: &[IpNet],
    tag: Option<Tag>,
) {
    report(output, addresses, CHANGE_TO_EXCLUDE_MODE, tag);
}

/// Answers a question for the listeners of all groups, or of one that `addresses` make us listen to.
/// At once: one station has no crowd of others to spread its answers among.
pub(crate) fn answer<P: FramePort>(
    output: &mut Output<P>,
    addresses: &[IpNet],
    from: Link,
    packet: &[u8],
) {
    let Some((version, wanted)) = read_query(packet) else { return };
    let mut groups = groups(addresses);
    groups.retain(|group| wanted.is_unspecified() || *group == wanted);
    match version {
        _ if groups.is_empty() => {}
        Version::Two => report(output, addresses, MODE_IS_EXCLUDE, from.tag()),
        Version::One => {
            for group in groups {
                // RFC 2710 section 3.
                let message = [&[REPORT_V1, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat();
                send(output, addresses, group, &message, from.tag());
            }
        }
    }
}

/// Of a question.
enum Version {
    One,
    Two,
}

/// What group a packet asks for, if it is a valid question (RFC 3810 sections 5.1.14, 6.2 and 8.1).
fn read_query(packet: &[u8]) -> Option<(Version, Ipv6Addr)> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    let (options, message) = packet.payload().split_at_checked(OPTIONS.len())?;
    let [next, length, options @ ..] = options else { return None };
    if packet.next_header() != IpProtocol::HopByHop
        || [*next, *length] != OPTIONS[..2]
        || !options.windows(4).any(|option| option == ROUTER_ALERT)
        || packet.hop_limit() != HOP_LIMIT
        || !source.is_unicast_link_local()
    {
        return None;
    }
    let version = match message.len() {
        QUERY_V1_BYTES => Version::One,
        QUERY_BYTES_MIN.. => Version::Two,
        _ => return None,
    };
    let is_query = message[..2] == [QUERY, 0]
        && Icmpv6Packet::new_unchecked(message).verify_checksum(&source, &destination);
    let group: [u8; 16] = message[8..24].try_into().ok()?;
    is_query.then_some((version, group.into()))
}

/// A report of all groups at once (RFC 3810 section 5.2).
fn report<P: FramePort>(output: &mut Output<P>, addresses: &[IpNet], kind: u8, tag: Option<Tag>) {
    let groups = groups(addresses);
    // A port has no more than fit in a byte, and far less than fit in a packet.
    let Some(count) = u8::try_from(groups.len()).ok().filter(|count| *count > 0) else { return };
    let mut message = vec![REPORT, 0, 0, 0, 0, 0, 0, count];
    for group in groups {
        message.extend_from_slice(&[kind, 0, 0, 0]);
        message.extend_from_slice(&group.octets());
    }
    send(output, addresses, ROUTERS, &message, tag);
}

/// Sends a message, from the port's link-local address, or from the unspecified one where it has
/// none (RFC 3810 section 5.2.13, RFC 3590).
fn send<P: FramePort>(
    output: &mut Output<P>,
    addresses: &[IpNet],
    destination: Ipv6Addr,
    message: &[u8],
    tag: Option<Tag>,
) {
    let source = addresses_v6(addresses).find(Ipv6Addr::is_unicast_link_local);
    let source = source.unwrap_or(Ipv6Addr::UNSPECIFIED);
    let header = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::HopByHop,
        payload_len: OPTIONS.len() + message.len(),
        hop_limit: HOP_LIMIT,
    };
    output.link = group(destination, tag);
    output.send_packet(header.buffer_len() + header.payload_len, |bytes| {
        let mut packet = Ipv6Packet::new_unchecked(bytes);
        header.emit(&mut packet);
        let (options, payload) = packet.payload_mut().split_at_mut(OPTIONS.len());
        options.copy_from_slice(&OPTIONS);
        payload.copy_from_slice(message);
        Icmpv6Packet::new_unchecked(payload).fill_checksum(&source, &destination);
    });
}

/// Each once: addresses that end alike have the same one.
fn groups(addresses: &[IpNet]) -> Vec<Ipv6Addr> {
    let mut groups: Vec<_> = addresses_v6(addresses).map(solicited_node).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn addresses_v6(addresses: &[IpNet]) -> impl Iterator<Item = Ipv6Addr> {
    addresses.iter().filter_map(|net| match net.addr() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    })
}
