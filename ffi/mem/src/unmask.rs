//! Removing (or, the same thing, applying) the mask of a WebSocket payload.
//!
//! Byte `i` of a masked payload is XORed with byte `i mod 4` of the key (RFC 6455 section 5.3). One
//! piece of safe code does it in blocks as wide as a vector register; [`unmask`] has it compiled
//! once more for each wider instruction set and takes the widest the processor has. SSE2 and NEON
//! are part of x86-64 and AArch64, so on these [`unmask_portable`] is already vector code.

/// Shorter payloads take neither a loop nor a look at the processor's features.
const WIDE_BYTES_MIN: usize = 33;

/// Up to this length, the call of a function for a wider instruction set costs more than it saves.
#[cfg(target_arch = "x86_64")]
const DISPATCH_BYTES_MIN: usize = 128;

/// Unmasks `bytes` in place with the widest vectors that the processor has.
///
/// `offset` is the position of `bytes[0]` in the masked payload, so a payload can be unmasked in
/// pieces. Applying it twice gives the same bytes again.
#[inline]
pub fn unmask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotated(key, offset);
    if bytes.len() < WIDE_BYTES_MIN {
        unmask_short(bytes, key);
    } else {
        unmask_dispatched(bytes, key);
    }
}

/// What [`unmask`] does, in code for the baseline of the target.
#[inline]
pub fn unmask_portable(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotated(key, offset);
    if bytes.len() < WIDE_BYTES_MIN {
        unmask_short(bytes, key);
    } else {
        unmask_baseline(bytes, key);
    }
}

/// The key as it falls on the bytes from `offset` on.
#[inline]
fn rotated(mut key: [u8; 4], offset: usize) -> [u8; 4] {
    key.rotate_left(offset % 4);
    key
}

#[cfg(target_arch = "x86_64")]
fn unmask_dispatched(bytes: &mut [u8], key: [u8; 4]) {
    // The standard library keeps what it detected: this is a load and a test.
    if bytes.len() >= DISPATCH_BYTES_MIN {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the line above found AVX-512F, all that the function asks for.
            return unsafe { unmask_avx512(bytes, key) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the line above found AVX2, all that the function asks for.
            return unsafe { unmask_avx2(bytes, key) };
        }
    }
    unmask_baseline(bytes, key);
}

#[cfg(not(target_arch = "x86_64"))]
fn unmask_dispatched(bytes: &mut [u8], key: [u8; 4]) {
    unmask_baseline(bytes, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn unmask_avx512(bytes: &mut [u8], key: [u8; 4]) {
    unmask_wide::<64>(bytes, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn unmask_avx2(bytes: &mut [u8], key: [u8; 4]) {
    unmask_wide::<32>(bytes, key);
}

fn unmask_baseline(bytes: &mut [u8], key: [u8; 4]) {
    unmask_wide::<16>(bytes, key);
}

/// Unmasks in blocks of `N` bytes, which lie on multiples of `N` so that no access straddles two
/// cache lines. The blocks at both ends are taken from the masked bytes first and stored last:
/// where they overlap their neighbours, they write the same values once more.
#[inline(always)]
fn unmask_wide<const N: usize>(bytes: &mut [u8], key: [u8; 4]) {
    const UNROLL: usize = 4;
    let tail_at = bytes.len() - N;
    let mut head: [u8; N] = array_at(bytes, 0);
    let mut tail: [u8; N] = array_at(bytes, tail_at);
    xor(&mut head, key);
    xor(&mut tail, rotated(key, tail_at));

    let lead = bytes.as_ptr().addr().wrapping_neg() % N;
    let key = rotated(key, lead);
    let (blocks, _) = bytes[lead..].as_chunks_mut::<N>();
    let (groups, rest) = blocks.as_chunks_mut::<UNROLL>();
    for group in groups {
        for block in group {
            xor(block, key);
        }
    }
    for block in rest {
        xor(block, key);
    }

    bytes[..N].copy_from_slice(&head);
    bytes[tail_at..].copy_from_slice(&tail);
}

/// Up to 32 bytes: the first and the last word of the widest size that fits, which may overlap.
#[inline]
fn unmask_short(bytes: &mut [u8], key: [u8; 4]) {
    match bytes.len() {
        16.. => unmask_ends::<16>(bytes, key),
        8.. => unmask_ends::<8>(bytes, key),
        4.. => unmask_ends::<4>(bytes, key),
        _ => bytes.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key),
    }
}

#[inline(always)]
fn unmask_ends<const N: usize>(bytes: &mut [u8], key: [u8; 4]) {
    let tail_at = bytes.len() - N;
    let mut head: [u8; N] = array_at(bytes, 0);
    let mut tail: [u8; N] = array_at(bytes, tail_at);
    xor(&mut head, key);
    xor(&mut tail, rotated(key, tail_at));
    bytes[..N].copy_from_slice(&head);
    bytes[tail_at..].copy_from_slice(&tail);
}

#[inline(always)]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[inline(always)]
fn xor<const N: usize>(block: &mut [u8; N], key: [u8; 4]) {
    for (index, byte) in block.iter_mut().enumerate() {
        *byte ^= key[index % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Unmask = fn(&mut [u8], [u8; 4], usize);

    /// Every way that this processor can take, by name.
    fn ways() -> Vec<(&'static str, Unmask)> {
        let mut ways: Vec<(&'static str, Unmask)> =
            vec![("dispatched", unmask), ("portable", unmask_portable)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            ways.push(("avx2", |bytes, key, offset| {
                if bytes.len() >= 32 {
                    // SAFETY: the processor has AVX2, or this closure would not be in the list.
                    unsafe { unmask_avx2(bytes, rotated(key, offset)) };
                } else {
                    unmask(bytes, key, offset);
                }
            }));
        }
        ways
    }

    /// RFC 6455 section 5.3, to the letter.
    fn unmask_by_the_letter(bytes: &mut [u8], key: [u8; 4], offset: usize) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[(offset + index) % 4];
        }
    }

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|index| u8::try_from(index * 31 % 251).unwrap()).collect()
    }

    #[test]
    fn the_masked_hello_of_the_rfc_reads_hello() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn every_length_at_every_alignment_and_offset_is_as_the_rfc_says() {
        let key = [0x11, 0x2e, 0xc7, 0x90];
        for (name, way) in ways() {
            for len in 0..300 {
                // All of the alignments for some lengths, a few for each.
                for lead in (0..64).step_by(if len % 37 == 0 { 1 } else { 13 }) {
                    let offset = len + lead;
                    let mut got = sample(lead + len + 7);
                    let mut wanted = got.clone();
                    way(&mut got[lead..lead + len], key, offset);
                    unmask_by_the_letter(&mut wanted[lead..lead + len], key, offset);
                    assert_eq!(got, wanted, "{name}: {len} bytes at {lead}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn an_offset_at_the_end_of_the_address_space_wraps_nothing() {
        for (name, way) in ways() {
            let mut got = sample(200);
            way(&mut got, [1, 2, 3, 4], usize::MAX);
            let mut wanted = sample(200);
            unmask_by_the_letter(&mut wanted, [1, 2, 3, 4], 3);
            assert_eq!(got, wanted, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_payload_unmasked_in_pieces_is_the_payload_unmasked_at_once(
            payload in prop::collection::vec(any::<u8>(), 0..2_000),
            key in any::<[u8; 4]>(),
            offset in 0_usize..1_000_000,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.extend([0, payload.len()]);
            cuts.sort_unstable();
            let mut wanted = payload.clone();
            unmask_by_the_letter(&mut wanted, key, offset);
            for (name, way) in ways() {
                let mut got = payload.clone();
                for piece in cuts.windows(2) {
                    way(&mut got[piece[0]..piece[1]], key, offset + piece[0]);
                }
                prop_assert_eq!(&got, &wanted, "{}", name);
            }
        }
    }
}
