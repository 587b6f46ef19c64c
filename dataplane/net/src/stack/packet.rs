//! What the demux wants to know of an IP packet.

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{IpAddress, Ipv4Packet, TcpPacket};

use super::link::EtherType;

const PROTOCOL_HOP_BY_HOP: u8 = 0;
const PROTOCOL_ICMP: u8 = 1;
pub(super) const PROTOCOL_TCP: u8 = 6;
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

    pub(crate) fn new(flags: u8) -> Self {
        Self(flags)
    }

    #[inline]
    pub(crate) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// A SYN that begins a connection.
    #[inline]
    pub(crate) fn is_opening(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }

    /// Neither begins nor ends anything.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & (Self::SYN | Self::RST | Self::FIN) == 0
    }
}

/// An address of either version in two words, which are quick to compare and to hash: IPv4 addresses
/// are mapped into IPv6 (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(u64, u64);

impl Address {
    const MAPPED: u64 = 0xffff << 32;

    #[inline]
    fn v4(bytes: [u8; 4]) -> Self {
        Self::of_v4(u32::from_be_bytes(bytes))
    }

    /// Of an address of IPv4, as a number.
    #[inline]
    pub(crate) fn of_v4(bits: u32) -> Self {
        Self(0, Self::MAPPED | u64::from(bits))
    }

    /// Whether a station may have the address of IPv4 for itself: it is not of "this network",
    /// loopback, a group or reserved (RFC 6890 section 2.2.2).
    #[inline]
    pub(crate) fn is_of_station(bits: u32) -> bool {
        !matches!(bits >> 24, 0 | 127 | 224..)
    }

    fn is_mapped(self) -> bool {
        self.0 == 0 && self.1 & !0xffff_ffff == Self::MAPPED
    }

    #[inline]
    pub(crate) fn words(self) -> (u64, u64) {
        (self.0, self.1)
    }

    pub(crate) fn ip(self) -> IpAddr {
        let bits = u128::from(self.0) << 64 | u128::from(self.1);
        IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, low @ ..] = address.octets();
                Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(low))
            }
        }
    }
}

/// A TCP segment, but for its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) payload_bytes: u16,
    pub(crate) flags: Flags,
}

impl Segment {
    /// The sequence number behind all that the segment holds.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN));
        self.sequence.wrapping_add(u32::from(self.payload_bytes)).wrapping_add(flags)
    }
}

/// An IP packet of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    /// The length of all of it; the frame may be padded.
    pub(crate) bytes: u16,
    header_bytes: u16,
    pub(crate) content: Content,
}

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Tcp,
    /// ICMP of either version.
    Icmp,
    /// ICMP that is an affair of the link: neighbour discovery, and questions for listeners.
    Link,
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

/// The TCP segment of a packet that is our own, and so is what its lengths say; `None` where it
/// holds something else. Our packets have no options of IP.
#[inline]
pub(crate) fn read_own(ether_type: EtherType, packet: &[u8]) -> Option<OwnSegment> {
    match ether_type {
        EtherType::Ipv4 => {
            let (ip, segment) = packet.split_first_chunk::<IPV4_HEADER_BYTES>()?;
            (ip[9] == PROTOCOL_TCP).then_some(())?;
            read_own_tcp(IPV4_HEADER_BYTES, segment)
        }
        EtherType::Ipv6 => {
            let (ip, segment) = packet.split_first_chunk::<IPV6_HEADER_BYTES>()?;
            (ip[6] == PROTOCOL_TCP).then_some(())?;
            read_own_tcp(IPV6_HEADER_BYTES, segment)
        }
        EtherType::Arp => None,
    }
}

#[inline]
fn read_own_tcp(ip_header_bytes: usize, segment: &[u8]) -> Option<OwnSegment> {
    let header = segment.first_chunk::<TCP_HEADER_BYTES>()?;
    let payload = segment.len().checked_sub(usize::from(header[12] >> 4) * 4)?;
    let payload_bytes = u32::try_from(payload).ok()?;
    let flags = u32::from(header[13] & Flags::SYN != 0) + u32::from(header[13] & Flags::FIN != 0);
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Some(OwnSegment {
        end: sequence.wrapping_add(payload_bytes).wrapping_add(flags),
        acknowledged: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload_bytes,
        ip_header_bytes: u16::try_from(ip_header_bytes).ok()?,
    })
}

/// What is to be known of a segment that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnSegment {
    /// The sequence number behind all that it holds.
    pub(crate) end: u32,
    pub(crate) acknowledged: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) ip_header_bytes: u16,
}

/// Reads the packet at the start of `bytes`.
#[inline]
pub(crate) fn read(ether_type: EtherType, bytes: &[u8]) -> Result<Packet, PacketError> {
    match ether_type {
        EtherType::Ipv4 => read_ipv4(bytes),
        EtherType::Ipv6 => read_ipv6(bytes),
        EtherType::Arp => Err(PacketError::Protocol),
    }
}

#[inline]
fn read_ipv4(bytes: &[u8]) -> Result<Packet, PacketError> {
    let header = bytes.first_chunk::<IPV4_HEADER_BYTES>().ok_or(PacketError::Malformed)?;
    let header_bytes = u16::from(header[0] & 0x0f) * 4;
    let total = u16::from_be_bytes([header[2], header[3]]);
    if header[0] >> 4 != 4
        || usize::from(header_bytes) < IPV4_HEADER_BYTES
        || total < header_bytes
        || usize::from(total) > bytes.len()
    {
        return Err(PacketError::Malformed);
    }
    // More fragments, or not the first one.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err(PacketError::Fragment);
    }
    let source = [header[12], header[13], header[14], header[15]];
    let destination = [header[16], header[17], header[18], header[19]];
    if !Address::is_of_station(u32::from_be_bytes(source)) {
        return Err(PacketError::Source);
    }
    let content = match header[9] {
        PROTOCOL_TCP => Content::Tcp,
        PROTOCOL_ICMP => Content::Icmp,
        _ => return Err(PacketError::Protocol),
    };
    let (source, destination) = (Address::v4(source), Address::v4(destination));
    Ok(Packet { source, destination, bytes: total, header_bytes, content })
}

/// Extension headers are not served: no station has a reason to put them before TCP. Questions for
/// listeners must have one, of eight bytes (RFC 3810 section 5).
fn read_ipv6(bytes: &[u8]) -> Result<Packet, PacketError> {
    const HEADER_BYTES: u16 = 40;
    const { assert!(HEADER_BYTES as usize == IPV6_HEADER_BYTES) };
    let header = bytes.first_chunk::<IPV6_HEADER_BYTES>().ok_or(PacketError::Malformed)?;
    let payload_bytes = u16::from_be_bytes([header[4], header[5]]);
    let total = HEADER_BYTES.checked_add(payload_bytes).ok_or(PacketError::Malformed)?;
    let packet = bytes.get(..usize::from(total)).ok_or(PacketError::Malformed)?;
    let (source, destination) = (address_v6(header, 8), address_v6(header, 24));
    if header[0] >> 4 != 6 {
        return Err(PacketError::Malformed);
    }
    // Addresses that stand for IPv4 are on no wire (RFC 4291 section 2.5.5.2).
    let (from, destination) = (Address::from(IpAddr::V6(source)), IpAddr::V6(destination).into());
    if from.is_mapped() || Address::is_mapped(destination) {
        return Err(PacketError::Source);
    }
    let content = match header[6] {
        PROTOCOL_TCP
            if source.is_unspecified() || source.is_multicast() || source.is_loopback() =>
        {
            return Err(PacketError::Source);
        }
        PROTOCOL_TCP => Content::Tcp,
        // Router solicitation to redirect (RFC 4861 section 4).
        PROTOCOL_ICMPV6 => match packet.get(IPV6_HEADER_BYTES) {
            Some(133..=137) => Content::Link,
            _ => Content::Icmp,
        },
        PROTOCOL_HOP_BY_HOP
            if matches!(
                packet[IPV6_HEADER_BYTES..],
                [PROTOCOL_ICMPV6, 0, _, _, _, _, _, _, 130, ..]
            ) =>
        {
            Content::Link
        }
        44 => return Err(PacketError::Fragment),
        _ => return Err(PacketError::Protocol),
    };
    Ok(Packet { source: from, destination, bytes: total, header_bytes: HEADER_BYTES, content })
}

fn address_v6(header: &[u8; IPV6_HEADER_BYTES], at: usize) -> Ipv6Addr {
    let mut address = [0; 16];
    address.copy_from_slice(&header[at..at + 16]);
    address.into()
}

/// Reads the TCP segment of a packet that was read from `bytes`; the ports are those of its source
/// and of its destination.
#[inline]
pub(crate) fn read_tcp(packet: &Packet, bytes: &[u8]) -> Result<(u16, u16, Segment), PacketError> {
    let bytes = bytes
        .get(usize::from(packet.header_bytes)..usize::from(packet.bytes))
        .ok_or(PacketError::Malformed)?;
    let header = bytes.first_chunk::<TCP_HEADER_BYTES>().ok_or(PacketError::Malformed)?;
    let header_bytes = u16::from(header[12] >> 4) * 4;
    // The packet is no longer than 16 bits can say.
    let segment_bytes = packet.bytes - packet.header_bytes;
    if usize::from(header_bytes) < TCP_HEADER_BYTES || header_bytes > segment_bytes {
        return Err(PacketError::Malformed);
    }
    let (source_port, destination_port) =
        (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]));
    if source_port == 0 || destination_port == 0 {
        return Err(PacketError::Malformed);
    }
    let segment = Segment {
        flags: Flags::new(header[13]),
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledged: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload_bytes: segment_bytes - header_bytes,
    };
    Ok((source_port, destination_port, segment))
}

/// Whether the checksum of the IPv4 header of a packet that was read from `bytes` is right; IPv6 has
/// none.
pub(crate) fn verify_header(ether_type: EtherType, packet: &Packet, bytes: &[u8]) -> bool {
    let bytes = &bytes[..usize::from(packet.bytes)];
    ether_type != EtherType::Ipv4 || Ipv4Packet::new_unchecked(bytes).verify_checksum()
}

/// Whether the checksum of the TCP segment of a packet that was read from `bytes` is right.
pub(crate) fn verify_tcp(packet: &Packet, bytes: &[u8]) -> bool {
    let segment = &bytes[usize::from(packet.header_bytes)..usize::from(packet.bytes)];
    TcpPacket::new_unchecked(segment).verify_checksum(
        &IpAddress::from(packet.source.ip()),
        &IpAddress::from(packet.destination.ip()),
    )
}
