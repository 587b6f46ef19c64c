//! Telling the processor what is needed soon.

/// Has the cache line in which `item` begins come into the first-level cache, without waiting for
/// it. Does nothing on processors for which no instruction is known here.
#[inline]
pub fn prefetch<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction is part of SSE, which every x86-64 processor has, and reads or
        // changes nothing that a program can see, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_the_same_afterwards_whatever_its_size() {
        let (nothing, some) = ((), [7_u8; 1_000]);
        prefetch(&nothing);
        prefetch(&some);
        assert!(some.iter().all(|byte| *byte == 7));
    }
}
