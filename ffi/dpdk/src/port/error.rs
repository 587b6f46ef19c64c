//! What goes wrong with ports.

use std::io;

use crate::errno::Errno;

/// What went wrong, and with which port.
#[derive(Debug, thiserror::Error)]
#[error("port {port}: {problem}")]
pub struct PortError {
    /// The port's name.
    pub port: String,
    /// What went wrong.
    #[source]
    pub problem: PortProblem,
}

/// What can go wrong with a port.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortProblem {
    /// DPDK has no port of that name.
    #[error(
        "DPDK has no such port; it has {found:?}. Name a virtual device as in its argument, or the \
         PCI address of a device that is bound to vfio-pci"
    )]
    NotFound {
        /// The names of those that it has.
        found: Vec<String>,
    },
    /// Somebody in this process has it.
    #[error("it is in use in this process")]
    InUse,
    /// It cannot be stopped while queues and other handles exist.
    #[error("it cannot be stopped while there are other handles and queues of it")]
    StillInUse,
    /// More queue pairs than it has, or none.
    #[error("{asked} queue pairs; it has 1 to {max}")]
    QueuePairs {
        /// As many were asked for.
        asked: usize,
        /// As many there are.
        max: u16,
    },
    /// A size that it cannot carry.
    #[error("an MTU of {asked}; it carries {min} to {max}")]
    Mtu {
        /// The size that was asked for.
        asked: u16,
        /// The smallest.
        min: u16,
        /// The largest.
        max: u16,
    },
    /// A frame of the MTU does not fit into the mbufs of a receive queue.
    #[error(
        "a frame of {frame_bytes} bytes (MTU {mtu}) does not fit into the {data_bytes} of an mbuf of mempool {pool:?}"
    )]
    PoolTooSmall {
        /// The pool's name.
        pool: String,
        /// Bytes that its mbufs hold.
        data_bytes: u16,
        /// The MTU.
        mtu: u16,
        /// Bytes of the longest frame.
        frame_bytes: u32,
    },
    /// The system gave no random key for RSS.
    #[error("no random numbers for the RSS key: {0}")]
    Random(io::Error),
    /// DPDK or the driver says no.
    #[error("{call}: {errno}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// Its reason.
        errno: Errno,
    },
}
