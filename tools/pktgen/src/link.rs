//! What carries the packets of a run, as the flags say it.

use std::net::Ipv4Addr;
use std::time::Duration;

use hioload_net::WireOptions;
use ipnet::Ipv4Net;

use crate::packet::AckPolicy;

#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// Sockets of the operating system.
    Kernel,
    /// A port that is all ours, and a TCP of our own above it.
    Packets(Packets),
}

#[derive(Clone, Debug)]
pub(crate) struct Packets {
    pub(crate) carrier: Carrier,
    /// The addresses of the clients.
    pub(crate) clients: Ipv4Net,
    /// The address that they sit behind, if they are not on the link themselves.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// The router that the server is reached by, if it is not on the link itself.
    pub(crate) via: Option<Ipv4Addr>,
    pub(crate) acks: AckPolicy,
}

#[derive(Clone, Debug)]
pub(crate) enum Carrier {
    /// A wire in memory, with a server in this process at its other end.
    Ring {
        wire: WireOptions,
        /// How long the server waits for a request.
        handshake_timeout: Duration,
    },
    /// A port that DPDK drives.
    #[cfg(feature = "dpdk")]
    Dpdk(DpdkPort),
}

/// A port, and the environment that it takes.
#[cfg(feature = "dpdk")]
#[derive(Clone, Debug)]
pub(crate) struct DpdkPort {
    pub(crate) device: Device,
    /// The CPU of the lcore; the last one that this process may use if `None`.
    pub(crate) cpu: Option<usize>,
    pub(crate) memory_mib: u32,
    pub(crate) huge_pages: bool,
    pub(crate) file_prefix: String,
    pub(crate) eal_args: Vec<String>,
    pub(crate) mtu: u16,
    pub(crate) descriptors: u16,
}

#[cfg(feature = "dpdk")]
#[derive(Clone, Debug)]
pub(crate) enum Device {
    Pci(String),
    Vdev(String),
}

impl Link {
    /// As reports call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Packets(Packets { carrier: Carrier::Ring { .. }, .. }) => "ring",
            #[cfg(feature = "dpdk")]
            Self::Packets(Packets { carrier: Carrier::Dpdk(_), .. }) => "dpdk",
        }
    }

    pub(crate) fn is_kernel(&self) -> bool {
        matches!(self, Self::Kernel)
    }
}
