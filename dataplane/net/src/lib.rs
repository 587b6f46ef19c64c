//! Connections below the protocols: flows of bytes in, queues of shared frames out.
//!
//! [`Streams`] is the seam. Everything above it is the same code on kernel sockets and on DPDK;
//! nothing below it knows of HTTP or WebSocket.
//!
//! [`FramePort`] is the other seam, below TCP: bursts of Ethernet frames in and out. `DpdkPort`
//! (feature `dpdk`) is a queue pair of a real interface, [`MemoryPort`] one end of a wire in memory.
//!
//! [`listen`] binds the addresses and gives an [`Inlet`] to each worker, which makes its
//! [`KernelStreams`] of it: `Streams` over kernel sockets. [`TimerWheel`] keeps the deadlines of
//! flows, whatever they run over. Two `Streams` have no network below them: [`MemoryStreams`] for
//! tests and [`CountingStreams`] for benchmarks.
//!
//! Nothing here copies a byte on its way out or allocates per delivery, no call does unbounded
//! work, and no worker waits for another.
#![forbid(unsafe_code)]

mod counting;
#[cfg(feature = "dpdk")]
mod dpdk;
mod frame_port;
mod kernel;
mod memory;
mod queue;
mod slots;
mod stack;
mod streams;
mod timer;
mod wire;

pub use counting::{CountingPeers, CountingStreams};
#[cfg(feature = "dpdk")]
pub use dpdk::{DpdkFrame, DpdkPort, DpdkPortError};
pub use frame_port::{
    BURST_MAX, FramePort, PortCapabilities, PortCounters, PortFrame, RxChecksum, TxChecksum,
};
pub use kernel::{
    AcceptMode, Inlet, KernelOptions, KernelStreams, ListenError, ListenOptions, Listening,
    SocketOptions, listen,
};
pub use memory::MemoryStreams;
pub use stack::{
    Admit, DropReason, FlowLimit, Handover, HashKey, Idle, IdleStep, PortOptions, Routers,
    StackCounters, StackOptions, StackPort, StackStats, StackStreams, StackWaker,
};
pub use streams::{
    Backlog, BacklogMax, Event, Flow, FlowId, FlushState, Flushed, Held, Place, Polled, ReadState,
    StreamCounters, Streams, Wake,
};
pub use timer::TimerWheel;
pub use wire::{MemoryFrame, MemoryPort, WireOptions};
