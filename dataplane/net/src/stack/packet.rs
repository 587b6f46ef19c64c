//! What the demux wants to know of an IP packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{IpAddress, Ipv4Packet, TcpPacket};

use super::link::EtherType;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_ICMPV6: u8 = 58;

const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;
const TCP_HEADER_BYTES: usize = 20;

/// Flags of a TCP segment (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;

    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// A SYN that begins a connection.
    pub(crate) fn is_opening(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }

    /// Neither begins nor ends anything.
    pub(crate) fn is_plain(self) -> bool {
        self.0 & (Self::SYN | Self::RST | Self::FIN) == 0
    }
}

/// A TCP segment of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) flags: Flags,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) payload_bytes: u16,
    pub(crate) ip_header_bytes: u16,
}

impl Segment {
    /// The sequence number behind all that the segment holds.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN));
        self.sequence.wrapping_add(u32::from(self.payload_bytes)).wrapping_add(flags)
    }
}

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Tcp(Segment),
    /// ICMP of either version, of which a part is an affair of the link: neighbour discovery.
    Icmp {
        destination: IpAddr,
        is_neighbour_discovery: bool,
    },
}

/// Why a packet is not looked at any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketError {
    /// Lengths or fields contradict each other or the frame.
    Malformed,
    /// A piece of a larger packet.
    Fragment,
    /// Of a protocol that is not served here.
    Protocol,
    /// From an address that no station has for itself.
    Source,
}

/// Reads the packet at the start of `bytes` and says how long it is: a frame may be padded.
pub(crate) fn read(ether_type: EtherType, bytes: &[u8]) -> Result<(Content, usize), PacketError> {
    match ether_type {
        EtherType::Ipv4 => read_ipv4(bytes),
        EtherType::Ipv6 => read_ipv6(bytes),
        EtherType::Arp => Err(PacketError::Protocol),
    }
}

fn read_ipv4(bytes: &[u8]) -> Result<(Content, usize), PacketError> {
    let header = bytes.first_chunk::<IPV4_HEADER_BYTES>().ok_or(PacketError::Malformed)?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || header_bytes < IPV4_HEADER_BYTES || total < header_bytes {
        return Err(PacketError::Malformed);
    }
    let packet = bytes.get(..total).ok_or(PacketError::Malformed)?;
    // More fragments, or not the first one.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err(PacketError::Fragment);
    }
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    let destination = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
    if source.is_unspecified() || source.is_multicast() || source.is_broadcast() {
        return Err(PacketError::Source);
    }
    let content = match header[9] {
        PROTOCOL_TCP => {
            let addresses = (source.into(), destination.into());
            Content::Tcp(read_tcp(addresses, header_bytes, &packet[header_bytes..])?)
        }
        PROTOCOL_ICMP => {
            Content::Icmp { destination: destination.into(), is_neighbour_discovery: false }
        }
        _ => return Err(PacketError::Protocol),
    };
    Ok((content, total))
}

/// Extension headers are not served: no station has a reason to put them before TCP.
fn read_ipv6(bytes: &[u8]) -> Result<(Content, usize), PacketError> {
    let header = bytes.first_chunk::<IPV6_HEADER_BYTES>().ok_or(PacketError::Malformed)?;
    let total = IPV6_HEADER_BYTES + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let packet = bytes.get(..total).ok_or(PacketError::Malformed)?;
    let (source, destination) = (address_v6(header, 8), address_v6(header, 24));
    if header[0] >> 4 != 6 {
        return Err(PacketError::Malformed);
    }
    let payload = &packet[IPV6_HEADER_BYTES..];
    let content = match header[6] {
        PROTOCOL_TCP => {
            if source.is_unspecified() || source.is_multicast() {
                return Err(PacketError::Source);
            }
            let addresses = (source.into(), destination.into());
            Content::Tcp(read_tcp(addresses, IPV6_HEADER_BYTES, payload)?)
        }
        PROTOCOL_ICMPV6 => Content::Icmp {
            destination: destination.into(),
            // Router solicitation to redirect (RFC 4861 section 4).
            is_neighbour_discovery: payload.first().is_some_and(|kind| (133..=137).contains(kind)),
        },
        44 => return Err(PacketError::Fragment),
        _ => return Err(PacketError::Protocol),
    };
    Ok((content, total))
}

fn address_v6(header: &[u8; IPV6_HEADER_BYTES], at: usize) -> Ipv6Addr {
    let mut address = [0; 16];
    address.copy_from_slice(&header[at..at + 16]);
    address.into()
}

fn read_tcp(
    (source, destination): (IpAddr, IpAddr),
    ip_header_bytes: usize,
    bytes: &[u8],
) -> Result<Segment, PacketError> {
    let header = bytes.first_chunk::<TCP_HEADER_BYTES>().ok_or(PacketError::Malformed)?;
    let header_bytes = usize::from(header[12] >> 4) * 4;
    if header_bytes < TCP_HEADER_BYTES || header_bytes > bytes.len() {
        return Err(PacketError::Malformed);
    }
    let (source_port, destination_port) =
        (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]));
    if source_port == 0 || destination_port == 0 {
        return Err(PacketError::Malformed);
    }
    let payload_bytes = bytes.len() - header_bytes;
    Ok(Segment {
        source,
        destination,
        source_port,
        destination_port,
        flags: Flags(header[13]),
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledged: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload_bytes: u16::try_from(payload_bytes).map_err(|_| PacketError::Malformed)?,
        ip_header_bytes: u16::try_from(ip_header_bytes).map_err(|_| PacketError::Malformed)?,
    })
}

/// Whether the checksums of a packet that was read without error are right: of the IPv4 header,
/// and of the TCP segment.
pub(crate) fn verify(ether_type: EtherType, packet: &[u8], segment: &Segment) -> bool {
    let header_is_right =
        ether_type != EtherType::Ipv4 || Ipv4Packet::new_unchecked(packet).verify_checksum();
    let tcp = TcpPacket::new_unchecked(&packet[usize::from(segment.ip_header_bytes)..]);
    header_is_right
        && tcp.verify_checksum(
            &IpAddress::from(segment.source),
            &IpAddress::from(segment.destination),
        )
}
