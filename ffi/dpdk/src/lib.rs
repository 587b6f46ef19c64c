//! DPDK, with its lifetimes as ownership: no caller can break what the `SAFETY` comments rely on.
//!
//! [`Eal`] is the environment, once per process. [`Mempool`] makes [`Mbuf`]s; [`Port`] is a network
//! interface, and starting it gives its [`RxQueue`]s and [`TxQueue`]s, which move [`Burst`]s of
//! mbufs. [`Eal::launch`] runs a closure on an lcore. [`sysfs`] looks at the host without
//! any of this, and says what keeps DPDK from running on it.
//!
//! Who keeps what alive:
//! - Pools, ports, queues and handles of lcores hold the EAL; queues hold their port and the pool
//!   that fills them. The last one to go stops, closes, frees.
//! - An mbuf holds nothing, since counting references per frame would cost more than the frame.
//!   Instead every thread counts what it makes and drops, and memory that any mbuf may lie in is
//!   given back only once there is none, no port is open and no pool can make another. Where that
//!   is never so, the memory stays until the process ends.
#![deny(unsafe_op_in_unsafe_fn)]

mod burst;
mod eal;
mod errno;
mod lcore;
mod live;
mod mbuf;
mod mempool;
mod port;
mod queue;
pub mod sysfs;

pub use burst::{BURST_MAX, Burst};
pub use eal::{Eal, EalError, EalOptions, Lcores, LogLevel, Memory};
pub use errno::Errno;
pub use lcore::{LaunchError, LcoreHandle, LcoreId, current_lcore};
pub use mbuf::{Checksum, Mbuf, SharedMbuf, TxChecksums};
pub use mempool::{Mempool, MempoolError, MempoolOptions};
pub use port::{
    Granted, LinkState, Offloads, Port, PortError, PortLimits, PortOptions, PortProblem, PortStats,
    Started, StartedPort, ring_pair,
};
pub use queue::{RxQueue, Sent, TxQueue};

/// Cycles of the time stamp counter.
pub fn rdtsc() -> u64 {
    // SAFETY: reads a register of the processor.
    unsafe { dpdk_sys::shim_rdtsc() }
}
