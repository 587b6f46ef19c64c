//! Reference-counted memory that is used again and again.
//!
//! A [`SlabPool`] hands out blocks of some sizes. A [`UniqueBlock`] has one owner, who writes;
//! [`UniqueBlock::freeze`] makes it a [`SharedBlock`], which any thread may read and clone. When
//! the last handle is dropped, on whatever thread, the block goes back to the pool it came from, or
//! to the system when the pool is gone or has enough.
//!
//! Who may touch what:
//! - The owner of a pool takes blocks from lists that only it reads.
//! - A block that comes back is pushed on the return list of its size (a stack, lock-free). The
//!   owner takes all of that list with one exchange, and only when its own is empty. Since nobody
//!   takes single blocks off, a head that left and came back in the meantime harms nobody.
//! - A pool that dies closes its return lists; blocks that come back later are freed by whoever
//!   drops them. What pool and blocks have in common (`Home`) lives as long as the last of them.
//! - A pool may have a [`PieceSource`] of its own for blocks up to some length. Such a block never
//!   enters a return list: whoever drops it gives its piece back to the source.
//!
//! Bytes are never readable before they were written: a handle knows which part that is.

mod block;
mod handle;
mod memory;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(feature = "numa", target_os = "linux"))]
mod node;
mod pieces;
mod returns;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;

use block::{Chain, ExclusiveBlock};
pub use handle::{SharedBlock, UniqueBlock};
use memory::Memory;
pub use pieces::PieceSource;
use returns::Home;
use sync::Arc;

use crate::numa::{self, NodeError};

/// The longest block, headroom included.
pub const BLOCK_BYTES_MAX: usize = u32::MAX as usize;

/// The shortest pooled block. Each class is twice as long as the one before.
const CLASS_BYTES_MIN: usize = 128;
/// Classes of pooled blocks: 128 bytes to 64 KiB.
const CLASS_COUNT: usize = 10;
/// The class of blocks of any other length, which are not pooled.
const UNPOOLED: usize = CLASS_COUNT;
/// The class of blocks in pieces of a source.
const IN_PIECES: usize = CLASS_COUNT + 1;

/// What a [`SlabPool`] keeps.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SlabOptions {
    /// Bytes of unused blocks kept of each of the ten sizes; what comes back beyond is freed. Half
    /// of it counts for blocks that are ready to be taken, half for those that came back since.
    pub class_idle_bytes_max: usize,
}

impl Default for SlabOptions {
    /// 8 MiB of each size.
    fn default() -> Self {
        Self { class_idle_bytes_max: 8 * 1024 * 1024 }
    }
}

/// What a pool has given away and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabUsage {
    /// Blocks taken of which a handle is left.
    pub blocks_out: usize,
    /// Bytes allocated for blocks, used or not, bookkeeping included.
    pub bytes_held: usize,
}

/// A source of blocks, with one owner.
pub struct SlabPool {
    home: Arc<Home>,
    ready: [Chain; CLASS_COUNT],
    blocks_taken: usize,
}

impl SlabPool {
    /// A pool without memory; it comes with the first blocks.
    pub fn new(options: SlabOptions) -> Self {
        Self::from_memory(options, Memory::Heap)
    }

    /// The same, with memory of a NUMA node for all its blocks: from it while it has some, from
    /// the nearest one else. It is asked of the system in pieces of 1 MiB, which hold blocks of one
    /// size and go back when none of them is left.
    ///
    /// # Errors
    /// When there is no such node for this process, or the build or the kernel knows of none.
    pub fn on_node(node: usize, options: SlabOptions) -> Result<Self, NodeError> {
        numa::check_node(node)?;
        Ok(Self::from_memory(options, Memory::of_node(node)?))
    }

    /// The same pool, which takes what fits into a piece of `source` from there while it has some.
    ///
    /// # Panics
    /// When blocks have been taken from the pool already.
    #[must_use]
    pub fn with_pieces(mut self, source: Box<dyn PieceSource>) -> Self {
        let home = Arc::get_mut(&mut self.home).expect("a pool without blocks");
        home.set_pieces(source);
        self
    }

    fn from_memory(options: SlabOptions, memory: Memory) -> Self {
        let home = Arc::new(Home::new(options.class_idle_bytes_max / 2, memory));
        Self { home, ready: Default::default(), blocks_taken: 0 }
    }

    /// An empty block with room for at least `capacity` bytes behind `headroom` free ones.
    ///
    /// Up to 64 KiB in all the next larger power of two is pooled; beyond, the block has the exact
    /// length and is freed after use. One in a [piece](Self::with_pieces) has all of it.
    ///
    /// # Panics
    /// When that is more than [`BLOCK_BYTES_MAX`] or what the address space can hold.
    pub fn take(&mut self, headroom: usize, capacity: usize) -> UniqueBlock {
        let bytes = headroom.saturating_add(capacity);
        assert!(bytes <= BLOCK_BYTES_MAX, "a block of {bytes} bytes is more than 2^32 - 1");
        let block = match (ExclusiveBlock::in_piece(&self.home, bytes), class_of(bytes)) {
            (Some(block), _) => block,
            (None, Some(class)) => self.take_pooled(class),
            (None, None) => ExclusiveBlock::allocate(&self.home, UNPOOLED, bytes),
        };
        self.blocks_taken = self.blocks_taken.wrapping_add(1);
        UniqueBlock::new(block, headroom)
    }

    /// Bytes of memory that a block in a [piece](Self::with_pieces) takes, bookkeeping included; `None`
    /// where there are no pieces.
    pub fn piece_bytes(&self) -> Option<usize> {
        self.home.pieces().map(PieceSource::piece_bytes)
    }

    /// What is in use at the moment; a block that another thread drops just now may count or not.
    pub fn usage(&self) -> SlabUsage {
        let out = self.blocks_taken.wrapping_sub(self.home.blocks_returned());
        SlabUsage { blocks_out: out, bytes_held: self.home.bytes_held() }
    }

    fn take_pooled(&mut self, class: usize) -> ExclusiveBlock {
        let ready = &mut self.ready[class];
        if let Some(block) = ready.pop() {
            return block;
        }
        *ready = self.home.take_returned(class);
        ready.pop().unwrap_or_else(|| {
            ExclusiveBlock::allocate(&self.home, class, CLASS_BYTES_MIN << class)
        })
    }
}

impl Drop for SlabPool {
    fn drop(&mut self) {
        self.home.close();
    }
}

/// The smallest class that holds `bytes`.
fn class_of(bytes: usize) -> Option<usize> {
    let units = bytes.div_ceil(CLASS_BYTES_MIN).max(1).next_power_of_two();
    let class = units.trailing_zeros() as usize;
    (class < CLASS_COUNT).then_some(class)
}
