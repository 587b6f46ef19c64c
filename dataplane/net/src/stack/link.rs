//! Ethernet, and VLAN tags (IEEE 802.1Q).

/// A hardware address.
pub(crate) type Mac = [u8; 6];

pub(crate) const BROADCAST: Mac = [0xff; 6];
pub(crate) const ETHERNET_HEADER_BYTES: usize = 14;
pub(crate) const TAG_BYTES: usize = 4;

const ETHERTYPE_VLAN: u16 = 0x8100;
const IDENTIFIER_MASK: u16 = 0x0fff;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EtherType {
    Ipv4,
    Arp,
    Ipv6,
}

impl EtherType {
    fn of(value: u16) -> Option<Self> {
        match value {
            0x0800 => Some(Self::Ipv4),
            0x0806 => Some(Self::Arp),
            0x86dd => Some(Self::Ipv6),
            _ => None,
        }
    }

    fn value(self) -> u16 {
        match self {
            Self::Ipv4 => 0x0800,
            Self::Arp => 0x0806,
            Self::Ipv6 => 0x86dd,
        }
    }
}

/// How to reach a station on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) mac: Mac,
    /// The tag that its frames had, priority included.
    pub(crate) tag: Option<Tag>,
}

impl Link {
    /// Bytes in front of the packet.
    pub(crate) fn header_bytes(self) -> usize {
        ETHERNET_HEADER_BYTES + if self.tag.is_some() { TAG_BYTES } else { 0 }
    }

    /// Writes the header of a frame from `source` into the first
    /// [`header_bytes`](Self::header_bytes).
    pub(crate) fn write(self, source: Mac, ether_type: EtherType, frame: &mut [u8]) {
        frame[..6].copy_from_slice(&self.mac);
        frame[6..12].copy_from_slice(&source);
        let mut at = 12;
        if let Some(tag) = self.tag {
            frame[12..14].copy_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
            frame[14..16].copy_from_slice(&tag.0.to_be_bytes());
            at = 16;
        }
        frame[at..at + 2].copy_from_slice(&ether_type.value().to_be_bytes());
    }
}

/// Priority, drop eligibility and identifier of a VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u16);

impl Tag {
    /// The tag of frames of our own: no priority.
    pub(crate) fn new(identifier: u16) -> Self {
        Self(identifier & IDENTIFIER_MASK)
    }

    fn identifier(self) -> u16 {
        self.0 & IDENTIFIER_MASK
    }
}

/// A frame's header, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) destination: Mac,
    /// The sender, and the tag its frame had.
    pub(crate) source: Link,
    pub(crate) ether_type: EtherType,
    /// Where the packet begins.
    pub(crate) bytes: usize,
}

/// Why a frame is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// Shorter than a header.
    Short,
    /// Of another protocol.
    EtherType,
    /// Of another VLAN.
    Vlan,
}

impl Header {
    /// Reads the header of a frame on a port in the VLAN `vlan`, `None` for the untagged one. The
    /// port may have taken the tag out of the frame: `stripped`.
    ///
    /// A tag with the identifier 0 tells of a priority only.
    pub(crate) fn read(
        frame: &[u8],
        stripped: Option<u16>,
        vlan: Option<u16>,
    ) -> Result<Self, LinkError> {
        let (header, rest) = frame.split_first_chunk::<14>().ok_or(LinkError::Short)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, kind @ ..] = *header;
        let mut ether_type = u16::from_be_bytes(kind);
        let mut tag = stripped.map(Tag);
        let mut bytes = ETHERNET_HEADER_BYTES;
        if ether_type == ETHERTYPE_VLAN && tag.is_none() {
            let [t0, t1, e0, e1] = *rest.first_chunk().ok_or(LinkError::Short)?;
            tag = Some(Tag(u16::from_be_bytes([t0, t1])));
            ether_type = u16::from_be_bytes([e0, e1]);
            bytes += TAG_BYTES;
        }
        let identifier = tag.map(Tag::identifier).filter(|identifier| *identifier != 0);
        if identifier != vlan {
            return Err(LinkError::Vlan);
        }
        Ok(Self {
            destination: [d0, d1, d2, d3, d4, d5],
            source: Link { mac: [s0, s1, s2, s3, s4, s5], tag },
            ether_type: EtherType::of(ether_type).ok_or(LinkError::EtherType)?,
            bytes,
        })
    }
}

/// Whether frames to `mac` are for more than one station.
pub(crate) fn is_group(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Mac = [2, 0, 0, 0, 0, 1];
    const THERE: Mac = [2, 0, 0, 0, 0, 2];

    fn frame(tag: Option<u16>) -> Vec<u8> {
        let link = Link { mac: HERE, tag: tag.map(Tag) };
        let mut frame = vec![0; link.header_bytes() + 3];
        link.write(THERE, EtherType::Ipv4, &mut frame);
        frame
    }

    #[test]
    fn what_is_written_is_read_and_the_tag_comes_back_with_its_priority() {
        let header = Header::read(&frame(Some(0x6007)), None, Some(7)).expect("a header");
        let source = Link { mac: THERE, tag: Some(Tag(0x6007)) };
        let ether_type = EtherType::Ipv4;
        assert_eq!(header, Header { destination: HERE, source, ether_type, bytes: 18 });
        let header = Header::read(&frame(None), None, None).expect("a header");
        assert_eq!((header.source.tag, header.bytes), (None, 14));
    }

    #[test]
    fn a_tag_that_the_port_has_taken_out_counts_as_one_of_the_frame() {
        let header = Header::read(&frame(None), Some(7), Some(7)).expect("a header");
        assert_eq!((header.source.tag, header.bytes), (Some(Tag(7)), 14));
    }

    #[test]
    fn frames_of_other_networks_are_refused_and_a_bare_priority_is_not() {
        assert_eq!(Header::read(&frame(Some(8)), None, Some(7)), Err(LinkError::Vlan));
        assert_eq!(Header::read(&frame(Some(8)), None, None), Err(LinkError::Vlan));
        assert_eq!(Header::read(&frame(None), None, Some(7)), Err(LinkError::Vlan));
        assert!(Header::read(&frame(Some(0xe000)), None, None).is_ok());
    }

    #[test]
    fn a_frame_that_ends_in_its_header_is_refused() {
        let whole = frame(Some(7));
        for len in 0..18 {
            assert_eq!(Header::read(&whole[..len], None, Some(7)), Err(LinkError::Short), "{len}");
        }
    }
}
