//! Up to 32 mbufs in order.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use dpdk_sys::rte_mbuf;

use crate::live;
use crate::mbuf::Mbuf;

/// Mbufs that a [`Burst`] holds at most.
pub const BURST_MAX: usize = 32;

/// Up to [`BURST_MAX`] mbufs, first in, first out. What is left in it is freed with it.
pub struct Burst {
    // Those from `begin` to `end` are mbufs of ours, made as `Mbuf` demands.
    mbufs: [*mut rte_mbuf; BURST_MAX],
    begin: usize,
    end: usize,
}

// SAFETY: it is a list of `Mbuf`, which is Send.
unsafe impl Send for Burst {}

impl Burst {
    /// Without mbufs.
    pub fn new() -> Self {
        Self { mbufs: [ptr::null_mut(); BURST_MAX], begin: 0, end: 0 }
    }

    /// Mbufs in it.
    pub fn len(&self) -> usize {
        self.end - self.begin
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Whether there is room for no more.
    pub fn is_full(&self) -> bool {
        self.len() == BURST_MAX
    }

    /// Appends an mbuf.
    ///
    /// # Errors
    /// The mbuf, when there is no room.
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        if self.is_full() {
            return Err(mbuf);
        }
        self.move_to_front();
        self.mbufs[self.end] = ManuallyDrop::new(mbuf).as_raw().as_ptr();
        self.end += 1;
        Ok(())
    }

    /// Takes the first one out.
    pub fn pop(&mut self) -> Option<Mbuf> {
        if self.is_empty() {
            return None;
        }
        let raw = NonNull::new(self.mbufs[self.begin])?;
        self.begin += 1;
        // SAFETY: it was an `Mbuf` or came from DPDK as one, and is no longer in the list.
        Some(unsafe { Mbuf::from_raw(raw) })
    }

    /// Frees all.
    pub fn clear(&mut self) {
        let held = self.held();
        let count = held.len();
        if count > 0 {
            // SAFETY: the list owns these mbufs; they are of pools that still exist, as `live`
            // counts them, and are forgotten below. There are at most 32.
            unsafe { dpdk_sys::rte_pktmbuf_free_bulk(held.as_mut_ptr(), count_u16(count).into()) };
            live::dropped(count);
        }
        (self.begin, self.end) = (0, 0);
    }

    /// The mbufs, in order, for DPDK to read.
    pub(crate) fn held(&mut self) -> &mut [*mut rte_mbuf] {
        &mut self.mbufs[self.begin..self.end]
    }

    /// Bytes of the first `count` mbufs together.
    pub(crate) fn bytes_of_first(&self, count: usize) -> usize {
        let held = &self.mbufs[self.begin..self.end];
        held.iter()
            .take(count)
            .map(|mbuf| {
                // SAFETY: an mbuf of ours, which nobody writes to meanwhile.
                let header = unsafe { &**mbuf };
                usize::from(header.data_len)
            })
            .sum()
    }

    /// The room behind the mbufs, for DPDK to write to.
    pub(crate) fn room(&mut self) -> &mut [*mut rte_mbuf] {
        self.move_to_front();
        &mut self.mbufs[self.end..]
    }

    /// Makes what DPDK wrote to the beginning of [`room`](Self::room) part of the list.
    ///
    /// # Safety
    /// The first `count` pointers there must be mbufs that nobody else owns.
    pub(crate) unsafe fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(BURST_MAX);
        live::made(count);
    }

    /// Forgets the first `count` mbufs: others own them now.
    pub(crate) fn handed_over(&mut self, count: usize) {
        let count = count.min(self.len());
        self.begin += count;
        live::dropped(count);
    }

    fn move_to_front(&mut self) {
        if self.begin > 0 {
            self.mbufs.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
    }
}

/// A number of mbufs of one burst, as DPDK counts them.
pub(crate) fn count_u16(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Burst").field("len", &self.len()).finish()
    }
}
