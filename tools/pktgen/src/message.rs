//! What a message of a run carries, and how a receiver tells that it is whole.
//!
//! | bytes | what (little-endian) |
//! |---|---|
//! | 0..8 | run: a random number that sets this run apart from others on the same server |
//! | 8..16 | sequence: of the publisher's messages, from 0 |
//! | 16..24 | time: when it was, or should have been, sent; nanoseconds since the run began |
//! | 24..28 | publisher |
//! | 28..32 | check: the upper half of the seed of the pattern |
//! | 32.. | pattern: 64-bit words that count up from the seed |
//!
//! The seed is a hash of the header's fields and the size. So a message is its own proof: no
//! receiver knows beforehand what it will get, and any changed byte shows.

/// What every message begins with, and hence the smallest message.
pub(crate) const HEADER_BYTES: usize = 32;

/// The publisher number of the messages of the roll call, which are not counted.
pub(crate) const ROLL_CALL: u32 = u32::MAX;

/// The step between two words of the pattern: odd, so that no word comes twice.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which message it is, and when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) run: u64,
    pub(crate) publisher: u32,
    pub(crate) sequence: u64,
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// Fills a message; it has room for the header.
    pub(crate) fn write(&self, message: &mut [u8]) {
        let seed = self.seed(message.len());
        let (header, pattern) = message.split_at_mut(HEADER_BYTES);
        header[..8].copy_from_slice(&self.run.to_le_bytes());
        header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        header[16..24].copy_from_slice(&self.sent_ns.to_le_bytes());
        header[24..28].copy_from_slice(&self.publisher.to_le_bytes());
        header[28..].copy_from_slice(&seed.to_le_bytes()[4..]);
        let mut word = seed;
        for chunk in pattern.chunks_mut(8) {
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
            word = word.wrapping_add(STEP);
        }
    }

    /// What the header says, whether or not it is true. `None` if there is no room for one.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let (run, rest) = message.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (sent_ns, rest) = rest.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        (rest.len() >= 4).then(|| Self {
            run: u64::from_le_bytes(*run),
            publisher: u32::from_le_bytes(*publisher),
            sequence: u64::from_le_bytes(*sequence),
            sent_ns: u64::from_le_bytes(*sent_ns),
        })
    }

    /// Whether every byte of a message is what its header demands. `self` was read from it.
    pub(crate) fn holds(&self, message: &[u8]) -> bool {
        let seed = self.seed(message.len());
        let (header, pattern) = message.split_at(HEADER_BYTES);
        let (words, end) = pattern.as_chunks::<8>();
        let mut word = seed;
        let mut difference = 0;
        // No early end: a loop without branches becomes vector instructions.
        for chunk in words {
            difference |= u64::from_le_bytes(*chunk) ^ word;
            word = word.wrapping_add(STEP);
        }
        difference == 0
            && header[28..] == seed.to_le_bytes()[4..]
            && *end == word.to_le_bytes()[..end.len()]
    }

    fn seed(&self, message_len: usize) -> u64 {
        let publisher_and_len = u64::from(self.publisher) << 32 ^ message_len as u64;
        mix(self.run ^ mix(self.sequence ^ mix(self.sent_ns ^ mix(publisher_and_len))))
    }
}

/// The finalizer of SplitMix64: each bit of the input changes half of the output's.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { run: 77, publisher: 3, sequence: 1_000_000, sent_ns: 123_456_789 };

    fn message(len: usize) -> Vec<u8> {
        let mut message = vec![0; len];
        STAMP.write(&mut message);
        message
    }

    #[test]
    fn a_message_proves_itself_at_every_size() {
        for len in HEADER_BYTES..=HEADER_BYTES + 40 {
            let message = message(len);
            let stamp = Stamp::read(&message).expect("it has a header");
            assert_eq!(stamp, STAMP);
            assert!(stamp.holds(&message), "{len} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_shows() {
        let whole = message(77);
        for at in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            let stamp = Stamp::read(&damaged).expect("it has a header");
            assert!(!stamp.holds(&damaged), "bit {at}");
        }
    }

    #[test]
    fn a_message_that_was_cut_short_or_grew_shows() {
        let whole = message(100);
        let short = &whole[..99];
        assert!(!Stamp::read(short).expect("it has a header").holds(short));
        let mut long = whole.clone();
        long.push(0);
        assert!(!Stamp::read(&long).expect("it has a header").holds(&long));
        assert_eq!(Stamp::read(&whole[..31]), None);
    }
}
