//! Clients that do what is needed to be sent to: they connect, and acknowledge what comes.

use crate::wire::{Frame, SERVER_MAC, Wire};

pub(crate) const SERVER: [u8; 4] = [10, 0, 0, 1];
pub(crate) const SERVER_PORT: u16 = 80;
const ADDRESS: [u8; 4] = [10, 0, 0, 2];
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The client number 0 connects from here, the others from the ports behind.
const FIRST_PORT: u16 = 1024;

const IP_BYTES: usize = 20;
const TCP_BYTES: usize = 20;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// The longest segment that they take: what a frame of Ethernet holds.
const MSS_OPTION: [u8; 4] = [2, 4, 0x05, 0xb4];

/// Where a client is in both directions.
#[derive(Clone, Copy)]
struct Client {
    sequence: u32,
    acknowledges: u32,
}

pub(crate) struct Clients {
    clients: Vec<Client>,
    /// Bytes in front of the packets on this wire.
    link_bytes: usize,
    /// Clients that have something to acknowledge, in the order in which it came.
    due: Vec<usize>,
    /// Segments with data that came, and bytes of it.
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
}

impl Clients {
    /// Clients of a wire that carries Ethernet, or bare IP packets.
    pub(crate) fn new(count: usize, ethernet: bool) -> Self {
        Self {
            clients: vec![Client { sequence: 7_000, acknowledges: 0 }; count],
            link_bytes: if ethernet { 14 } else { 0 },
            due: Vec::new(),
            segments: 0,
            bytes: 0,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.clients.len()
    }

    /// Clients that owe an acknowledgement.
    pub(crate) fn due(&self) -> usize {
        self.due.len()
    }

    /// The first segment of a connection.
    pub(crate) fn connect(&mut self, number: usize, wire: &mut Wire) {
        let frame = self.segment(number, SYN, &MSS_OPTION, &[]);
        self.clients[number].sequence += 1;
        wire.to_server.push_back(frame);
    }

    /// Takes in what has come. Whose connection is accepted acknowledges that, and says `first`.
    pub(crate) fn take_in(&mut self, wire: &mut Wire, first: &[u8]) {
        let mut came = std::mem::take(&mut wire.to_clients);
        for frame in came.drain(..) {
            let packet = &frame[self.link_bytes..];
            let tcp = &packet[IP_BYTES..];
            let number = usize::from(u16::from_be_bytes([tcp[2], tcp[3]]) - FIRST_PORT);
            let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
            let header = usize::from(tcp[12] >> 4) * 4;
            let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            let payload = u32::try_from(total - IP_BYTES - header).expect("of a packet");
            let client = &mut self.clients[number];
            if tcp[13] & SYN != 0 {
                client.acknowledges = sequence.wrapping_add(1);
                let reply = self.segment(number, ACK, &[], first);
                let length = u32::try_from(first.len()).expect("less than a packet");
                self.clients[number].sequence += length;
                wire.to_server.push_back(reply);
            } else if payload > 0 {
                if sequence != client.acknowledges {
                    // Sent again by a server that was kept from running for a second.
                    continue;
                }
                client.acknowledges = sequence.wrapping_add(payload);
                self.segments += 1;
                self.bytes += u64::from(payload);
                if self.due.last() != Some(&number) {
                    self.due.push(number);
                }
            }
        }
        wire.to_clients = came;
    }

    /// Sends the acknowledgements that `range` of those that owe one owe.
    pub(crate) fn acknowledge(&mut self, range: std::ops::Range<usize>, wire: &mut Wire) {
        for at in range {
            let frame = self.segment(self.due[at], ACK, &[], &[]);
            wire.to_server.push_back(frame);
        }
    }

    /// All was acknowledged.
    pub(crate) fn settle(&mut self) {
        self.due.clear();
    }

    /// Who sent a packet.
    pub(crate) fn sender(packet: &[u8]) -> usize {
        usize::from(u16::from_be_bytes([packet[IP_BYTES], packet[IP_BYTES + 1]]) - FIRST_PORT)
    }

    /// A segment, without its checksums.
    fn segment(&self, number: usize, flags: u8, options: &[u8], payload: &[u8]) -> Frame {
        let Client { sequence, acknowledges } = self.clients[number];
        let tcp_bytes = TCP_BYTES + options.len();
        let total = IP_BYTES + tcp_bytes + payload.len();
        let mut frame = Frame::take(self.link_bytes + total);
        let (link, packet) = frame.split_at_mut(self.link_bytes);
        if !link.is_empty() {
            link[..6].copy_from_slice(&SERVER_MAC);
            link[6..12].copy_from_slice(&MAC);
            link[12..].copy_from_slice(&[0x08, 0x00]);
        }
        let (ip, rest) = packet.split_at_mut(IP_BYTES);
        let [length_high, length_low] = u16::try_from(total).expect("of a packet").to_be_bytes();
        ip[..12].copy_from_slice(&[0x45, 0, length_high, length_low, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        ip[12..16].copy_from_slice(&ADDRESS);
        ip[16..].copy_from_slice(&SERVER);
        let (tcp, data) = rest.split_at_mut(tcp_bytes);
        let port = FIRST_PORT + u16::try_from(number).expect("a port for each");
        tcp[..2].copy_from_slice(&port.to_be_bytes());
        tcp[2..4].copy_from_slice(&SERVER_PORT.to_be_bytes());
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        tcp[8..12].copy_from_slice(&acknowledges.to_be_bytes());
        let header = u8::try_from(tcp_bytes / 4).expect("few words") << 4;
        tcp[12..TCP_BYTES].copy_from_slice(&[header, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp[TCP_BYTES..].copy_from_slice(options);
        data.copy_from_slice(payload);
        frame
    }
}
