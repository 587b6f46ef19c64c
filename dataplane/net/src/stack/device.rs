//! What `smoltcp` sees of a port: one packet in, packets out.

use std::time::Instant;

use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::phy::{RxToken, TxToken};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::Ipv4Packet;

use super::link::{BROADCAST, EtherType, Link};
use super::packet;
use crate::{BURST_MAX, FramePort, PortCapabilities, PortFrame, TxChecksum};

/// Frames that wait for a port's interface before flows wait with theirs: some bursts. What is not
/// sent for a flow but for the link, or as an answer, may go beyond, to the port's own bound.
const WAITING_MAX: usize = 2 * BURST_MAX;

/// The way out of a port.
pub(crate) struct Output<P: FramePort> {
    pub(crate) port: P,
    pub(crate) capabilities: PortCapabilities,
    pub(crate) now: Instant,
    /// Where packets go next.
    pub(crate) link: Link,
    /// The port itself, as frames for it and of it name it.
    pub(crate) station: Link,
    /// Segments that the port was given since the start.
    pub(crate) segments_out: u64,
    /// What has been sent since somebody looked.
    pub(crate) sent: Sent,
    /// Taken ahead of a packet, since filling it must not fail.
    spare: Option<P::Frame>,
    /// Takes a packet for which there is no frame. It is lost, as any may be.
    nowhere: Vec<u8>,
}

/// TCP segments that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) segments: u32,
    pub(crate) payload_bytes: u32,
    /// Of the last one: the sequence number behind it, and what it acknowledged.
    pub(crate) until: u32,
    pub(crate) acknowledged: u32,
}

impl<P: FramePort> Output<P> {
    pub(crate) fn new(port: P, now: Instant) -> Self {
        let capabilities = port.capabilities();
        Self {
            port,
            station: Link::new(capabilities.mac, None),
            capabilities,
            now,
            link: Link::new(BROADCAST, None),
            segments_out: 0,
            sent: Sent::default(),
            spare: None,
            nowhere: Vec::new(),
        }
    }

    /// Sends an IP packet of `len` bytes, which `fill` writes, over the current link.
    #[inline]
    pub(crate) fn send_packet<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let header_bytes = self.link.header_bytes();
        self.send(header_bytes + len, |output, frame| {
            let (header, packet) = frame.split_at_mut(header_bytes);
            let result = fill(packet);
            let ether_type = if packet[0] >> 4 == 6 { EtherType::Ipv6 } else { EtherType::Ipv4 };
            output.link.write(output.station, ether_type, header);
            let header_bytes = u8::try_from(header.len()).unwrap_or(u8::MAX);
            (result, output.note(ether_type, header_bytes, packet))
        })
    }

    /// Sends what is no IP packet, likewise.
    pub(crate) fn send_arp(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) {
        let header_bytes = self.link.header_bytes();
        self.send(header_bytes + len, |output, frame| {
            let (header, packet) = frame.split_at_mut(header_bytes);
            fill(packet);
            output.link.write(output.station, EtherType::Arp, header);
            ((), None)
        });
    }

    #[inline]
    fn send<R>(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut Self, &mut [u8]) -> (R, Option<TxChecksum>),
    ) -> R {
        let mut frame = self.spare.take().or_else(|| self.port.frame());
        if frame.as_mut().is_some_and(|frame| !frame.resize(len)) {
            frame = None;
        }
        let mut nowhere = Vec::new();
        let bytes = match &mut frame {
            Some(frame) => &mut **frame,
            None => {
                nowhere = std::mem::take(&mut self.nowhere);
                nowhere.resize(len, 0);
                &mut nowhere[..]
            }
        };
        let segments_before = self.segments_out;
        let (result, checksum) = fill(self, bytes);
        match frame {
            Some(frame) => self.port.send(self.now, frame, checksum),
            None => {
                self.segments_out = segments_before;
                self.nowhere = nowhere;
            }
        }
        result
    }

    /// Whether the interface keeps up with what flows send. What it does not take is better kept in
    /// their rings than dropped: a lost segment costs a timeout.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.port.waiting() < WAITING_MAX
    }

    /// Whether the next packet finds a frame.
    fn prepare(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = self.port.frame();
        }
        self.spare.is_some()
    }

    /// Notes what a packet holds, and prepares it for a port that computes checksums.
    #[inline]
    fn note(
        &mut self,
        ether_type: EtherType,
        link_header_bytes: u8,
        packet: &mut [u8],
    ) -> Option<TxChecksum> {
        // Each version by itself: then all places are constants.
        match ether_type {
            EtherType::Ipv4 => self.note_ip(EtherType::Ipv4, link_header_bytes, packet),
            EtherType::Ipv6 => self.note_ip(EtherType::Ipv6, link_header_bytes, packet),
            EtherType::Arp => None,
        }
    }

    #[inline(always)]
    fn note_ip(
        &mut self,
        ether_type: EtherType,
        link_header_bytes: u8,
        packet: &mut [u8],
    ) -> Option<TxChecksum> {
        let ipv6 = ether_type == EtherType::Ipv6;
        let PortCapabilities { tx_ipv4_checksum, tx_tcp_checksum, .. } = self.capabilities;
        let Some(segment) = packet::read_own(ether_type, packet) else {
            if !ipv6 && tx_ipv4_checksum {
                // The port is asked with TCP only.
                Ipv4Packet::new_unchecked(packet).fill_checksum();
            }
            return None;
        };
        self.segments_out += 1;
        self.sent.segments += 1;
        self.sent.payload_bytes += segment.payload_bytes;
        self.sent.until = segment.end;
        self.sent.acknowledged = segment.acknowledged;
        if !tx_tcp_checksum && (ipv6 || !tx_ipv4_checksum) {
            return None;
        }
        if tx_ipv4_checksum && !ipv6 {
            packet[10..12].fill(0);
        }
        if tx_tcp_checksum {
            let at = usize::from(segment.ip_header_bytes);
            let sum = pseudo_header_sum(ipv6, packet, packet.len() - at);
            packet[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
        }
        Some(TxChecksum { link_header_bytes, ip_header_bytes: segment.ip_header_bytes, ipv6 })
    }
}

/// The sum of the pseudo-header of TCP (RFC 9293 section 3.1), folded and not complemented.
#[inline(always)]
fn pseudo_header_sum(ipv6: bool, packet: &[u8], tcp_bytes: usize) -> u16 {
    const PROTOCOL_TCP: u64 = 6;
    let word = |at: usize| {
        u64::from(u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]))
    };
    // In words of four bytes: their halves are added in the end, as carries are.
    let addresses = if ipv6 { (8..40).step_by(4).map(word).sum() } else { word(12) + word(16) };
    let sum = addresses + PROTOCOL_TCP + tcp_bytes as u64;
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let folded = (sum >> 16) + (sum & 0xffff);
    let folded = (folded >> 16) + (folded & 0xffff);
    u16::try_from(folded).unwrap_or(u16::MAX)
}

/// A port without Ethernet: IP packets in and out.
pub(crate) struct IpDevice<'d, P: FramePort> {
    pub(crate) output: &'d mut Output<P>,
    /// A packet that has come, with its checksums verified.
    pub(crate) packet: Option<&'d [u8]>,
}

pub(crate) struct Received<'t>(&'t [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(crate) struct Packet<'t, P: FramePort>(&'t mut Output<P>);

impl<P: FramePort> TxToken for Packet<'_, P> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.0.send_packet(len, f)
    }
}

impl<P: FramePort> Device for IpDevice<'_, P> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Packet<'t, P>
    where
        Self: 't;

    fn receive(&mut self, _: StackInstant) -> Option<(Received<'_>, Packet<'_, P>)> {
        let packet = self.packet.take()?;
        Some((Received(packet), Packet(self.output)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Packet<'_, P>> {
        (self.output.has_room() && self.output.prepare()).then_some(Packet(self.output))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.output.capabilities.mtu;
        capabilities.checksum = checksums(&self.output.capabilities);
        capabilities
    }
}

/// Checksums of what comes are verified by the demux, which knows what the port has looked at;
/// those of what goes out, where the port does not compute them.
fn checksums(port: &PortCapabilities) -> ChecksumCapabilities {
    let by_port = |yes| if yes { Checksum::None } else { Checksum::Tx };
    let mut checksums = ChecksumCapabilities::default();
    checksums.ipv4 = by_port(port.tx_ipv4_checksum);
    checksums.tcp = by_port(port.tx_tcp_checksum);
    checksums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pseudo_header_is_summed_as_the_rfc_has_it() {
        // 192.0.2.1 to 198.51.100.7, 40 bytes of TCP.
        let mut packet = [0; 20];
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet[16..20].copy_from_slice(&[198, 51, 100, 7]);
        let sum: u32 = 0xc000 + 0x0201 + 0xc633 + 0x6407 + 6 + 40;
        let expected = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        assert_eq!(pseudo_header_sum(false, &packet, 40), expected);
    }
}
