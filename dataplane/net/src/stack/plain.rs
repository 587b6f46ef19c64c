//! Segments as nearly all are: in a frame without a tag, over IPv4 without options.

use super::link::Link;
use super::packet::{Address, Flags, PROTOCOL_TCP, Segment};

/// Headers of Ethernet, IPv4 and TCP.
const HEADERS_BYTES: usize = PACKET_AT as usize + IPV4_BYTES as usize + TCP_BYTES as usize;
/// Where the packet begins.
pub(super) const PACKET_AT: u16 = 14;
const IPV4_BYTES: u16 = 20;
const TCP_BYTES: u16 = 20;

/// What the demux wants to know of such a frame.
pub(super) struct Plain {
    /// The sender.
    pub(super) link: Link,
    /// Addresses of IPv4, as numbers.
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    /// The length of the packet.
    pub(super) packet_bytes: u16,
    pub(super) segment: Segment,
}

/// Reads a frame for `station`. `None` where anything is otherwise or not as it should be: what that
/// is, [`link`](super::link) and [`packet`](super::packet) find out.
#[inline(always)]
pub(super) fn read(frame: &[u8], station: Link) -> Option<Plain> {
    const IPV4: u64 = 0x0800;
    const VERSION_AND_HEADER_WORDS: u8 = 0x45;
    // More fragments, and the place of this one; the protocol behind the time to live.
    const FRAGMENT_AND_PROTOCOL: u32 = 0x3fff_00ff;

    let headers: &[u8; HEADERS_BYTES] = frame.first_chunk()?;
    let (to, from) = (u64_at(headers, 0), u64_at(headers, 6));
    let link = Link::untagged(from);
    let packet_bytes = u16_at(headers, 16);
    let source = u32_at(headers, 26);
    let ports = u32_at(headers, 34);
    let header_bytes = u16::from(headers[46] >> 4) * 4;
    let is_plain = Link::untagged(to) == station
        && from & 0xffff == IPV4
        && !link.is_group()
        && headers[usize::from(PACKET_AT)] == VERSION_AND_HEADER_WORDS
        && u32_at(headers, 20) & FRAGMENT_AND_PROTOCOL == u32::from(PROTOCOL_TCP)
        && packet_bytes >= IPV4_BYTES + TCP_BYTES
        && usize::from(packet_bytes) <= frame.len() - usize::from(PACKET_AT)
        && Address::is_of_station(source)
        && ports >> 16 != 0
        && ports & 0xffff != 0
        && (TCP_BYTES..=packet_bytes - IPV4_BYTES).contains(&header_bytes);
    if !is_plain {
        return None;
    }
    Some(Plain {
        link,
        source,
        destination: u32_at(headers, 30),
        source_port: u16_at(headers, 34),
        destination_port: u16_at(headers, 36),
        packet_bytes,
        segment: Segment {
            sequence: u32_at(headers, 38),
            acknowledged: u32_at(headers, 42),
            payload_bytes: packet_bytes - IPV4_BYTES - header_bytes,
            flags: Flags::new(headers[47]),
        },
    })
}

#[inline]
fn u16_at(headers: &[u8; HEADERS_BYTES], at: usize) -> u16 {
    u16::from_be_bytes([headers[at], headers[at + 1]])
}

#[inline]
fn u32_at(headers: &[u8; HEADERS_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([headers[at], headers[at + 1], headers[at + 2], headers[at + 3]])
}

#[inline]
fn u64_at(headers: &[u8; HEADERS_BYTES], at: usize) -> u64 {
    u64::from(u32_at(headers, at)) << 32 | u64::from(u32_at(headers, at + 4))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::link::{EtherType, Header, Link};
    use super::super::packet;
    use super::*;

    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 1];

    /// An acknowledgement of five bytes, with one behind it that pads the frame.
    const FRAME: [u8; 60] = [
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
        0x45, 0, 0, 45, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1, // IPv4
        0x10, 1, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x10, 4, 0, 0, 0, 0, 0, // TCP
        1, 2, 3, 4, 5, 0,
    ];

    /// What the general way finds in the frame.
    fn read_in_general(frame: &[u8], station: Link) -> Option<Plain> {
        let header = Header::read(frame, None, None).ok()?;
        if header.destination != station || header.source.is_group() {
            return None;
        }
        let bytes = &frame[usize::from(header.bytes)..];
        let ip = packet::read(header.ether_type, bytes).ok()?;
        if ip.content != packet::Content::Tcp || header.ether_type != EtherType::Ipv4 {
            return None;
        }
        let (source_port, destination_port, segment) = packet::read_tcp(&ip, bytes).ok()?;
        Some(Plain {
            link: header.source,
            source: v4(ip.source),
            destination: v4(ip.destination),
            source_port,
            destination_port,
            packet_bytes: ip.bytes,
            segment,
        })
    }

    fn v4(address: Address) -> u32 {
        u32::try_from(address.words().1 & 0xffff_ffff).expect("half of it")
    }

    impl Plain {
        fn fields(&self) -> impl PartialEq + std::fmt::Debug + use<> {
            let addresses = (self.link, self.source, self.destination);
            (addresses, self.source_port, self.destination_port, self.packet_bytes, self.segment)
        }
    }

    #[test]
    fn an_acknowledgement_is_read() {
        let plain = read(&FRAME, Link::new(STATION, None)).expect("as nearly all are");
        assert_eq!((plain.source_port, plain.destination_port), (0x1001, 80));
        assert_eq!((plain.packet_bytes, plain.segment.payload_bytes), (45, 5));
    }

    proptest! {
        /// Beside the general way, which knows more kinds: some bytes are others, and some missing.
        #[test]
        fn what_is_read_is_what_the_general_way_finds(
            changes in prop::collection::vec((0_usize..54, any::<u8>()), 0..4),
            len in prop_oneof![4 => Just(60_usize), 1 => 0_usize..60],
        ) {
            let mut frame = FRAME;
            changes.iter().for_each(|(at, value)| frame[*at] = *value);
            let (frame, station) = (&frame[..len], Link::new(STATION, None));
            let (found, expected) = (read(frame, station), read_in_general(frame, station));
            let has_ip_options = frame.get(usize::from(PACKET_AT)).is_some_and(|first| *first != 0x45);
            if expected.is_some() && !has_ip_options {
                prop_assert!(found.is_some());
            }
            if let Some(found) = found {
                let expected = expected.map(|it| it.fields());
                prop_assert_eq!(Some(found.fields()), expected);
            }
        }
    }
}
