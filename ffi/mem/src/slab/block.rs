//! A block: a header of one cache line and behind it the bytes; its owner, and lists of blocks.

use std::alloc::{Layout, handle_alloc_error};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::Relaxed;

use super::IN_PIECES;
use super::returns::{Home, give_back};
use super::sync::{Access, Arc, AtomicPtr, AtomicU32};

/// What lies in front of the bytes of each block.
///
/// Whoever has a pointer to one has it from [`ExclusiveBlock::allocate`] or
/// [`in_piece`](ExclusiveBlock::in_piece): it covers the header and `capacity` bytes behind it, and
/// is good until [`ExclusiveBlock::free`].
#[repr(C, align(64))]
pub(super) struct Header {
    /// Shared handles of the block; of no meaning unless there are some.
    pub(super) references: AtomicU32,
    pub(super) access: Access,
    pub(super) class: usize,
    pub(super) capacity: usize,
    /// The next block of the list that this one is in.
    pub(super) next: AtomicPtr<Header>,
    pub(super) home: Arc<Home>,
}

#[cfg(not(all(test, loom)))]
const _: () = assert!(size_of::<Header>() == 64);

impl Header {
    /// Where the bytes start.
    pub(super) fn bytes(header: NonNull<Self>) -> NonNull<u8> {
        // The bytes, of which there may be none, follow at once: the header's size is a multiple
        // of its alignment. `wrapping_add` as this asks for no proof that there are some.
        let bytes = header.as_ptr().wrapping_add(1).cast();
        // SAFETY: there is memory for a header at that place, so its end is not null.
        unsafe { NonNull::new_unchecked(bytes) }
    }

    fn layout(capacity: usize) -> Layout {
        let bytes = capacity.checked_add(size_of::<Self>());
        bytes
            .and_then(|bytes| Layout::from_size_align(bytes, align_of::<Self>()).ok())
            .expect("a block that the address space can hold")
    }
}

/// A block that nobody else refers to and that is in no list. Dropping it gives it back to the
/// pool.
pub(super) struct ExclusiveBlock(NonNull<Header>);

// SAFETY: a block belongs to its owner alone, and what is reached from it (`Home`) is made of
// atomics, constants and memory that any thread may give back.
unsafe impl Send for ExclusiveBlock {}
// SAFETY: a shared reference to the owner only reads.
unsafe impl Sync for ExclusiveBlock {}

impl ExclusiveBlock {
    /// A new block with `capacity` bytes that nobody has written yet.
    pub(super) fn allocate(home: &Arc<Home>, class: usize, capacity: usize) -> Self {
        let layout = Header::layout(capacity);
        // SAFETY: the layout has the size of a header at least, which is not zero, and its
        // alignment.
        let memory = unsafe { home.memory().alloc(layout) }.cast::<Header>();
        let Some(block) = NonNull::new(memory) else { handle_alloc_error(layout) };
        // SAFETY: fresh memory of this layout.
        unsafe { Self::build(block, home, class, capacity) }
    }

    /// A new block in a piece of the home's source, where it has one that holds `bytes`. Nobody has
    /// written any yet.
    pub(super) fn in_piece(home: &Arc<Home>, bytes: usize) -> Option<Self> {
        let source = home.pieces()?;
        let capacity = source.piece_bytes().checked_sub(size_of::<Header>())?;
        if bytes > capacity {
            return None;
        }
        let piece = source.take()?.cast::<Header>();
        // SAFETY: the piece is as long as a header and `capacity` bytes, starts at a cache line,
        // and is nobody else's (`PieceSource`).
        Some(unsafe { Self::build(piece, home, IN_PIECES, capacity) })
    }

    /// Makes a block of memory.
    ///
    /// # Safety
    /// The memory is nobody else's, and has the layout of a block of this capacity.
    unsafe fn build(
        block: NonNull<Header>,
        home: &Arc<Home>,
        class: usize,
        capacity: usize,
    ) -> Self {
        home.count_allocated(Header::layout(capacity).size());
        let header = Header {
            references: AtomicU32::new(0),
            access: Access::new(),
            class,
            capacity,
            next: AtomicPtr::new(ptr::null_mut()),
            home: Arc::clone(home),
        };
        // SAFETY: the caller's promise: memory of the size and alignment of a header and more.
        unsafe { block.write(header) };
        Self(block)
    }

    /// Gives the memory to where it came from.
    pub(super) fn free(self) {
        let layout = Header::layout(self.header().capacity);
        let block = self.into_raw();
        // SAFETY: `self` was the only owner, and `build` had initialized the header, which is
        // moved out here and not used in its place again.
        let Header { home, class, .. } = unsafe { block.read() };
        home.count_freed(layout.size());
        match home.pieces() {
            // SAFETY: only `in_piece` makes blocks of this class, in pieces of this home's source,
            // which is never another one.
            Some(source) if class == IN_PIECES => unsafe { source.give_back(block.cast()) },
            // SAFETY: `allocate` got the memory of this home, with the layout of this capacity.
            _ => unsafe { home.memory().dealloc(block.as_ptr().cast(), layout) },
        }
        // With the last block of a dead pool this frees the home as well.
        drop(home);
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the header is initialized and lives as long as the block has an owner; nobody
        // has a mutable reference to a header.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn bytes(&self) -> NonNull<u8> {
        Header::bytes(self.0)
    }

    /// The block without its owner, to be put into a list or shared.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        let block = self.0;
        mem::forget(self);
        block
    }

    /// The owner of a block.
    ///
    /// # Safety
    /// `block` came from [`into_raw`](Self::into_raw), and the caller is the only one left who
    /// refers to it, with all that others did to it visible to this thread.
    pub(super) unsafe fn from_raw(block: NonNull<Header>) -> Self {
        Self(block)
    }
}

impl Drop for ExclusiveBlock {
    fn drop(&mut self) {
        // SAFETY: the pointer is of a block that `self` alone owned, and `self` is no more.
        give_back(unsafe { Self::from_raw(self.0) });
    }
}

/// Owns the blocks of a list that are linked by their headers.
#[derive(Default)]
pub(super) struct Chain(Option<NonNull<Header>>);

// SAFETY: a chain owns its blocks, which may be sent.
unsafe impl Send for Chain {}

impl Chain {
    /// A list that starts at `first`, or none when it is null.
    ///
    /// # Safety
    /// The blocks from `first` on came from [`ExclusiveBlock::into_raw`], linked by `next` up to a
    /// null pointer. The caller is the only one to refer to them, and sees what others did.
    pub(super) unsafe fn from_raw(first: *mut Header) -> Self {
        Self(NonNull::new(first))
    }

    pub(super) fn pop(&mut self) -> Option<ExclusiveBlock> {
        let first = self.0?;
        // SAFETY: the blocks of a chain are owned by nobody else (`from_raw`), and this one leaves
        // the chain two lines below.
        let block = unsafe { ExclusiveBlock::from_raw(first) };
        self.0 = NonNull::new(block.header().next.load(Relaxed));
        Some(block)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        while let Some(block) = self.pop() {
            block.free();
        }
    }
}
