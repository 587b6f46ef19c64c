//! An allocator that counts, for tests of what allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static BYTES_FREED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // A constant without a destructor: to use it neither allocates nor fails.
    static THREAD: Cell<AllocationCounts> = const { Cell::new(AllocationCounts::ZERO) };
}

/// The system's allocator, counting.
///
/// ```
/// use hioload_mem::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let before = CountingAllocator::this_thread();
/// let boxed = Box::new([0_u8; 100]);
/// let counts = CountingAllocator::this_thread() - before;
/// assert_eq!((counts.calls, counts.bytes), (1, 100));
///
/// let in_use = CountingAllocator::bytes_in_use();
/// drop(boxed);
/// assert_eq!(CountingAllocator::bytes_in_use(), in_use - 100);
/// ```
pub struct CountingAllocator;

/// Allocations of a thread or of the process. One less an earlier one is what happened between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationCounts {
    /// Calls that allocated or reallocated.
    pub calls: u64,
    /// Bytes that they asked for; a reallocation counts with its new length.
    pub bytes: u64,
}

impl CountingAllocator {
    /// What the calling thread has allocated.
    pub fn this_thread() -> AllocationCounts {
        THREAD.get()
    }

    /// What all threads have allocated.
    pub fn all_threads() -> AllocationCounts {
        AllocationCounts { calls: CALLS.load(Relaxed), bytes: BYTES.load(Relaxed) }
    }

    /// Bytes that are allocated at this moment, by all threads, as they were asked for: what the
    /// allocator adds to each allocation is not in it.
    pub fn bytes_in_use() -> u64 {
        BYTES.load(Relaxed).wrapping_sub(BYTES_FREED.load(Relaxed))
    }
}

impl AllocationCounts {
    const ZERO: Self = Self { calls: 0, bytes: 0 };
}

impl Sub for AllocationCounts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { calls: self.calls - earlier.calls, bytes: self.bytes - earlier.bytes }
    }
}

fn count(bytes: usize) {
    let bytes = bytes as u64;
    CALLS.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes, Relaxed);
    let AllocationCounts { calls, bytes: thread_bytes } = THREAD.get();
    THREAD.set(AllocationCounts { calls: calls + 1, bytes: thread_bytes + bytes });
}

fn count_freed(bytes: usize) {
    BYTES_FREED.fetch_add(bytes as u64, Relaxed);
}

// SAFETY: every call is handed on to the system's allocator as it came; counting neither allocates
// nor panics (a u64 of bytes does not overflow).
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are the ones that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        count_freed(layout.size());
        // SAFETY: as above; `memory` came from `System`, since every allocation does.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count_freed(layout.size());
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}
