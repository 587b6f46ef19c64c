//! Connections below the protocols: flows of bytes in, queues of shared frames out.
//!
//! [`Streams`] is the seam. Everything above it is the same code on kernel sockets and on DPDK;
//! nothing below it knows of HTTP or WebSocket.
//!
//! [`TimerWheel`] keeps the deadlines of flows, whatever they run over.
#![forbid(unsafe_code)]

mod streams;
mod timer;

pub use streams::{
    Backlog, Event, Flow, FlowId, FlushState, Flushed, Place, ReadState, StreamCounters, Streams,
    Wake,
};
pub use timer::TimerWheel;
