//! A buffer that one owner fills, and the frame it becomes.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};

use hioload_mem::slab::{SharedBlock, UniqueBlock};

/// Bytes with one owner, who may change and extend them up to [`capacity`](Self::capacity).
///
/// There may be headroom before the first byte, so that a header can be put in front of a payload
/// without moving it. Dropping a buffer gives its memory back to its pool.
pub struct Buffer(UniqueBlock);

impl Buffer {
    pub(crate) fn new(block: UniqueBlock) -> Self {
        Self(block)
    }

    /// Bytes that may be held, headroom not counted: the current ones and the spare room.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Bytes free in front of the first one.
    pub fn headroom(&self) -> usize {
        self.0.headroom()
    }

    /// Appends as many of `bytes` as there is room for and returns how many that were.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        self.0.append(bytes)
    }

    /// Puts `header` in front of the first byte.
    ///
    /// # Panics
    /// When the headroom is shorter than `header`.
    pub fn prepend(&mut self, header: &[u8]) {
        assert!(self.0.prepend(header), "headroom for the header");
    }

    /// Keeps the first `len` bytes; does nothing when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Ends writing: from here on the bytes are shared and do not change.
    pub fn freeze(self) -> Frame {
        Frame(self.0.freeze())
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.len(), self.capacity())
    }
}

/// Immutable bytes, shared by reference count: a clone costs an atomic addition.
///
/// The last of the clones and slices gives the memory back to its pool, on whatever thread.
#[derive(Clone)]
pub struct Frame(SharedBlock);

impl Frame {
    /// Bytes of memory that the frame keeps from being used again: its buffer, bookkeeping
    /// included. Clones and slices share them.
    pub fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    /// A frame of the bytes in `range`, without a copy.
    ///
    /// # Panics
    /// When `range` does not lie within the frame.
    pub fn slice(&self, range: Range<usize>) -> Frame {
        Frame(self.0.slice(range).expect("a range within the frame"))
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Pool, PoolOptions};

    #[test]
    fn a_header_put_in_front_leaves_the_payload_where_it_was() {
        let mut pool = Pool::new(PoolOptions::default());
        let mut buffer = pool.get_empty(10, 5);
        buffer.append(b"hello");
        let place = buffer.as_ptr();
        buffer.prepend(&[0x81, 5]);
        let frame = buffer.freeze();
        assert_eq!(&*frame, b"\x81\x05hello");
        assert_eq!(frame.slice(2..7).as_ptr(), place);
    }

    #[test]
    fn a_slice_keeps_the_memory_of_the_whole_frame() {
        let mut pool = Pool::new(PoolOptions::default());
        let frame = pool.get(1000).freeze();
        assert_eq!(frame.slice(0..1).memory_bytes(), frame.memory_bytes());
        assert_eq!(frame.memory_bytes(), pool.bytes_held(), "the pool has no other");
    }

    #[test]
    #[should_panic(expected = "headroom for the header")]
    fn a_header_longer_than_the_headroom_is_a_bug_of_the_caller() {
        Pool::new(PoolOptions::default()).get(5).prepend(b"x");
    }

    #[test]
    #[should_panic(expected = "a range within the frame")]
    fn a_slice_beyond_the_frame_is_a_bug_of_the_caller() {
        Pool::new(PoolOptions::default()).get(5).freeze().slice(3..6);
    }
}
