//! TCP segments in Ethernet frames: read, and written.

use std::net::SocketAddrV4;
use std::ops::Range;

use hioload_net::RxChecksum;

use super::checksum::Sum;

pub(super) const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const TCP_BYTES: usize = 20;
/// Of a segment without options.
pub(super) const HEADER_BYTES: usize = ETHERNET_BYTES + IP_BYTES + TCP_BYTES;
/// The maximum segment size, the window scale, and what fills up the word (RFC 9293 section 3.2,
/// RFC 7323 section 2.2).
pub(super) const SYN_OPTIONS_BYTES: usize = 8;

const ETHER_TYPE: Range<usize> = 12..14;
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const TTL: u8 = 64;
const TCP: u8 = 6;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];

/// Bits of the flags (RFC 9293 section 3.1).
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// What a frame turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Tcp(Segment),
    Arp,
    /// Nothing that a client has to do with.
    Foreign,
    /// A packet for TCP that contradicts itself, or a checksum that is wrong.
    Damaged,
}

/// A segment that came. The payload lies in the frame at `payload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    /// Where the options are.
    options: Range<usize>,
    pub(super) payload: Range<usize>,
}

impl Segment {
    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    #[expect(clippy::cast_possible_truncation, reason = "a packet has at most 65,535 bytes")]
    pub(super) fn payload_bytes(&self) -> u32 {
        self.payload.len() as u32
    }

    /// Sequence numbers that it takes.
    pub(super) fn len(&self) -> u32 {
        self.payload_bytes() + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }

    /// Reads the frame, and verifies what the port has not.
    pub(super) fn read(frame: &[u8], checksum: RxChecksum) -> Frame {
        let Some((header, _)) = frame.split_first_chunk::<HEADER_BYTES>() else {
            // Frames of ARP are no longer than that, but for their padding.
            return if frame.get(ETHER_TYPE) == Some(&ARP) { Frame::Arp } else { Frame::Foreign };
        };
        if header[ETHER_TYPE] != IPV4 {
            return if header[ETHER_TYPE] == ARP { Frame::Arp } else { Frame::Foreign };
        }
        let ip = &frame[ETHERNET_BYTES..];
        if ip[9] != TCP {
            return Frame::Foreign;
        }
        if checksum == RxChecksum::Bad {
            return Frame::Damaged;
        }
        Self::of_packet(ip, checksum).map_or(Frame::Damaged, Frame::Tcp)
    }

    /// `ip` has room for both headers without options.
    fn of_packet(ip: &[u8], checksum: RxChecksum) -> Option<Self> {
        let word = |at: usize| u16::from_be_bytes([ip[at], ip[at + 1]]);
        let address = |at: usize| [ip[at], ip[at + 1], ip[at + 2], ip[at + 3]];
        let (ip_bytes, packet_bytes) = (usize::from(ip[0] & 0x0f) * 4, usize::from(word(2)));
        let is_whole = word(6) & 0x3fff == 0;
        if ip[0] >> 4 != 4 || ip_bytes < IP_BYTES || !is_whole {
            return None;
        }
        let tcp = ip.get(ip_bytes..packet_bytes)?;
        let tcp_word = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let number =
            |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        if tcp.len() < TCP_BYTES {
            return None;
        }
        let tcp_header_bytes = usize::from(tcp[12] >> 4) * 4;
        if tcp_header_bytes < TCP_BYTES || tcp_header_bytes > tcp.len() {
            return None;
        }
        let (source, destination) = (address(12), address(16));
        if checksum != RxChecksum::Good && Sum::default().bytes(&ip[..ip_bytes]).finish() != [0, 0]
        {
            return None;
        }
        if checksum == RxChecksum::Unknown {
            let tcp_bytes = u16::try_from(tcp.len()).ok()?;
            let sum = Sum::pseudo_header(source, destination, tcp_bytes).bytes(tcp);
            (sum.finish() == [0, 0]).then_some(())?;
        }
        let begin = ETHERNET_BYTES + ip_bytes;
        Some(Self {
            source: u32::from_be_bytes(source),
            destination: u32::from_be_bytes(destination),
            source_port: tcp_word(0),
            destination_port: tcp_word(2),
            sequence: number(4),
            acknowledged: number(8),
            flags: tcp[13],
            window: tcp_word(14),
            options: begin + TCP_BYTES..begin + tcp_header_bytes,
            payload: begin + tcp_header_bytes..ETHERNET_BYTES + packet_bytes,
        })
    }

    /// The maximum segment size and the window scale that a SYN names.
    pub(super) fn syn_options(&self, frame: &[u8]) -> (Option<u16>, Option<u8>) {
        let (mut mss, mut scale) = (None, None);
        let mut options = &frame[self.options.clone()];
        while let [kind, rest @ ..] = options {
            match (kind, rest) {
                (0, _) => break,
                (1, rest) => options = rest,
                (kind, [len, ..]) if (2..=options.len()).contains(&usize::from(*len)) => {
                    let (option, rest) = options.split_at(usize::from(*len));
                    match (kind, &option[2..]) {
                        (2, [high, low]) => mss = Some(u16::from_be_bytes([*high, *low])),
                        // RFC 7323 section 2.3: no shift is larger.
                        (3, [shift]) => scale = Some((*shift).min(14)),
                        _ => {}
                    }
                    options = rest;
                }
                _ => break,
            }
        }
        (mss, scale)
    }
}

/// What a segment that is to be sent says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) source: SocketAddrV4,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
}

/// The headers of all segments to one server.
#[derive(Clone, Debug)]
pub(super) struct Template {
    header: [u8; HEADER_BYTES],
    destination: [u8; 4],
    /// The sum of what never changes in the header of IP.
    ip_sum: Sum,
    /// The port computes these checksums.
    pub(super) offloads: (bool, bool),
}

impl Template {
    pub(super) fn new(own_mac: [u8; 6], server: SocketAddrV4, offloads: (bool, bool)) -> Self {
        let mut header = [0; HEADER_BYTES];
        header[6..12].copy_from_slice(&own_mac);
        header[ETHER_TYPE].copy_from_slice(&IPV4);
        let destination = server.ip().octets();
        let ip = &mut header[ETHERNET_BYTES..];
        ip[0] = 0x45;
        ip[6..8].copy_from_slice(&DONT_FRAGMENT);
        ip[8] = TTL;
        ip[9] = TCP;
        ip[16..20].copy_from_slice(&destination);
        let ip_sum = Sum::default().bytes(&ip[..IP_BYTES]);
        ip[22..24].copy_from_slice(&server.port().to_be_bytes());
        Self { header, destination, ip_sum, offloads }
    }

    /// The hardware address that segments go to.
    pub(super) fn next_hop(&self) -> [u8; 6] {
        let [mac @ .., _, _, _, _, _, _, _, _] =
            *self.header.first_chunk::<14>().unwrap_or(&[0; 14]);
        mac
    }

    pub(super) fn set_next_hop(&mut self, mac: [u8; 6]) {
        self.header[..6].copy_from_slice(&mac);
    }

    /// Fills a frame, whose payload and options are in place behind the header: `frame` has the
    /// length of all of it.
    #[inline]
    pub(super) fn write(&self, frame: &mut [u8], words: &Words, options_bytes: usize) {
        let (packet_bytes, tcp_bytes) =
            (frame.len() - ETHERNET_BYTES, frame.len() - ETHERNET_BYTES - IP_BYTES);
        #[expect(clippy::cast_possible_truncation, reason = "no frame is longer than its MTU")]
        let (packet_bytes, tcp_bytes) = (packet_bytes as u16, tcp_bytes as u16);
        frame[..HEADER_BYTES].copy_from_slice(&self.header);
        let source = words.source.ip().octets();
        let (offloads_ip, offloads_tcp) = self.offloads;

        let ip = &mut frame[ETHERNET_BYTES..];
        ip[2..4].copy_from_slice(&packet_bytes.to_be_bytes());
        ip[12..16].copy_from_slice(&source);
        if !offloads_ip {
            let [high, low] = packet_bytes.to_be_bytes();
            let checksum = self.ip_sum.bytes(&[0, 0, high, low]).bytes(&source).finish();
            ip[10..12].copy_from_slice(&checksum);
        }
        let tcp = &mut ip[IP_BYTES..];
        tcp[..2].copy_from_slice(&words.source.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&words.sequence.to_be_bytes());
        tcp[8..12].copy_from_slice(&words.acknowledged.to_be_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "a header has at most 60 bytes")]
        let data_offset = ((TCP_BYTES + options_bytes) / 4) as u8;
        tcp[12] = data_offset << 4;
        tcp[13] = words.flags;
        tcp[14..16].copy_from_slice(&words.window.to_be_bytes());
        let pseudo = Sum::pseudo_header(source, self.destination, tcp_bytes);
        // A port that computes it wants the sum of the pseudo-header there, not complemented.
        let checksum = if offloads_tcp {
            let [high, low] = pseudo.finish();
            [!high, !low]
        } else {
            pseudo.bytes(tcp).finish()
        };
        tcp[16..18].copy_from_slice(&checksum);
    }
}

/// The options of a SYN, with the window scale that the clients go by.
pub(super) fn write_syn_options(options: &mut [u8], mss: u16, window_scale: u8) {
    let [high, low] = mss.to_be_bytes();
    options.copy_from_slice(&[2, 4, high, low, 1, 3, 3, window_scale]);
}

#[cfg(test)]
mod tests {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{EthernetFrame, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr};

    use super::*;

    const SERVER: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 1), 8080);
    const CLIENT: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(10, 1, 2, 3), 40_000);

    fn written(words: &Words, syn: bool, payload: &[u8]) -> Vec<u8> {
        let mut template = Template::new([2, 0, 0, 0, 0, 2], SERVER, (false, false));
        template.set_next_hop([2, 0, 0, 0, 0, 1]);
        assert_eq!(template.next_hop(), [2, 0, 0, 0, 0, 1]);
        let options_bytes = if syn { SYN_OPTIONS_BYTES } else { 0 };
        let mut frame = vec![0xaa; HEADER_BYTES + options_bytes + payload.len()];
        if syn {
            write_syn_options(&mut frame[HEADER_BYTES..HEADER_BYTES + options_bytes], 1460, 4);
        }
        frame[HEADER_BYTES + options_bytes..].copy_from_slice(payload);
        template.write(&mut frame, words, options_bytes);
        frame
    }

    fn words(flags: u8) -> Words {
        Words { source: CLIENT, sequence: 0x1234_5678, acknowledged: 99, flags, window: 4096 }
    }

    #[test]
    fn smoltcp_reads_what_is_written() {
        let cases: [(u8, bool, &[u8]); 4] = [
            (SYN, true, b""),
            (ACK, false, b""),
            (ACK | PSH, false, b"odd"),
            (FIN | ACK, false, b""),
        ];
        for (flags, syn, payload) in cases {
            let frame = written(&words(flags), syn, payload);
            let ethernet = EthernetFrame::new_checked(&frame[..]).expect("a frame");
            assert_eq!(ethernet.dst_addr().0, [2, 0, 0, 0, 0, 1]);
            assert_eq!(ethernet.src_addr().0, [2, 0, 0, 0, 0, 2]);
            let ip = Ipv4Packet::new_checked(ethernet.payload()).expect("a packet");
            let verify = ChecksumCapabilities::default();
            let ip_repr = Ipv4Repr::parse(&ip, &verify).expect("a right header");
            let tcp = TcpPacket::new_checked(ip.payload()).expect("a segment");
            let (source, destination) = (ip_repr.src_addr.into(), ip_repr.dst_addr.into());
            let repr = TcpRepr::parse(&tcp, &source, &destination, &verify).expect("a right one");
            assert_eq!((repr.src_port, repr.dst_port), (40_000, 8080));
            assert_eq!(repr.payload, payload);
            assert_eq!(repr.window_len, 4096);
            if syn {
                assert_eq!(repr.control, TcpControl::Syn);
                assert_eq!((repr.max_seg_size, repr.window_scale), (Some(1460), Some(4)));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_and_damage_shows_wherever_it_is() {
        let frame = written(&words(ACK | PSH), false, b"payload");
        let Frame::Tcp(segment) = Segment::read(&frame, RxChecksum::Unknown) else {
            panic!("no segment");
        };
        assert_eq!(&frame[segment.payload.clone()], b"payload");
        assert_eq!(segment.source, u32::from(*CLIENT.ip()));
        assert_eq!((segment.sequence, segment.acknowledged), (0x1234_5678, 99));
        assert_eq!((segment.destination_port, segment.window), (8080, 4096));
        for at in ETHERNET_BYTES..frame.len() {
            for bit in 0..8 {
                let mut damaged = frame.clone();
                damaged[at] ^= 1 << bit;
                let read = Segment::read(&damaged, RxChecksum::Unknown);
                assert!(!matches!(read, Frame::Tcp(_)), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn frames_of_any_length_and_content_are_no_harm() {
        let mut random = fastrand::Rng::with_seed(7);
        let whole = written(&words(SYN), true, b"abc");
        for len in 0..whole.len() {
            assert!(!matches!(Segment::read(&whole[..len], RxChecksum::Good), Frame::Tcp(_)));
        }
        for _ in 0..200_000 {
            let mut frame = whole.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(ETHERNET_BYTES..frame.len());
                frame[at] = random.u8(..);
            }
            if let Frame::Tcp(segment) = Segment::read(&frame, RxChecksum::Good) {
                segment.syn_options(&frame);
                assert!(segment.payload.end <= frame.len());
            }
        }
    }

    #[test]
    fn options_of_a_syn_are_read() {
        let frame = written(&words(SYN), true, b"");
        let Frame::Tcp(segment) = Segment::read(&frame, RxChecksum::Unknown) else {
            panic!("no segment");
        };
        assert_eq!(segment.syn_options(&frame), (Some(1460), Some(4)));
        let frame = written(&words(SYN), false, b"");
        let Frame::Tcp(segment) = Segment::read(&frame, RxChecksum::Unknown) else {
            panic!("no segment");
        };
        assert_eq!(segment.syn_options(&frame), (None, None));
    }
}
