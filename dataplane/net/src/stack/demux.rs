//! What a frame is for.

use super::StackStreams;
use super::counters::DropReason;
use super::link::{EtherType, Header, Link, LinkError};
use super::packet::{self, Address, Content, PacketError, Segment};
use super::plain::{self, PACKET_AT, Plain};
use super::table::{FlowKey, KeyHash};
use crate::{FramePort, PortFrame, RxChecksum};

/// What the demux found in a frame.
pub(super) enum Arrival {
    /// A segment for one of our addresses.
    Segment { link: Link, packet: Within, key: FlowKey, hash: KeyHash, segment: Segment },
    /// A message for an address of ours that wants an answer.
    Echo { link: Link, packet: Within },
    /// An affair of the link.
    Neighbour { link: Link, ether_type: EtherType, packet_at: u8 },
    /// For nothing here.
    Dropped(DropReason),
}

/// Where the packet of a frame lies.
#[derive(Clone, Copy)]
pub(super) struct Within {
    at: u16,
    bytes: u16,
}

impl Within {
    #[inline]
    pub(super) fn of(self, frame: &[u8]) -> &[u8] {
        &frame[usize::from(self.at)..][..usize::from(self.bytes)]
    }
}

impl<P: FramePort> StackStreams<'_, P> {
    /// A segment that comes as nearly all do.
    ///
    /// Always inlined: what it returns is long, and goes to one place.
    #[inline(always)]
    pub(super) fn demux_plain(&self, port: usize, frame: &P::Frame) -> Option<Arrival> {
        let attached = &self.ports[port];
        let has_tag = attached.vlan().is_some() || frame.stripped_tag().is_some();
        if has_tag || frame.checksum() != RxChecksum::Good {
            return None;
        }
        let plain = plain::read(frame, attached.output.station)?;
        let address = attached.place_v4_between(plain.source, plain.destination)?;
        let packet = Within { at: PACKET_AT, bytes: plain.packet_bytes };
        let (source_port, destination_port) = (plain.source_port, plain.destination_port);
        let port = u8::try_from(port).unwrap_or(u8::MAX);
        let source = Address::of_v4(plain.source);
        let key = FlowKey::new(source, source_port, destination_port, address, port);
        let hash = self.map.hash(&key);
        self.map.prefetch(hash);
        let Plain { link, segment, .. } = plain;
        Some(Arrival::Segment { link, packet, key, hash, segment })
    }

    /// Finds out what any frame is for.
    #[inline(never)]
    pub(super) fn demux_any(&self, port: usize, frame: &P::Frame) -> Arrival {
        self.read(port, frame).unwrap_or_else(Arrival::Dropped)
    }

    /// Reads any frame, or finds why it is for nothing here.
    #[inline]
    fn read(&self, port: usize, frame: &P::Frame) -> Result<Arrival, DropReason> {
        let attached = &self.ports[port];
        let header = Header::read(frame, frame.stripped_tag(), attached.vlan())?;
        let is_for_us = header.destination == attached.output.station;
        if !is_for_us && !header.destination.is_group() {
            return Err(DropReason::OtherStation);
        }
        let (link, packet_at) = (header.source, header.bytes);
        if link.is_group() {
            return Err(DropReason::Source);
        }
        let ether_type = header.ether_type;
        if ether_type == EtherType::Arp {
            return Ok(Arrival::Neighbour { link, ether_type, packet_at });
        }
        let bytes = &frame[usize::from(packet_at)..];
        let ip = packet::read(ether_type, bytes)?;
        let packet = Within { at: u16::from(packet_at), bytes: ip.bytes };
        if ip.content == Content::Link {
            return Ok(Arrival::Neighbour { link, ether_type, packet_at });
        }
        let address = attached.place(ip.destination).ok_or(DropReason::OtherAddress)?;
        if ip.content == Content::Icmp {
            return Ok(Arrival::Echo { link, packet });
        }
        let (source_port, destination_port, segment) = packet::read_tcp(&ip, bytes)?;
        // A segment to a group of stations is none (RFC 1122 section 4.2.3.10).
        if !is_for_us {
            return Err(DropReason::OtherStation);
        }
        if attached.place(ip.source).is_some() {
            return Err(DropReason::Source);
        }
        let is_right = match frame.checksum() {
            RxChecksum::Good => true,
            RxChecksum::Bad => false,
            RxChecksum::TcpGood => packet::verify_header(ether_type, &ip, bytes),
            RxChecksum::Unknown => {
                packet::verify_header(ether_type, &ip, bytes) && packet::verify_tcp(&ip, bytes)
            }
        };
        if !is_right {
            return Err(DropReason::Checksum);
        }
        let port = u8::try_from(port).unwrap_or(u8::MAX);
        let key = FlowKey::new(ip.source, source_port, destination_port, address, port);
        let hash = self.map.hash(&key);
        self.map.prefetch(hash);
        Ok(Arrival::Segment { link, packet, key, hash, segment })
    }
}

impl From<LinkError> for DropReason {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Short => Self::Malformed,
            LinkError::EtherType => Self::Protocol,
            LinkError::Vlan => Self::Vlan,
        }
    }
}

impl From<PacketError> for DropReason {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::Malformed => Self::Malformed,
            PacketError::Fragment => Self::Fragment,
            PacketError::Protocol => Self::Protocol,
            PacketError::Source => Self::Source,
        }
    }
}
