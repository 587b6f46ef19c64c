//! Ethernet, and VLAN tags (IEEE 802.1Q).

/// A hardware address.
pub(crate) type Mac = [u8; 6];

pub(crate) const BROADCAST: Mac = [0xff; 6];
const ETHERNET_HEADER_BYTES: usize = 14;
const TAG_BYTES: usize = 4;

/// Where the packet begins in a frame without a tag, and in one with a tag.
const PACKET_AT: u8 = 14;
const TAGGED_PACKET_AT: u8 = 18;

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

/// How to reach a station on the wire: its hardware address, and the tag that its frames had,
/// priority included. One word, since each segment brings one, is compared, and noted.
///
/// The address is in the upper 48 bits. Below is the tag or [`NO_TAG`](Self::NO_TAG), whose
/// identifier no network has (IEEE 802.1Q, table 9-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link(u64);

impl Link {
    const NO_TAG: u64 = 0xffff;

    pub(crate) fn new(mac: Mac, tag: Option<Tag>) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self::of_word(u64::from_be_bytes([a, b, c, d, e, f, 0, 0]), tag)
    }

    /// With the address in the upper 48 bits of `word`.
    #[inline]
    fn of_word(word: u64, tag: Option<Tag>) -> Self {
        Self(word & !0xffff | tag.map_or(Self::NO_TAG, |Tag(tag)| tag.into()))
    }

    /// With the address in the upper 48 bits of `word`, and no tag.
    #[inline]
    pub(crate) fn untagged(word: u64) -> Self {
        Self::of_word(word, None)
    }

    pub(crate) fn mac(self) -> Mac {
        let [a, b, c, d, e, f, ..] = self.0.to_be_bytes();
        [a, b, c, d, e, f]
    }

    #[inline]
    pub(crate) fn tag(self) -> Option<Tag> {
        let [.., high, low] = self.0.to_be_bytes();
        (self.0 & 0xffff != Self::NO_TAG).then_some(Tag(u16::from_be_bytes([high, low])))
    }

    /// The same network, another station.
    pub(crate) fn with_mac(self, mac: Mac) -> Self {
        Self::new(mac, self.tag())
    }

    /// Whether its address stands for more than one station.
    #[inline]
    pub(crate) fn is_group(self) -> bool {
        self.0 & 1 << 56 != 0
    }

    /// Bytes in front of the packet.
    #[inline]
    pub(crate) fn header_bytes(self) -> usize {
        ETHERNET_HEADER_BYTES + if self.tag().is_some() { TAG_BYTES } else { 0 }
    }

    /// Writes the header of a frame from `source` into the first
    /// [`header_bytes`](Self::header_bytes).
    #[inline]
    pub(crate) fn write(self, source: Link, ether_type: EtherType, frame: &mut [u8]) {
        // In words that overlap: the first brings the tag's place along, the second fills it.
        frame[..8].copy_from_slice(&self.0.to_be_bytes());
        let kind = match self.tag() {
            None => ether_type.value(),
            Some(tag) => {
                frame[14..16].copy_from_slice(&tag.0.to_be_bytes());
                frame[16..18].copy_from_slice(&ether_type.value().to_be_bytes());
                ETHERTYPE_VLAN
            }
        };
        frame[6..14].copy_from_slice(&(source.0 & !0xffff | u64::from(kind)).to_be_bytes());
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
    /// Who it is for, on the untagged network whatever its tag is.
    pub(crate) destination: Link,
    /// The sender, and the tag its frame had.
    pub(crate) source: Link,
    pub(crate) ether_type: EtherType,
    /// Where the packet begins.
    pub(crate) bytes: u8,
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
    #[inline]
    pub(crate) fn read(
        frame: &[u8],
        stripped: Option<u16>,
        vlan: Option<u16>,
    ) -> Result<Self, LinkError> {
        let (header, rest) = frame.split_first_chunk::<14>().ok_or(LinkError::Short)?;
        let (Some(first), Some(last)) = (header.first_chunk(), header.last_chunk()) else {
            return Err(LinkError::Short);
        };
        // Two words: who it is for and from, and what it carries.
        let (first, last) = (u64::from_be_bytes(*first), u64::from_be_bytes(*last));
        let [.., high, low] = last.to_be_bytes();
        let mut ether_type = u16::from_be_bytes([high, low]);
        let mut tag = stripped.map(Tag);
        let mut bytes = PACKET_AT;
        if ether_type == ETHERTYPE_VLAN && tag.is_none() {
            let [t0, t1, e0, e1] = *rest.first_chunk().ok_or(LinkError::Short)?;
            tag = Some(Tag(u16::from_be_bytes([t0, t1])));
            ether_type = u16::from_be_bytes([e0, e1]);
            bytes = TAGGED_PACKET_AT;
        }
        let identifier = tag.map(Tag::identifier).filter(|identifier| *identifier != 0);
        if identifier != vlan {
            return Err(LinkError::Vlan);
        }
        Ok(Self {
            destination: Link::of_word(first, None),
            source: Link::of_word(last, tag),
            ether_type: EtherType::of(ether_type).ok_or(LinkError::EtherType)?,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Mac = [2, 0, 0, 0, 0, 1];
    const THERE: Mac = [2, 0, 0, 0, 0, 2];

    fn frame(tag: Option<u16>) -> Vec<u8> {
        let link = Link::new(HERE, tag.map(Tag));
        let mut frame = vec![0; link.header_bytes() + 3];
        link.write(Link::new(THERE, None), EtherType::Ipv4, &mut frame);
        frame
    }

    #[test]
    fn what_is_written_is_read_and_the_tag_comes_back_with_its_priority() {
        let header = Header::read(&frame(Some(0x6007)), None, Some(7)).expect("a header");
        let (source, destination) = (Link::new(THERE, Some(Tag(0x6007))), Link::new(HERE, None));
        let ether_type = EtherType::Ipv4;
        assert_eq!(header, Header { destination, source, ether_type, bytes: 18 });
        assert_eq!((source.mac(), source.tag()), (THERE, Some(Tag(0x6007))));
        let header = Header::read(&frame(None), None, None).expect("a header");
        assert_eq!((header.source.tag(), header.bytes), (None, 14));
        assert_eq!(header.destination.mac(), HERE);
    }

    #[test]
    fn a_tag_that_the_port_has_taken_out_counts_as_one_of_the_frame() {
        let header = Header::read(&frame(None), Some(7), Some(7)).expect("a header");
        assert_eq!((header.source.tag(), header.bytes), (Some(Tag(7)), 14));
    }

    #[test]
    fn frames_of_other_networks_are_refused_and_a_bare_priority_is_not() {
        assert_eq!(Header::read(&frame(Some(8)), None, Some(7)), Err(LinkError::Vlan));
        assert_eq!(Header::read(&frame(Some(8)), None, None), Err(LinkError::Vlan));
        assert_eq!(Header::read(&frame(None), None, Some(7)), Err(LinkError::Vlan));
        assert!(Header::read(&frame(Some(0xe000)), None, None).is_ok());
        assert_eq!(Header::read(&frame(None), Some(0xffff), None), Err(LinkError::Vlan));
    }

    #[test]
    fn a_group_is_told_by_the_first_bit_that_is_sent() {
        let is_group = |mac| Link::new(mac, None).is_group();
        assert!(is_group(BROADCAST) && is_group([0x33, 0x33, 0, 0, 0, 1]));
        assert!(!is_group(HERE) && !is_group([0, 1, 1, 1, 1, 1]));
    }

    #[test]
    fn a_frame_that_ends_in_its_header_is_refused() {
        let whole = frame(Some(7));
        for len in 0..18 {
            assert_eq!(Header::read(&whole[..len], None, Some(7)), Err(LinkError::Short), "{len}");
        }
    }
}
