//! Telling the processor what is needed soon.

/// Bytes of a cache line, as far as this module knows.
const LINE_BYTES: usize = 64;

/// Has the cache line in which `item` begins come into the first-level cache, without waiting for
/// it. Does nothing on processors for which no instruction is known here.
#[inline]
pub fn prefetch<T>(item: &T) {
    prefetch_line(std::ptr::from_ref(item).cast());
}

/// As [`prefetch`], for all cache lines that `item` lies in.
#[inline]
pub fn prefetch_all<T>(item: &T) {
    let first = std::ptr::from_ref(item).cast::<i8>();
    // A constant number of lines, and that of the last byte: no branch looks where it begins.
    for line in 0..size_of::<T>().div_ceil(LINE_BYTES) {
        prefetch_line(first.wrapping_add(line * LINE_BYTES));
    }
    if align_of::<T>() < LINE_BYTES {
        prefetch_line(first.wrapping_add(size_of::<T>().saturating_sub(1)));
    }
}

/// Where something lies in memory: enough to have it come into the caches while others may change
/// it, and for nothing else. What is there may be gone by now; then the wrong lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

impl Place {
    /// The place of `item`.
    #[inline]
    pub fn of<T: ?Sized>(item: &T) -> Self {
        Self(std::ptr::from_ref(item).addr())
    }

    /// Has the cache lines come that the first `bytes` from here on lie in.
    #[inline]
    pub fn prefetch(self, bytes: usize) {
        let end = self.0.saturating_add(bytes);
        let mut line = self.0 & !(LINE_BYTES - 1);
        while line < end {
            prefetch_line(std::ptr::without_provenance(line));
            let Some(next) = line.checked_add(LINE_BYTES) else { break };
            line = next;
        }
    }
}

#[inline]
fn prefetch_line(line: *const i8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is part of SSE, which every x86-64 processor has, and reads or
        // changes nothing that a program can see, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_the_same_afterwards_whatever_its_size() {
        let (nothing, some) = ((), [7_u8; 1_000]);
        prefetch(&nothing);
        prefetch(&some);
        prefetch_all(&nothing);
        prefetch_all(&some);
        assert!(some.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_place_of_which_nothing_is_left_may_be_asked_for() {
        let place = Place::of([1_u8; 100_000].to_vec().as_slice());
        place.prefetch(100_000);
        Place(0).prefetch(1_000);
        Place(usize::MAX - 10).prefetch(5);
    }
}
