//! A buffer that one owner fills, and the frame it becomes.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

/// Bytes with one owner, who may change and extend them up to [`capacity`](Self::capacity).
///
/// There may be headroom before the first byte, so that a header can be put in front of a payload
/// without moving it.
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    capacity: usize,
}

impl Buffer {
    pub(crate) fn new(headroom: usize, len: usize) -> Self {
        Self { bytes: vec![0; headroom + len], start: headroom, capacity: headroom + len.max(64) }
    }

    /// Bytes that may be held, headroom not counted: the current ones and the spare room.
    pub fn capacity(&self) -> usize {
        self.capacity - self.start
    }

    /// Bytes free in front of the first one.
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Appends as many of `bytes` as there is room for and returns how many that were.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.capacity - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Puts `header` in front of the first byte.
    ///
    /// # Panics
    /// When the headroom is shorter than `header`.
    pub fn prepend(&mut self, header: &[u8]) {
        let start = self.start.checked_sub(header.len()).expect("headroom for the header");
        self.bytes[start..self.start].copy_from_slice(header);
        self.start = start;
    }

    /// Keeps the first `len` bytes; does nothing when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start + len);
    }

    /// Ends writing: from here on the bytes are shared and do not change.
    pub fn freeze(self) -> Frame {
        let range = self.start..self.bytes.len();
        Frame { bytes: Arc::new(self.bytes), range }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

/// Immutable bytes, shared by reference count.
#[derive(Clone)]
pub struct Frame {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Frame {
    /// A frame of the bytes in `range`, without a copy.
    ///
    /// # Panics
    /// When `range` does not lie within the frame.
    pub fn slice(&self, range: Range<usize>) -> Frame {
        assert!(range.start <= range.end && range.end <= self.len(), "range outside the frame");
        let start = self.range.start + range.start;
        Frame { bytes: Arc::clone(&self.bytes), range: start..start + range.len() }
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
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

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.len(), self.capacity())
    }
}
