//! Packets that contradict themselves: headers of Ethernet, IPv4 and TCP.

use std::net::{Ipv4Addr, SocketAddrV4};

use fastrand::Rng;

use super::pick;
use crate::transport::{Position, Route};

const ETHERNET_BYTES: usize = 14;
const IP: usize = ETHERNET_BYTES;
const TCP: usize = IP + 20;
const HEADER_BYTES: usize = TCP + 20;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// Farther than any window reaches.
const FAR: u32 = 1 << 24;

/// A segment as it should be, until something is changed about it.
struct Packet {
    bytes: Vec<u8>,
}

/// What a segment says.
#[derive(Clone, Copy)]
struct Words {
    source: SocketAddrV4,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
}

impl Packet {
    /// With right checksums. There are at most 40 bytes of options, in whole words.
    fn new(route: &Route, words: Words, options: &[u8], payload: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend_from_slice(options);
        bytes.extend_from_slice(payload);
        bytes[..6].copy_from_slice(&route.next_hop);
        bytes[6..12].copy_from_slice(&route.own_mac);
        bytes[12..14].copy_from_slice(&[0x08, 0x00]);
        bytes[IP] = 0x45;
        let total = u16::try_from(bytes.len() - IP).unwrap_or(u16::MAX);
        bytes[IP + 2..IP + 4].copy_from_slice(&total.to_be_bytes());
        bytes[IP + 6] = 0x40;
        bytes[IP + 8..IP + 10].copy_from_slice(&[64, 6]);
        bytes[IP + 12..IP + 16].copy_from_slice(&words.source.ip().octets());
        bytes[IP + 16..IP + 20].copy_from_slice(&route.server.ip().octets());
        bytes[TCP..TCP + 2].copy_from_slice(&words.source.port().to_be_bytes());
        bytes[TCP + 2..TCP + 4].copy_from_slice(&route.server.port().to_be_bytes());
        bytes[TCP + 4..TCP + 8].copy_from_slice(&words.sequence.to_be_bytes());
        bytes[TCP + 8..TCP + 12].copy_from_slice(&words.acknowledged.to_be_bytes());
        let header_words = u8::try_from((20 + options.len()) / 4).unwrap_or(15);
        bytes[TCP + 12..TCP + 14].copy_from_slice(&[header_words << 4, words.flags]);
        bytes[TCP + 14..TCP + 16].copy_from_slice(&4096_u16.to_be_bytes());
        let mut packet = Self { bytes };
        packet.fix_tcp();
        packet.fix_ip();
        packet
    }

    /// Makes the checksum of the IPv4 header right.
    fn fix_ip(&mut self) {
        self.bytes[IP + 10..IP + 12].fill(0);
        let sum = checksum([&self.bytes[IP..TCP]]);
        self.bytes[IP + 10..IP + 12].copy_from_slice(&sum);
    }

    /// Makes the checksum of TCP right.
    fn fix_tcp(&mut self) {
        self.bytes[TCP + 16..TCP + 18].fill(0);
        let len = u16::try_from(self.bytes.len() - TCP).unwrap_or(u16::MAX).to_be_bytes();
        let pseudo = [&self.bytes[IP + 12..IP + 20], &[0, 6], &len].concat();
        let sum = checksum([&pseudo[..], &self.bytes[TCP..]]);
        self.bytes[TCP + 16..TCP + 18].copy_from_slice(&sum);
    }

    fn set(&mut self, at: usize, value: u8) {
        self.bytes[at] = value;
    }

    fn set_word(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

/// A packet from an address that no client has.
pub(super) fn stray(random: &mut Rng, route: &Route, source: SocketAddrV4) -> Vec<u8> {
    let words = Words {
        source,
        sequence: random.u32(..),
        acknowledged: random.u32(..),
        flags: pick(random, [SYN, SYN, ACK, ACK | PSH, FIN | ACK]),
    };
    let payload = noise(random, 64);
    let mut packet = Packet::new(route, words, &[], &payload);
    match random.u8(..16) {
        0 => return random_frame(random, route),
        1 => packet.bytes.truncate(random.usize(ETHERNET_BYTES..packet.bytes.len())),
        2 => {
            // Any version, any length of the header.
            packet.set(IP, random.u8(..));
            packet.fix_ip();
        }
        3 => {
            packet.set_word(IP + 2, random.u16(..));
            packet.fix_ip();
        }
        4 => packet.set(IP + 10, packet.bytes[IP + 10] ^ random.u8(1..)),
        5 => {
            // A fragment.
            packet.set_word(IP + 6, random.u16(..));
            packet.fix_ip();
        }
        6 => {
            let source = pick(
                random,
                [
                    Ipv4Addr::UNSPECIFIED,
                    Ipv4Addr::BROADCAST,
                    Ipv4Addr::LOCALHOST,
                    Ipv4Addr::new(224, 0, 0, 1),
                    *route.server.ip(),
                ],
            );
            let port = if random.bool() { route.server.port() } else { source_port(random) };
            let words = Words { source: SocketAddrV4::new(source, port), ..words };
            packet = Packet::new(route, words, &[], &payload);
        }
        7 => {
            // The time to live, and the protocol above.
            packet.set(IP + 8, pick(random, [0, 1, 255]));
            packet.set(IP + 9, random.u8(..));
            packet.fix_ip();
        }
        8 => {
            // The length of the header.
            packet.set(TCP + 12, random.u8(..));
            packet.fix_tcp();
        }
        9 => packet.set(TCP + 16, packet.bytes[TCP + 16] ^ random.u8(1..)),
        10 => {
            packet.set(TCP + 13, random.u8(..));
            packet.fix_tcp();
        }
        11 => {
            let options = options(random);
            packet = Packet::new(route, words, &options, &payload);
        }
        12 => {
            packet.set_word(TCP + pick(random, [0, 2]), 0);
            packet.fix_tcp();
        }
        13 => {
            // Tags of VLANs, one or several.
            for _ in 0..random.u8(1..4) {
                let tag = random.u16(..).to_be_bytes();
                packet.bytes.splice(12..12, [0x81, 0x00, tag[0], tag[1]]);
            }
        }
        14 => packet.bytes.extend(noise(random, 100)),
        _ => {
            for _ in 0..random.u8(1..9) {
                let at = random.usize(12..packet.bytes.len());
                packet.set(at, random.u8(..));
            }
            if random.bool() {
                packet.fix_tcp();
                packet.fix_ip();
            }
        }
    }
    packet.bytes
}

/// Segments that seem to belong to a connection and that it has to be unimpressed by: the other
/// side has `position.next` as the next number and waits for nothing.
pub(super) fn beside(random: &mut Rng, route: &Route, position: &Position) -> Vec<u8> {
    let Position { source, next, expected } = *position;
    let words = Words { source, sequence: next, acknowledged: expected, flags: ACK };
    let payload = noise(random, 64);
    let far = FAR + random.u32(..FAR);
    match random.u8(..12) {
        0 => {
            // Its end, if only the checksum were right.
            let flags = pick(random, [RST, RST | ACK, FIN | ACK, ACK | PSH]);
            let mut packet = Packet::new(route, Words { flags, ..words }, &[], &payload);
            packet.set(TCP + 17, packet.bytes[TCP + 17] ^ random.u8(1..));
            packet.bytes
        }
        1 => {
            let sequence =
                if random.bool() { next.wrapping_add(far) } else { next.wrapping_sub(far) };
            let flags = pick(random, [ACK | PSH, FIN | ACK, ACK | URG]);
            Packet::new(route, Words { sequence, flags, ..words }, &[], &payload).bytes
        }
        2 => {
            // RFC 5961 section 3.2: it has to be the next number exactly.
            let sequence =
                if random.bool() { next.wrapping_add(far) } else { next.wrapping_add(1) };
            Packet::new(route, Words { sequence, flags: RST, ..words }, &[], &[]).bytes
        }
        3 => {
            // RFC 5961 section 4.2.
            let sequence = pick(random, [next, next.wrapping_add(far)]);
            Packet::new(route, Words { sequence, flags: SYN, ..words }, &[], &[]).bytes
        }
        4 => {
            // Of what was not sent yet (RFC 9293 section 3.10.7.4).
            let acknowledged = expected.wrapping_add(far);
            let flags = ACK | PSH;
            Packet::new(route, Words { acknowledged, flags, ..words }, &[], &payload).bytes
        }
        5 => {
            // Without an acknowledgement (RFC 9293 section 3.10.7.4).
            let flags = pick(random, [0, PSH, FIN, URG, FIN | PSH | URG]);
            Packet::new(route, Words { flags, ..words }, &[], &payload).bytes
        }
        6 => {
            let options = options(random);
            Packet::new(route, words, &options, &[]).bytes
        }
        7 => {
            // A header longer than the segment, or shorter than any.
            let mut packet = Packet::new(route, words, &[], &[]);
            packet.set(TCP + 12, pick(random, [0, 1, 2, 3, 4, 6, 15]) << 4);
            packet.fix_tcp();
            packet.bytes
        }
        8 => {
            // What came before, with other bytes: it is not to be taken again.
            let len = u32::try_from(payload.len()).unwrap_or(0);
            let sequence = next.wrapping_sub(len);
            let flags = ACK | PSH;
            Packet::new(route, Words { sequence, flags, ..words }, &[], &payload).bytes
        }
        9 => {
            let mut packet = Packet::new(route, Words { flags: ACK | URG, ..words }, &[], &[]);
            packet.set_word(TCP + 18, random.u16(..));
            packet.fix_tcp();
            packet.bytes
        }
        10 => {
            // An IPv4 header that is wrong, with its end in it.
            let flags = pick(random, [RST, FIN | ACK]);
            let mut packet = Packet::new(route, Words { flags, ..words }, &[], &[]);
            packet.set(IP + 11, packet.bytes[IP + 11] ^ random.u8(1..));
            packet.bytes
        }
        _ => {
            let mut packet = Packet::new(route, words, &[], &payload);
            packet.bytes.truncate(random.usize(ETHERNET_BYTES..packet.bytes.len()));
            packet.bytes
        }
    }
}

/// Bytes that are about to be sent from `position.next` on, in segments that overlap each other and
/// what came before, out of order. The first byte is in none of them: it comes with all the others
/// behind them.
pub(super) fn overlapping(
    random: &mut Rng,
    route: &Route,
    position: &Position,
    bytes: &[u8],
) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for _ in 0..random.u8(1..5) {
        let from = random.usize(1..bytes.len());
        let to = random.usize(from..bytes.len()) + 1;
        let ahead = u32::try_from(from).unwrap_or(0);
        let words = Words {
            source: position.source,
            sequence: position.next.wrapping_add(ahead),
            acknowledged: position.expected,
            flags: ACK,
        };
        pieces.push(Packet::new(route, words, &[], &bytes[from..to]).bytes);
    }
    pieces
}

/// A frame of anything.
fn random_frame(random: &mut Rng, route: &Route) -> Vec<u8> {
    let mut frame = [route.next_hop, route.own_mac].concat();
    let any = random.u16(..).to_be_bytes();
    let ether_types = [
        // IPv4, IPv6, ARP, a VLAN, a length, anything.
        [0x08, 0x00],
        [0x86, 0xdd],
        [0x08, 0x06],
        [0x81, 0x00],
        [0x00, 0x20],
        any,
    ];
    let ether_type = pick(random, ether_types);
    frame.extend(ether_type);
    // ICMP and UDP are as they should be in front, so that more of it is looked at.
    if ether_type == [0x08, 0x00] && random.bool() {
        let protocol = pick(random, [1, 17]);
        let source = [198, 51, 100, random.u8(..)];
        let body = noise(random, 200);
        let total = u16::try_from(20 + body.len()).unwrap_or(20).to_be_bytes();
        let mut header = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0].to_vec();
        header.extend(source);
        header.extend(route.server.ip().octets());
        let sum = checksum([&header]);
        header[10..12].copy_from_slice(&sum);
        frame.extend(header);
        frame.extend(body);
    } else {
        frame.extend(noise(random, 400));
    }
    frame
}

/// Options of any kind, with lengths of any kind, in whole words.
fn options(random: &mut Rng) -> Vec<u8> {
    let words = random.usize(1..=10);
    let mut options: Vec<u8> = Vec::with_capacity(words * 4);
    while options.len() < words * 4 {
        let any = random.u8(..);
        let kind = pick(random, [0, 1, 2, 3, 4, 5, 8, 30, 34, 253, any]);
        let len = pick(random, [0, 1, 2, 3, 4, 10, 40, 255]);
        options.extend([kind, len, random.u8(..), random.u8(..)]);
    }
    options.truncate(words * 4);
    options
}

fn noise(random: &mut Rng, len_max: usize) -> Vec<u8> {
    let len = random.usize(1..=len_max);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn source_port(random: &mut Rng) -> u16 {
    random.u16(1024..)
}

/// The Internet checksum (RFC 1071) of pieces, of which all but the last have an even length.
fn checksum<const N: usize>(pieces: [&[u8]; N]) -> [u8; 2] {
    let mut sum = 0_u32;
    for piece in pieces {
        for word in piece.chunks(2) {
            sum += u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low));
        }
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!u16::try_from(sum).unwrap_or(0)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{Ipv4Packet, Ipv4Repr, TcpPacket, TcpRepr};

    use super::*;

    const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 8080);
    const SOURCE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 3), 40_000);
    const ROUTE: Route =
        Route { own_mac: [2, 0, 0, 0, 0, 2], next_hop: [2, 0, 0, 0, 0, 1], server: SERVER };

    #[test]
    fn a_packet_is_right_before_it_is_broken() {
        let words = Words { source: SOURCE, sequence: 1, acknowledged: 2, flags: ACK | PSH };
        let packet = Packet::new(&ROUTE, words, &[1, 1, 1, 0], b"odd");
        let ip = Ipv4Packet::new_checked(&packet.bytes[IP..]).expect("a packet");
        let verify = ChecksumCapabilities::default();
        let repr = Ipv4Repr::parse(&ip, &verify).expect("a right header");
        let tcp = TcpPacket::new_checked(ip.payload()).expect("a segment");
        let (source, destination) = (repr.src_addr.into(), repr.dst_addr.into());
        let repr = TcpRepr::parse(&tcp, &source, &destination, &verify).expect("a right one");
        assert_eq!((repr.src_port, repr.payload), (40_000, &b"odd"[..]));
    }

    #[test]
    fn frames_fit_and_a_seed_gives_the_same_ones_again() {
        let position = Position { source: SOURCE, next: 5, expected: 6 };
        let mut all = [Rng::with_seed(3), Rng::with_seed(3)].map(|mut random| {
            let mut frames = Vec::new();
            for _ in 0..20_000 {
                frames.push(stray(&mut random, &ROUTE, SOURCE));
                frames.push(beside(&mut random, &ROUTE, &position));
                frames.extend(overlapping(&mut random, &ROUTE, &position, b"ping"));
            }
            frames
        });
        let [first, second] = &mut all;
        assert_eq!(first, second);
        assert!(first.iter().all(|frame| (ETHERNET_BYTES..=1514).contains(&frame.len())));
    }
}
