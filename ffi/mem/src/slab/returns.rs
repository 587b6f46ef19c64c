//! How blocks come back: what a pool and its blocks have in common.

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::block::{Chain, ExclusiveBlock, Header};
use super::memory::Memory;
use super::pieces::PieceSource;
use super::sync::{AtomicPtr, AtomicUsize};
use super::{CLASS_COUNT, IN_PIECES};

/// Shared by a pool and its blocks, and alive as long as one of them.
pub(super) struct Home {
    returns: [Returns; IN_PIECES + 1],
    bytes_held: AtomicUsize,
    /// Bytes that a return list may hold.
    list_bytes_max: usize,
    memory: Memory,
    pieces: Option<Box<dyn PieceSource>>,
}

/// The blocks of one class that came back. Only the counts are used of the classes that are not
/// pooled.
#[repr(align(128))]
struct Returns {
    /// The block that came last, null, or [`closed`].
    head: AtomicPtr<Header>,
    /// Blocks that ever came back, wrapping.
    count: AtomicUsize,
    /// `count` when the owner took the list last.
    count_taken: AtomicUsize,
}

/// The head of a list that takes no more blocks.
fn closed() -> *mut Header {
    ptr::dangling_mut()
}

impl Home {
    pub(super) fn new(list_bytes_max: usize, memory: Memory) -> Self {
        let returns = std::array::from_fn(|_| Returns {
            head: AtomicPtr::new(ptr::null_mut()),
            count: AtomicUsize::new(0),
            count_taken: AtomicUsize::new(0),
        });
        Self { returns, bytes_held: AtomicUsize::new(0), list_bytes_max, memory, pieces: None }
    }

    pub(super) fn set_pieces(&mut self, source: Box<dyn PieceSource>) {
        self.pieces = Some(source);
    }

    /// Where blocks come from first that fit.
    pub(super) fn pieces(&self) -> Option<&dyn PieceSource> {
        self.pieces.as_deref()
    }

    /// Where the memory of all its blocks comes from.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) fn count_allocated(&self, bytes: usize) {
        self.bytes_held.fetch_add(bytes, Relaxed);
    }

    pub(super) fn count_freed(&self, bytes: usize) {
        self.bytes_held.fetch_sub(bytes, Relaxed);
    }

    pub(super) fn bytes_held(&self) -> usize {
        self.bytes_held.load(Relaxed)
    }

    pub(super) fn blocks_returned(&self) -> usize {
        let counts = self.returns.iter().map(|returns| returns.count.load(Relaxed));
        counts.fold(0, usize::wrapping_add)
    }

    /// All blocks of `class` that came back since the last call.
    pub(super) fn take_returned(&self, class: usize) -> Chain {
        let returns = &self.returns[class];
        if returns.head.load(Relaxed).is_null() {
            return Chain::default();
        }
        returns.count_taken.store(returns.count.load(Relaxed), Relaxed);
        returns.take_and_leave(ptr::null_mut())
    }

    /// Frees the blocks that came back, as will be those that come from now on.
    pub(super) fn close(&self) {
        for returns in &self.returns {
            drop(returns.take_and_leave(closed()));
        }
    }

    /// Whether the block that is the `count`th to come back is one too many. Blocks that come
    /// back at the same moment may overlook each other.
    fn is_full(&self, header: &Header, count: usize) -> bool {
        if header.class >= CLASS_COUNT {
            return true;
        }
        // The owner may have taken the list, and this block's number with it, a moment ago.
        let taken = self.returns[header.class].count_taken.load(Relaxed);
        let waiting = count.wrapping_sub(taken).cast_signed().max(0).cast_unsigned();
        (waiting + 1).saturating_mul(header.capacity) > self.list_bytes_max
    }
}

impl Returns {
    /// Takes the list and puts `head` in its place. For the owner of the pool only, and no more
    /// after [`closed`] was left.
    fn take_and_leave(&self, head: *mut Header) -> Chain {
        let first = self.head.swap(head, Acquire);
        // SAFETY: the list was made by `push`, which takes blocks from their owners. The swap made
        // this the only pointer to it, and it reads what the last `push` released, which had read
        // what the one before released, and so on.
        unsafe { Chain::from_raw(first) }
    }
}

/// Gives a block to its pool, or its memory to the system when the pool has enough or is dead.
pub(super) fn give_back(block: ExclusiveBlock) {
    let header = block.header();
    let returns = &header.home.returns[header.class];
    let count = returns.count.fetch_add(1, Relaxed);
    if header.home.is_full(header, count) {
        return block.free();
    }
    let head: *const AtomicPtr<Header> = &raw const returns.head;
    // SAFETY: the home lives as long as `block`, which `push` owns up to the exchange that gives it
    // away; `push` looks at the head no more after that. (A reference to more than an atomic must
    // not be passed: it had to be good until `push` returns.)
    if let Err(block) = push(unsafe { &*head }, block) {
        block.free();
    }
}

/// Puts `block` at the head of a list; a closed list gives it back.
fn push(head: &AtomicPtr<Header>, block: ExclusiveBlock) -> Result<(), ExclusiveBlock> {
    let raw = block.into_raw();
    let mut first = head.load(Relaxed);
    while first != closed() {
        // SAFETY: the block is still this function's: nobody found it in the list yet.
        unsafe { raw.as_ref() }.next.store(first, Relaxed);
        // Release, for who takes the list: the link, and all that was done with the block.
        match head.compare_exchange_weak(first, raw.as_ptr(), Release, Relaxed) {
            Ok(_) => return Ok(()),
            Err(now) => first = now,
        }
    }
    // SAFETY: `raw` is the block from above, and it did not get into the list.
    Err(unsafe { ExclusiveBlock::from_raw(raw) })
}
