//! What deliveries are compared with: the copy into a send ring that a TCP would make of each.

use std::hint::black_box;

use crate::shuffle::shuffled;

/// Bytes of a session's ring.
const RING_BYTES: usize = 2 << 10;
/// What is copied per delivery.
const COPIED: usize = 128;

/// One ring per session, in one arena, and where each is filled next. The sessions are visited in
/// the order in which the hub visits them.
pub(crate) struct Rings {
    arena: Vec<u8>,
    ends: Vec<u32>,
    order: Vec<u32>,
    segment: [u8; COPIED],
}

impl Rings {
    pub(crate) fn new(sessions: u32) -> Self {
        let count = sessions as usize;
        Self {
            arena: vec![1; count * RING_BYTES],
            ends: vec![0; count],
            order: shuffled(sessions),
            segment: [7; COPIED],
        }
    }

    /// Copies one segment per session. Returns the number of copies.
    pub(crate) fn round(&mut self) -> u64 {
        let segment = black_box(&self.segment);
        for &session in &self.order {
            let end = &mut self.ends[session as usize];
            let at = session as usize * RING_BYTES + *end as usize;
            self.arena[at..at + COPIED].copy_from_slice(segment);
            *end = (*end + 128) % 2048;
        }
        black_box(&mut self.arena);
        self.order.len() as u64
    }
}
