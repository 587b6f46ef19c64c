//! Removing (or, the same thing, applying) the mask of a WebSocket payload.
//!
//! Byte `i` of a masked payload is XORed with byte `i mod 4` of the key (RFC 6455 section 5.3).
//! [`unmask`] does it with the widest vectors that the processor has: AVX-512 or AVX2 where they
//! are detected, else those of the target's baseline, which [`unmask_portable`] always takes. SSE2
//! and NEON are the baseline of x86-64 and AArch64, and the compiler turns the safe code into them.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Shorter payloads take neither a loop nor a look at the processor's features.
const WIDE_BYTES_MIN: usize = 33;

/// Below this length, the call of a function for wider vectors costs more than it saves.
#[cfg(target_arch = "x86_64")]
const AVX2_BYTES_MIN: usize = 128;

/// A processor that has done without 512-bit vectors for a while runs them at half their speed for
/// some microseconds and then stalls once to power them up. AVX2 has no such price: 1 KiB now and
/// then takes 40 % longer with AVX-512 (on Granite Rapids), so it is left to what is worth waking.
#[cfg(target_arch = "x86_64")]
const AVX512_BYTES_MIN: usize = 8 * 1024;

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
fn rotated(key: [u8; 4], offset: usize) -> [u8; 4] {
    // `rotate_left` of the array would do, but becomes calls of memmove.
    let bits = 8 * u32::from(offset.to_le_bytes()[0] % 4);
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

#[cfg(target_arch = "x86_64")]
fn unmask_dispatched(bytes: &mut [u8], key: [u8; 4]) {
    // The standard library keeps what it detected: each of these is a load and a test.
    if bytes.len() >= AVX512_BYTES_MIN && is_x86_feature_detected!("avx512f") {
        // SAFETY: the condition found AVX-512F, all that the function asks for.
        unsafe { unmask_avx512(bytes, key) }
    } else if bytes.len() >= AVX2_BYTES_MIN && is_x86_feature_detected!("avx2") {
        // SAFETY: the condition found AVX2, all that the function asks for.
        unsafe { unmask_avx2(bytes, key) }
    } else {
        unmask_baseline(bytes, key);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn unmask_dispatched(bytes: &mut [u8], key: [u8; 4]) {
    unmask_baseline(bytes, key);
}

/// Defines a function that unmasks with vectors of `$width` bytes.
///
/// Its blocks lie on multiples of the width, so that no access straddles two cache lines. The
/// blocks at both ends are taken from the masked bytes first and stored last: where they overlap
/// their neighbours, they write the same values once more. Fewer bytes than one vector are left to
/// [`unmask_baseline`].
#[cfg(target_arch = "x86_64")]
macro_rules! unmask_with_vectors {
    ($name:ident, $feature:literal, $width:literal, $splat:ident, $load:ident, $xor:ident, $store:ident) => {
        #[target_feature(enable = $feature)]
        fn $name(bytes: &mut [u8], key: [u8; 4]) {
            let splat = |offset| $splat(i32::from_ne_bytes(rotated(key, offset)));
            let load = |block: &[u8; $width]| {
                // SAFETY: the reference vouches for the whole width, and the load asks for no
                // alignment.
                unsafe { $load(block.as_ptr().cast()) }
            };
            let store = |block: &mut [u8; $width], vector| {
                // SAFETY: as for the load, and the reference is the only one.
                unsafe { $store(block.as_mut_ptr().cast(), vector) };
            };

            let tail_at = bytes.len().saturating_sub($width);
            let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) else {
                return unmask_baseline(bytes, key);
            };
            let head = $xor(load(head), splat(0));
            let tail = $xor(load(tail), splat(tail_at));

            let lead = bytes.as_ptr().addr().wrapping_neg() % $width;
            let middle_key = splat(lead);
            let (blocks, _) = bytes[lead..].as_chunks_mut();
            for block in blocks {
                store(block, $xor(load(block), middle_key));
            }

            if let Some(block) = bytes.first_chunk_mut() {
                store(block, head);
            }
            if let Some(block) = bytes.last_chunk_mut() {
                store(block, tail);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
unmask_with_vectors!(
    unmask_avx512,
    "avx512f",
    64,
    _mm512_set1_epi32,
    _mm512_loadu_si512,
    _mm512_xor_si512,
    _mm512_storeu_si512
);

#[cfg(target_arch = "x86_64")]
unmask_with_vectors!(
    unmask_avx2,
    "avx2",
    32,
    _mm256_set1_epi32,
    _mm256_loadu_si256,
    _mm256_xor_si256,
    _mm256_storeu_si256
);

/// The same in safe code, in blocks that the compiler makes vectors of.
fn unmask_baseline(bytes: &mut [u8], key: [u8; 4]) {
    const WIDTH: usize = 16;
    /// So many that the loop itself costs nothing.
    const GROUP: usize = 16 * WIDTH;

    let tail_at = bytes.len().saturating_sub(WIDTH);
    let (Some(&(mut head)), Some(&(mut tail))) = (bytes.first_chunk(), bytes.last_chunk()) else {
        return unmask_short(bytes, key);
    };
    xor::<WIDTH>(&mut head, key);
    xor::<WIDTH>(&mut tail, rotated(key, tail_at));

    let lead = bytes.as_ptr().addr().wrapping_neg() % WIDTH;
    let middle_key = rotated(key, lead);
    let (groups, rest) = bytes[lead..].as_chunks_mut::<GROUP>();
    for group in groups {
        xor(group, middle_key);
    }
    for block in rest.as_chunks_mut::<WIDTH>().0 {
        xor(block, middle_key);
    }

    if let Some(block) = bytes.first_chunk_mut() {
        *block = head;
    }
    if let Some(block) = bytes.last_chunk_mut() {
        *block = tail;
    }
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
    if let (Some(&(mut head)), Some(&(mut tail))) =
        (bytes.first_chunk::<N>(), bytes.last_chunk::<N>())
    {
        xor(&mut head, key);
        xor(&mut tail, rotated(key, tail_at));
        bytes[..N].copy_from_slice(&head);
        bytes[tail_at..].copy_from_slice(&tail);
    }
}

/// Puts the key on a block, in words of the size that the compiler vectorises best.
#[inline(always)]
fn xor<const N: usize>(block: &mut [u8; N], key: [u8; 4]) {
    let key = u32::from_ne_bytes(key);
    let words_key = u64::from(key) << 32 | u64::from(key);
    let (words, rest) = block.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ words_key).to_ne_bytes();
    }
    for word in rest.as_chunks_mut().0 {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
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
                // SAFETY: the processor has AVX2, or this closure would not be in the list.
                unsafe { unmask_avx2(bytes, rotated(key, offset)) };
            }));
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            ways.push(("avx512", |bytes, key, offset| {
                // SAFETY: as for AVX2.
                unsafe { unmask_avx512(bytes, rotated(key, offset)) };
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
            for len in (0..200).chain([255, 511, 512, 513, 640, 1_100]) {
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
