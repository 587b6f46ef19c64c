//! Memory of one kind, in few and large pages.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

#[cfg(target_os = "linux")]
#[path = "arena/linux.rs"]
mod region;
#[cfg(not(target_os = "linux"))]
#[path = "arena/heap.rs"]
mod region;

use region::Region;

/// Bytes of a region: what is taken from the system at once.
const REGION_BYTES: usize = 16 << 20;
/// What is handed out begins on a cache line of its own.
const LINE_BYTES: usize = 64;

/// Which pages an [`Arena`] lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArenaPages {
    /// Ordinary ones, which Linux is asked to join to huge pages (`madvise(2)`).
    #[default]
    Transparent,
    /// Those that are reserved as huge pages (`vm.nr_hugepages`), as long as there are some; then
    /// as `Transparent`.
    Reserved,
}

/// Hands out pieces of zeroed memory, which live as long as the arena does.
///
/// Memory comes from the system in regions of 16 MiB and goes back when the arena is dropped.
/// Pieces are not given back one by one: whoever is done with one keeps it for the next use.
#[derive(Debug)]
pub struct Arena {
    pages: ArenaPages,
    regions: RefCell<Vec<Region>>,
    /// Bytes of the last region that are handed out.
    used: Cell<usize>,
    handed_out: Cell<usize>,
    /// Pieces are written through shared references of the arena by one thread at a time.
    not_sync: PhantomData<Cell<u8>>,
}

impl Arena {
    /// An arena without memory.
    pub fn new(pages: ArenaPages) -> Self {
        Self {
            pages,
            regions: RefCell::new(Vec::new()),
            used: Cell::new(0),
            handed_out: Cell::new(0),
            not_sync: PhantomData,
        }
    }

    /// A piece of `len` zero bytes that nobody else has, at the start of a cache line.
    ///
    /// # Errors
    /// When the system has no memory.
    #[expect(clippy::mut_from_ref, reason = "each piece is handed out once")]
    pub fn take(&self, len: usize) -> io::Result<&mut [u8]> {
        let mut regions = self.regions.borrow_mut();
        let rounded = len.checked_next_multiple_of(LINE_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
        let fits = regions.last().is_some_and(|region| rounded <= region.len() - self.used.get());
        if !fits {
            let bytes = rounded.max(1).checked_next_multiple_of(REGION_BYTES);
            regions.push(Region::map(bytes.ok_or(io::ErrorKind::OutOfMemory)?, self.pages)?);
            self.used.set(0);
        }
        let start = regions.last().map_or(NonNull::dangling(), Region::start);
        let offset = self.used.replace(self.used.get() + rounded);
        self.handed_out.set(self.handed_out.get() + rounded);
        // SAFETY: `offset` and `rounded` bytes behind it lie within the region, as was seen to above.
        let piece = unsafe { start.add(offset) };
        // SAFETY: the bytes are mapped and zero. `used` has moved beyond them and never goes back
        // within a region, so no other piece overlaps this one. Regions are unmapped by the drop of
        // the arena alone, which the piece borrows.
        Ok(unsafe { slice::from_raw_parts_mut(piece.as_ptr(), len) })
    }

    /// Bytes handed out.
    pub fn bytes_used(&self) -> usize {
        self.handed_out.get()
    }

    /// Bytes taken from the system.
    pub fn bytes_mapped(&self) -> usize {
        self.regions.borrow().iter().map(Region::len).sum()
    }

    /// Bytes of these that lie in reserved huge pages.
    pub fn bytes_reserved(&self) -> usize {
        let regions = self.regions.borrow();
        regions.iter().filter(|region| region.is_reserved()).map(Region::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_zero_and_apart_and_begin_on_a_cache_line() {
        let arena = Arena::new(ArenaPages::Reserved);
        let pieces: Vec<&mut [u8]> =
            [1, 64, 65, 4096].map(|len| arena.take(len).expect("memory")).into();
        for (number, piece) in pieces.into_iter().enumerate() {
            assert!(piece.iter().all(|byte| *byte == 0), "piece {number}");
            assert_eq!(piece.as_ptr().addr() % LINE_BYTES, 0);
            piece.fill(0xff);
        }
        assert_eq!(arena.bytes_used(), 64 + 64 + 128 + 4096);
    }

    #[test]
    fn what_does_not_fit_into_a_region_gets_one_that_is_large_enough() {
        let arena = Arena::new(ArenaPages::Transparent);
        assert_eq!(arena.take(10).expect("memory").len(), 10);
        let large = arena.take(REGION_BYTES + 1).expect("memory");
        large[REGION_BYTES] = 1;
        assert_eq!(arena.bytes_mapped(), 3 * REGION_BYTES);
        assert_eq!(arena.bytes_reserved(), 0);
    }

    #[test]
    fn a_length_that_no_memory_has_is_an_error() {
        assert!(Arena::new(ArenaPages::Transparent).take(usize::MAX).is_err());
    }
}
