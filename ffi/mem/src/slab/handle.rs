//! What users of a block hold: the one who writes, and those who read.

use std::ops::{Deref, DerefMut, Range};
use std::process;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::block::{ExclusiveBlock, Header};
use super::sync::{AtomicU32, fence};

/// A block with one owner, who may change and extend its bytes.
///
/// Invariant: `start <= end <= capacity`, and the bytes of the block from `start` to `end` were
/// written.
pub struct UniqueBlock {
    block: ExclusiveBlock,
    start: usize,
    end: usize,
}

impl UniqueBlock {
    /// An empty block whose bytes will start at `headroom`, which is within it.
    pub(super) fn new(block: ExclusiveBlock, headroom: usize) -> Self {
        assert!(headroom <= block.header().capacity, "headroom within the block");
        Self { block, start: headroom, end: headroom }
    }

    /// Bytes that may be held, headroom not counted: the current ones and the spare room.
    pub fn capacity(&self) -> usize {
        self.block.header().capacity - self.start
    }

    /// Bytes free in front of the first one.
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Appends as many of `bytes` as there is room for and returns how many that were.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.capacity() - self.len());
        self.block.header().access.write();
        // SAFETY: the end lies within the block (invariant).
        let end = unsafe { self.block.bytes().add(self.end) };
        // SAFETY: `taken` bytes are there to be read, and as many to be written behind the end; a
        // reference to bytes of this block cannot exist beside `&mut self`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), end.as_ptr(), taken) };
        self.end += taken;
        taken
    }

    /// Appends as many zero bytes as there is room for, `len` at most, and returns how many that
    /// were.
    pub fn append_zeros(&mut self, len: usize) -> usize {
        let taken = len.min(self.capacity() - self.len());
        self.block.header().access.write();
        // SAFETY: the end lies within the block (invariant).
        let end = unsafe { self.block.bytes().add(self.end) };
        // SAFETY: there is room for `taken` bytes behind the end, and nobody else sees them.
        unsafe { end.write_bytes(0, taken) };
        self.end += taken;
        taken
    }

    /// Puts `header` in front of the first byte, or says `false` when it is longer than the
    /// headroom.
    #[must_use]
    pub fn prepend(&mut self, header: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(header.len()) else { return false };
        self.block.header().access.write();
        // SAFETY: the new start is in front of the old one, which is within the block (invariant).
        let first = unsafe { self.block.bytes().add(start) };
        // SAFETY: the bytes from the new start to the old one are as many as the header's, and a
        // reference to bytes of this block cannot exist beside `&mut self`.
        unsafe { ptr::copy_nonoverlapping(header.as_ptr(), first.as_ptr(), header.len()) };
        self.start = start;
        true
    }

    /// Keeps the first `len` bytes; does nothing when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.start + len.min(self.len());
    }

    /// Ends writing: from here on the bytes are shared and do not change.
    pub fn freeze(self) -> SharedBlock {
        // No block is longer (`BLOCK_BYTES_MAX`).
        let short = |length| u32::try_from(length).expect("a length within a block");
        let (offset, len) = (short(self.start), short(self.end - self.start));
        self.block.header().references.store(1, Relaxed);
        SharedBlock { header: self.block.into_raw(), offset, len }
    }
}

impl Deref for UniqueBlock {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.block.header().access.read();
        // SAFETY: the start lies within the block (invariant).
        let first = unsafe { self.block.bytes().add(self.start) };
        // SAFETY: the bytes from start to end were written (invariant), and the result borrows
        // `self`, without whose mutable borrow they do not change.
        unsafe { slice::from_raw_parts(first.as_ptr(), self.end - self.start) }
    }
}

impl DerefMut for UniqueBlock {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.block.header().access.write();
        // SAFETY: the start lies within the block (invariant).
        let first = unsafe { self.block.bytes().add(self.start) };
        // SAFETY: the bytes from start to end were written (invariant), nobody else has the block,
        // and the result borrows `self` mutably.
        unsafe { slice::from_raw_parts_mut(first.as_ptr(), self.end - self.start) }
    }
}

/// A range of the bytes of a block, which is shared by reference count and does not change.
///
/// Invariant: each handle is one of the block's `references`, and its bytes from `offset` to
/// `offset + len` were written.
pub struct SharedBlock {
    header: NonNull<Header>,
    offset: u32,
    len: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Option<SharedBlock>>() == 16);

// SAFETY: handles on other threads read bytes that nobody changes, and count with atomics; the last
// one sees what the others did before it gives the block back (`drop`).
unsafe impl Send for SharedBlock {}
// SAFETY: as for `Send`: all that a shared reference can do is read and clone.
unsafe impl Sync for SharedBlock {}

impl SharedBlock {
    /// A handle of the bytes in `range`, unless it does not lie within this one.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let bytes = self.get(range.clone())?;
        let (start, len) = (u32::try_from(range.start).ok()?, u32::try_from(bytes.len()).ok()?);
        let mut slice = self.clone();
        slice.offset += start;
        slice.len = len;
        Some(slice)
    }

    /// Bytes of memory that the block takes, whatever part of it this handle is of.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Header>() + self.header().capacity
    }

    fn header(&self) -> &Header {
        // SAFETY: the block lives as long as one of its references (invariant), and nobody has a
        // mutable reference to a header.
        unsafe { self.header.as_ref() }
    }
}

impl Deref for SharedBlock {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.header().access.read();
        // SAFETY: the offset lies within the block (invariant).
        let first = unsafe { Header::bytes(self.header).add(self.offset as usize) };
        // SAFETY: these bytes were written (invariant) and do not change while a handle is left,
        // such as `self`, which the result borrows.
        unsafe { slice::from_raw_parts(first.as_ptr(), self.len as usize) }
    }
}

impl Clone for SharedBlock {
    fn clone(&self) -> Self {
        // Relaxed: whoever gets the clone gets it by way of something that synchronizes.
        let before = self.header().references.fetch_add(1, Relaxed);
        if before > u32::MAX / 2 {
            // Handles were leaked by the billion; once the count wraps they would dangle.
            process::abort();
        }
        Self { header: self.header, offset: self.offset, len: self.len }
    }
}

impl Drop for SharedBlock {
    fn drop(&mut self) {
        let references: &AtomicU32 = &self.header().references;
        // With no other handle left nobody can make one, so the count need not be changed.
        // Acquire and Release: what the others read was read before the block is used again.
        if references.load(Acquire) != 1 {
            if references.fetch_sub(1, Release) != 1 {
                return;
            }
            fence(Acquire);
        }
        // SAFETY: this was the last reference, its pointer came from `into_raw` in `freeze`, and
        // what the other handles did is visible by the lines above.
        drop(unsafe { ExclusiveBlock::from_raw(self.header) });
    }
}
