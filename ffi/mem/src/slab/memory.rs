//! Where the memory of blocks comes from: the allocator of the program, or a NUMA node.

use std::alloc::Layout;

#[cfg(all(feature = "numa", target_os = "linux"))]
use super::node::NodeMemory;
use super::sync::{alloc, dealloc};
use crate::numa::NodeError;

/// A source of memory, which any thread may give back.
pub(super) enum Memory {
    /// The allocator of the program.
    Heap,
    /// A node.
    #[cfg(all(feature = "numa", target_os = "linux"))]
    Node(NodeMemory),
}

impl Memory {
    #[cfg(all(feature = "numa", target_os = "linux"))]
    pub(super) fn of_node(node: usize) -> Result<Self, NodeError> {
        NodeMemory::new(node).map(Self::Node).map_err(NodeError::System)
    }

    #[cfg(not(all(feature = "numa", target_os = "linux")))]
    pub(super) fn of_node(_: usize) -> Result<Self, NodeError> {
        Err(NodeError::Unsupported)
    }

    /// Memory of this layout, or null when there is none.
    ///
    /// # Safety
    /// The size of the layout is not zero, and its alignment no more than a cache line.
    pub(super) unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self {
            // SAFETY: the caller says that the size is not zero.
            Self::Heap => unsafe { alloc(layout) },
            #[cfg(all(feature = "numa", target_os = "linux"))]
            Self::Node(node) => node.alloc(layout.size()),
        }
    }

    /// Takes memory back.
    ///
    /// # Safety
    /// `memory` came from `alloc` of the same source with the same layout, and nobody uses it from
    /// now on.
    pub(super) unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match self {
            // SAFETY: the caller's promises are the ones that the allocator asks for.
            Self::Heap => unsafe { dealloc(memory, layout) },
            #[cfg(all(feature = "numa", target_os = "linux"))]
            Self::Node(node) => node.dealloc(memory),
        }
    }
}
