//! Where buffers come from and go back to.

use hioload_mem::numa::NodeError;
use hioload_mem::slab::{PieceSource, SlabOptions, SlabPool};

use crate::Buffer;

/// More than the shortest buffer takes, and than the bookkeeping of any.
const SHORT_BYTES_MAX: usize = 256;

/// What a pool keeps.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PoolOptions {
    /// Bytes of unused buffers kept of each size (128 bytes, 256, ... 64 KiB); those that come
    /// back beyond it are freed. Longer buffers are never kept.
    pub idle_bytes_max: usize,
}

impl Default for PoolOptions {
    /// 8 MiB of each size.
    fn default() -> Self {
        Self { idle_bytes_max: SlabOptions::default().class_idle_bytes_max }
    }
}

impl PoolOptions {
    fn slab(self) -> SlabOptions {
        let mut options = SlabOptions::default();
        options.class_idle_bytes_max = self.idle_bytes_max;
        options
    }
}

/// A worker's source of buffers.
pub struct Pool {
    slab: SlabPool,
}

impl Pool {
    /// An empty pool; memory comes with the first buffers.
    pub fn new(options: PoolOptions) -> Self {
        Self { slab: SlabPool::new(options.slab()) }
    }

    /// An empty pool whose buffers lie in the memory of a NUMA node: while the node has some, and
    /// in that of the nearest one else.
    ///
    /// ```
    /// use hioload_buffer::{NodeError, Pool, PoolOptions};
    ///
    /// # fn main() -> Result<(), NodeError> {
    /// # let known = hioload_mem::numa::nodes().is_ok_and(|nodes| nodes.contains(&0));
    /// # if !known { return Ok(()); }
    /// let mut pool = Pool::on_node(0, PoolOptions::default())?;
    /// let frame = pool.get(4096).freeze(); // 4,096 zero bytes on node 0
    /// let head = frame.slice(0..16); // the same memory
    /// drop((frame, head)); // back to the pool
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When this process has no memory on that node; the error says on which ones it has. In a
    /// build without the feature `numa`, and elsewhere than on Linux, no node is known.
    pub fn on_node(node: usize, options: PoolOptions) -> Result<Self, NodeError> {
        Ok(Self { slab: SlabPool::on_node(node, options.slab())? })
    }

    /// The same pool, whose buffers lie in pieces of `source` while it has some: those that fit.
    ///
    /// # Panics
    /// When buffers have been taken from the pool already.
    #[must_use]
    pub fn with_pieces(self, source: Box<dyn PieceSource>) -> Self {
        Self { slab: self.slab.with_pieces(source) }
    }

    /// A buffer that holds `len` zero bytes.
    ///
    /// # Panics
    /// When `len` is 2<sup>32</sup> or more.
    pub fn get(&mut self, len: usize) -> Buffer {
        let mut block = self.slab.take(0, len);
        block.append_zeros(len);
        Buffer::new(block)
    }

    /// An empty buffer with room for at least `capacity` bytes behind `headroom` free ones.
    ///
    /// # Panics
    /// When both together are 2<sup>32</sup> or more.
    pub fn get_empty(&mut self, headroom: usize, capacity: usize) -> Buffer {
        Buffer::new(self.slab.take(headroom, capacity))
    }

    /// The same bytes in a buffer with room for at least `capacity`, headroom kept.
    ///
    /// # Panics
    /// When headroom and capacity together are 2<sup>32</sup> or more.
    pub fn grow(&mut self, buffer: Buffer, capacity: usize) -> Buffer {
        if capacity <= buffer.capacity() {
            return buffer;
        }
        let mut larger = self.get_empty(buffer.headroom(), capacity);
        larger.append(&buffer);
        larger
    }

    /// Bytes of memory that a buffer for `len` bytes or fewer takes at most, bookkeeping included.
    pub fn memory_bytes_max(&self, len: usize) -> usize {
        // The next power of two, or a piece.
        len.saturating_mul(2)
            .saturating_add(SHORT_BYTES_MAX)
            .max(self.slab.piece_bytes().unwrap_or(0))
    }

    /// Buffers of this pool, and frames made of them, that are in use. One that another thread
    /// drops at this moment may count or not.
    pub fn buffers_in_use(&self) -> usize {
        self.slab.usage().blocks_out
    }

    /// Bytes allocated for buffers, in use or kept, bookkeeping included.
    pub fn bytes_held(&self) -> usize {
        self.slab.usage().bytes_held
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn pool() -> Pool {
        Pool::new(PoolOptions::default())
    }

    #[test]
    fn a_grown_buffer_has_the_same_bytes_and_headroom_in_more_room() {
        let mut pool = pool();
        let mut buffer = pool.get_empty(10, 100);
        buffer.append(b"hello");
        let mut grown = pool.grow(buffer, 1_000);
        assert!(grown.capacity() >= 1_000);
        assert_eq!((grown.headroom(), &*grown), (10, &b"hello"[..]));
        assert_eq!(grown.append(&[b'!'; 900]), 900);
        assert_eq!(pool.buffers_in_use(), 1, "the short one went back");
    }

    #[test]
    fn a_buffer_with_room_enough_does_not_move_to_grow() {
        let mut pool = pool();
        let buffer = pool.get(100);
        let place = buffer.as_ptr();
        assert_eq!(pool.grow(buffer, 101).as_ptr(), place);
    }

    #[test]
    fn a_frame_dropped_by_another_thread_is_the_next_buffer() {
        let mut pool = pool();
        let frame = pool.get(64).freeze();
        let (place, held) = (frame.as_ptr().addr(), pool.bytes_held());
        thread::spawn(move || drop(frame)).join().unwrap();
        assert_eq!(pool.get(64).as_ptr().addr(), place);
        assert_eq!((pool.buffers_in_use(), pool.bytes_held()), (0, held));
    }

    #[test]
    fn no_buffer_takes_more_memory_than_is_said() {
        for len in [0, 1, 128, 129, 1000, 65_536, 65_537, 300_000] {
            let mut pool = pool();
            let most = pool.memory_bytes_max(len);
            let memory = pool.get(len).freeze().memory_bytes();
            assert!(memory <= most, "{len} bytes take {memory}, and not {most}");
        }
    }

    #[test]
    fn a_pool_that_keeps_nothing_frees_what_comes_back() {
        let mut pool = Pool::new(PoolOptions { idle_bytes_max: 0 });
        drop(pool.get(64).freeze());
        assert_eq!((pool.buffers_in_use(), pool.bytes_held()), (0, 0));
    }
}
