//! What hioload needs of unsafe code on every platform.
//!
//! - [`unmask`]: the XOR of WebSocket masking, with the vectors that the processor has.
//! - [`slab`]: pooled, reference-counted blocks of memory that any thread may give back.
//! - [`prefetch`]: has the processor fetch what is needed soon.
//! - [`affinity`]: keeps a thread on one CPU.
//! - [`numa`]: which node a CPU is on, and memory of a node.
//! - [`Arena`]: pieces of memory in huge pages.
//! - [`CountingAllocator`]: tells tests what was allocated.
//!
//! Its functions and types are safe to use: no caller can break what the `SAFETY` comments rely on.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod affinity;
mod arena;
mod counting;
pub mod numa;
mod prefetch;
pub mod slab;
mod unmask;

pub use arena::{Arena, ArenaPages};
pub use counting::{AllocationCounts, CountingAllocator};
pub use prefetch::{Place, prefetch, prefetch_all};
pub use unmask::{unmask, unmask_portable};
