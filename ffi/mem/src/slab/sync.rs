//! Atomics and the allocator: the real ones, or those of the model checker.

#[cfg(all(test, loom))]
pub(super) use loom::{
    alloc::{alloc, dealloc},
    sync::Arc,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, fence},
};

#[cfg(not(all(test, loom)))]
pub(super) use std::{
    alloc::{alloc, dealloc},
    sync::Arc,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, fence},
};

/// Tells the model checker who reads and writes the bytes of a block, which it cannot see; of no
/// size and effect otherwise.
pub(super) struct Access {
    #[cfg(all(test, loom))]
    cell: loom::cell::UnsafeCell<()>,
}

#[cfg(all(test, loom))]
impl Access {
    pub(super) fn new() -> Self {
        Self { cell: loom::cell::UnsafeCell::new(()) }
    }

    pub(super) fn read(&self) {
        self.cell.with(|_| ());
    }

    pub(super) fn write(&self) {
        self.cell.with_mut(|_| ());
    }
}

#[cfg(not(all(test, loom)))]
impl Access {
    pub(super) fn new() -> Self {
        Self {}
    }

    pub(super) fn read(&self) {}

    pub(super) fn write(&self) {}
}
