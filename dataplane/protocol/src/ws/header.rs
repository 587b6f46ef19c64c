//! The header of a frame (RFC 6455, section 5.2): a view of its bytes and the checked value.

use super::ProtocolError;

/// Bytes of the longest header a client sends: two, eight of length, four of mask.
pub const CLIENT_HEADER_BYTES_MAX: usize = 14;

/// Bytes of the longest header a server sends: two and eight of length.
pub const SERVER_HEADER_BYTES_MAX: usize = 10;

/// Payload bytes of the longest control frame (section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Value of the 7-bit length that says: two bytes of length follow.
pub(super) const LENGTH_IN_2_BYTES: u8 = 126;
/// Value of the 7-bit length that says: eight bytes of length follow.
pub(super) const LENGTH_IN_8_BYTES: u8 = 127;

/// The checked header of a frame that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last fragment of its message; always true of a control frame.
    pub fin: bool,
    /// What the payload is.
    pub opcode: Opcode,
    /// Bytes of payload; less than 2^63, and at most 125 for a control frame.
    pub payload_len: u64,
    /// What the payload was masked with.
    pub key: [u8; 4],
}

impl Header {
    /// Reads a header from the start of `bytes` and says how many bytes it has.
    ///
    /// `Ok(None)`: so far nothing is wrong, but there must be more bytes. A fault is found with the
    /// last byte of the field that holds it (first byte, second byte, length): more bytes never
    /// change the error.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let first = FirstByte(first);
        // Section 5.2: MUST be 0 unless an extension says otherwise; there is none.
        if first.reserved_bits() != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = first.opcode().ok_or(ProtocolError::ReservedOpcode)?;
        // Section 5.5: control frames MUST NOT be fragmented.
        if opcode.is_control() && !first.fin() {
            return Err(ProtocolError::FragmentedControl);
        }

        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let second = SecondByte(second);
        // Section 5.1: a server MUST close upon a frame that is not masked.
        if !second.masked() {
            return Err(ProtocolError::Unmasked);
        }
        // Section 5.5: control frames MUST have 125 bytes or less.
        if opcode.is_control() && usize::from(second.length()) > CONTROL_BYTES_MAX {
            return Err(ProtocolError::OversizedControl);
        }

        let Some((payload_len, rest)) = payload_len(second.length(), rest)? else {
            return Ok(None);
        };
        let Some((&key, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let header = Self { fin: first.fin(), opcode, payload_len, key };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// The length of the payload and what follows it in `bytes`.
fn payload_len(length: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (len, len_min, rest) = match length {
        LENGTH_IN_2_BYTES => {
            let Some((len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*len)), u64::from(LENGTH_IN_2_BYTES), rest)
        }
        LENGTH_IN_8_BYTES => {
            let Some((len, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*len), u64::from(u16::MAX) + 1, rest)
        }
        length => (u64::from(length), 0, bytes),
    };
    // Section 5.2: the most significant bit MUST be 0.
    if len >> 63 != 0 {
        return Err(ProtocolError::LengthOverflow);
    }
    // Section 5.2: the minimal number of bytes MUST be used.
    if len < len_min {
        return Err(ProtocolError::LengthNotMinimal);
    }
    Ok(Some((len, rest)))
}

/// A view of the first byte of a header: FIN, three reserved bits, opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstByte(pub u8);

impl FirstByte {
    pub(super) const FIN: u8 = 0x80;

    /// Whether the FIN bit is set.
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// RSV1, RSV2 and RSV3, in the places they have in the byte.
    pub const fn reserved_bits(self) -> u8 {
        self.0 & 0x70
    }

    /// The opcode, if it is one that RFC 6455 defines.
    pub const fn opcode(self) -> Option<Opcode> {
        match self.0 & 0x0f {
            0x0 => Some(Opcode::Continuation),
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xa => Some(Opcode::Pong),
            _ => None,
        }
    }
}

/// A view of the second byte of a header: MASK and the 7-bit length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondByte(pub u8);

impl SecondByte {
    /// Whether the payload is masked.
    pub const fn masked(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// The length, or 126 or 127 where two or eight bytes of length follow.
    pub const fn length(self) -> u8 {
        self.0 & 0x7f
    }
}

/// What a frame is (RFC 6455, section 11.8). The discriminant is the value on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of the message that was begun.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The sender will send no more frames.
    Close = 0x8,
    /// To be answered with a pong of the same payload.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is Close, ping or pong (section 5.5).
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_once_its_last_byte_is_there() {
        let wire = [0x81, 0xfe, 0x01, 0x00, 1, 2, 3, 4, 0xff];
        for len in 0..8 {
            assert_eq!(Header::parse(&wire[..len]), Ok(None), "{len} bytes");
        }
        let header =
            Header { fin: true, opcode: Opcode::Text, payload_len: 256, key: [1, 2, 3, 4] };
        assert_eq!(Header::parse(&wire), Ok(Some((header, 8))));
    }

    #[test]
    fn each_form_of_the_length_starts_where_the_shorter_one_ends() {
        let len_of = |wire: &[u8]| Header::parse(wire).map(|read| read.map(|it| it.0.payload_len));
        assert_eq!(len_of(&[0x82, 0xfd, 0, 0, 0, 0]), Ok(Some(125)));
        assert_eq!(len_of(&[0x82, 0xfe, 0, 125]), Err(ProtocolError::LengthNotMinimal));
        assert_eq!(len_of(&[0x82, 0xfe, 0, 126, 0, 0, 0, 0]), Ok(Some(126)));
        assert_eq!(
            len_of(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            Err(ProtocolError::LengthNotMinimal)
        );
        assert_eq!(len_of(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), Ok(Some(0x1_0000)));
        assert_eq!(
            len_of(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            Err(ProtocolError::LengthOverflow)
        );
    }

    #[test]
    fn a_fault_is_found_with_the_field_that_holds_it() {
        assert_eq!(Header::parse(&[0xc1]), Err(ProtocolError::ReservedBits));
        assert_eq!(Header::parse(&[0x83]), Err(ProtocolError::ReservedOpcode));
        assert_eq!(Header::parse(&[0x09]), Err(ProtocolError::FragmentedControl));
        assert_eq!(Header::parse(&[0x81, 0x05]), Err(ProtocolError::Unmasked));
        assert_eq!(Header::parse(&[0x89, 0xfe]), Err(ProtocolError::OversizedControl));
    }
}
