//! An order without order, the same in every run.

/// The numbers below `count`, shuffled (Fisher and Yates) by xorshift from a fixed seed.
pub(crate) fn shuffled(count: u32) -> Vec<u32> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut numbers: Vec<u32> = (0..count).collect();
    for last in (1..numbers.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let chosen = usize::try_from(state % (last as u64 + 1)).expect("below the count");
        numbers.swap(last, chosen);
    }
    numbers
}
