//! Regions of pages mapped by the kernel.

use std::io;
use std::ptr::{self, NonNull};

use libc::{
    MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_HUGETLB, MAP_PRIVATE, PROT_READ, PROT_WRITE,
    c_int, madvise, mmap, munmap,
};

use super::ArenaPages;

#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<u8>,
    bytes: usize,
    reserved: bool,
}

// SAFETY: the pages belong to the region alone, and any thread may read, write and unmap them.
unsafe impl Send for Region {}

impl Region {
    /// Zeroed pages for `bytes`, a multiple of the size of a huge page.
    pub(super) fn map(bytes: usize, pages: ArenaPages) -> io::Result<Self> {
        if pages == ArenaPages::Reserved
            && let Ok(start) = map(bytes, MAP_HUGETLB)
        {
            return Ok(Self { start, bytes, reserved: true });
        }
        let region = Self { start: map(bytes, 0)?, bytes, reserved: false };
        // SAFETY: advice about pages of our own. Where the kernel has no huge pages it says so,
        // and they stay as they are.
        let _ = unsafe { madvise(region.start.as_ptr().cast(), bytes, MADV_HUGEPAGE) };
        Ok(region)
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.reserved
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range is one mapping of this region, which nobody borrows any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Without `MAP_NORESERVE`, so that missing huge pages are an error here and no signal later.
fn map(bytes: usize, flags: c_int) -> io::Result<NonNull<u8>> {
    let (access, kind) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags);
    // SAFETY: new memory at a place that the kernel chooses, which touches none that there is.
    let start = unsafe { mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
    if start == MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
