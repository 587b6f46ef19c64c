//! Regions from the allocator, where nothing better is known.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

use super::{ArenaPages, LINE_BYTES};

#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to the region alone, and any thread may read, write and free it.
unsafe impl Send for Region {}

impl Region {
    /// Zeroed memory of `bytes`, which are not none.
    pub(super) fn map(bytes: usize, _pages: ArenaPages) -> io::Result<Self> {
        let layout = Layout::from_size_align(bytes, LINE_BYTES)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the layout is not empty, as the caller has it.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, layout })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.layout.size()
    }

    pub(super) fn is_reserved(&self) -> bool {
        false
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated by `map` with this layout, and nobody borrows it any more.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
