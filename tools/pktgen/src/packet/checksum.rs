//! The Internet checksum (RFC 1071), in the byte order of the host: the sum of complements is the
//! same in either, so only what is stored needs no turning over.

/// The sum of native 32-bit words so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    /// With bytes that begin at an even place.
    #[inline]
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        // No carry is lost: 64 bits hold as many words as a packet can have.
        let sum = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum::<u64>();
        let mut tail = [0; 4];
        tail[..rest.len()].copy_from_slice(rest);
        Self(self.0 + sum + u64::from(u32::from_ne_bytes(tail)))
    }

    /// With the pseudo-header of TCP over IPv4 (RFC 9293 section 3.1).
    #[inline]
    pub(super) fn pseudo_header(source: [u8; 4], destination: [u8; 4], tcp_bytes: u16) -> Self {
        const TCP: u8 = 6;
        let [high, low] = tcp_bytes.to_be_bytes();
        let words = [source, destination, [0, TCP, high, low]];
        Self(words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum())
    }

    /// The checksum, as it is stored. Zero for bytes that hold their own, if they are right.
    #[inline]
    pub(super) fn finish(self) -> [u8; 2] {
        let sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let sum = (sum >> 32) + (sum & 0xffff_ffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
        let sum = !(sum as u16);
        sum.to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        // The sum is ddf2; what is stored is its complement.
        assert_eq!(Sum::default().bytes(&bytes).finish(), (!0xddf2_u16).to_be_bytes());
    }

    #[test]
    fn what_holds_its_own_checksum_sums_up_to_zero_at_every_length() {
        for len in 4..70 {
            let mut bytes: Vec<u8> = (0..len).map(|at| 255 - at * 3).collect();
            bytes[2..4].fill(0);
            let checksum = Sum::default().bytes(&bytes).finish();
            bytes[2..4].copy_from_slice(&checksum);
            assert_eq!(Sum::default().bytes(&bytes).finish(), [0, 0], "{len} bytes");
            bytes[1] ^= 1;
            assert_ne!(Sum::default().bytes(&bytes).finish(), [0, 0], "{len} bytes, damaged");
        }
    }
}
