//! Where buffers come from and go back to.

use crate::Buffer;

/// What a pool keeps.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PoolOptions {}

/// A worker's source of buffers.
pub struct Pool {}

impl Pool {
    /// An empty pool; memory comes with the first buffers.
    #[expect(clippy::needless_pass_by_value, reason = "options are taken over")]
    pub fn new(_options: PoolOptions) -> Self {
        Self {}
    }

    /// A buffer that holds `len` zero bytes.
    pub fn get(&mut self, len: usize) -> Buffer {
        Buffer::new(0, len)
    }

    /// An empty buffer with room for `capacity` bytes behind `headroom` free ones.
    pub fn get_empty(&mut self, headroom: usize, capacity: usize) -> Buffer {
        let mut buffer = Buffer::new(headroom, capacity);
        buffer.truncate(0);
        buffer
    }

    /// The same bytes in a buffer with room for at least `capacity`, headroom kept.
    pub fn grow(&mut self, buffer: Buffer, capacity: usize) -> Buffer {
        let mut larger = self.get_empty(buffer.headroom(), capacity.max(buffer.len()));
        larger.append(&buffer);
        larger
    }
}
