//! What carries the connections of a story.

use std::net::{IpAddr, Ipv4Addr};

#[cfg(feature = "dpdk")]
use crate::dpdk::wire::{self, Wire};

/// What carries the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Sockets of the kernel over loopback.
    Kernel,
    /// A port of DPDK at the other end of a wire, in a network namespace of this test.
    #[cfg(feature = "dpdk")]
    Dpdk(Wire),
}

impl Backend {
    /// A configuration that serves where clients of this test find it, and says what `toml` says.
    pub(crate) fn configuration(self, toml: &str) -> String {
        match self {
            Self::Kernel => format!("server.listen = \"127.0.0.1:0\"\n{toml}"),
            #[cfg(feature = "dpdk")]
            Self::Dpdk(wire) => wire.configuration(toml),
        }
    }

    /// Makes the way from the clients to a server that has started.
    pub(crate) fn connect(self) {
        match self {
            Self::Kernel => {}
            #[cfg(feature = "dpdk")]
            Self::Dpdk(wire) => wire.connect(),
        }
    }

    /// Prepares this thread, which runs clients, for a server in the same process.
    pub(crate) fn share_process(self) {
        match self {
            Self::Kernel => {}
            #[cfg(feature = "dpdk")]
            Self::Dpdk(_) => wire::leave_signals_to_others(),
        }
    }

    /// Where clients come from that choose no address.
    pub(crate) fn client(self) -> IpAddr {
        match self {
            Self::Kernel => Ipv4Addr::LOCALHOST.into(),
            #[cfg(feature = "dpdk")]
            Self::Dpdk(_) => wire::CLIENT.into(),
        }
    }

    /// Bytes that are surely more than the transport takes for a client that does not read: what
    /// the buffers of both ends hold.
    pub(crate) fn unread_bytes(self) -> usize {
        match self {
            // A receive buffer that has grown, though nobody reads.
            Self::Kernel => 3 << 19,
            // The window that the kernel's clients begin with, and a send ring of 64 KiB.
            #[cfg(feature = "dpdk")]
            Self::Dpdk(_) => 1 << 19,
        }
    }

    /// Another host that clients can come from, as far as the server can see.
    pub(crate) fn other_host(self, number: u8) -> IpAddr {
        match self {
            Self::Kernel => Ipv4Addr::new(127, 0, 7, number).into(),
            #[cfg(feature = "dpdk")]
            Self::Dpdk(_) => wire::other_host(number).into(),
        }
    }
}

/// Makes a test of each named story for each back-end.
macro_rules! on_every_backend {
    ($($story:ident),+ $(,)?) => {
        mod kernel {
            $(
                #[test]
                fn $story() {
                    super::$story(crate::Backend::Kernel);
                }
            )+
        }

        #[cfg(feature = "dpdk")]
        mod dpdk {
            $(
                #[test]
                fn $story() {
                    super::$story(crate::Backend::Dpdk(crate::dpdk::wire::Wire::Tap));
                }
            )+
        }
    };
}

/// Makes a test of each named story that says nothing about other back-ends. Say why beside it.
macro_rules! on_the_kernel_alone {
    ($($story:ident),+ $(,)?) => {
        mod kernel_alone {
            $(
                #[test]
                fn $story() {
                    super::$story(crate::Backend::Kernel);
                }
            )+
        }
    };
}

pub(crate) use on_every_backend;
pub(crate) use on_the_kernel_alone;
