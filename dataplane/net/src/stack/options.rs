//! What a worker's stack is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use super::link::Mac;
use super::table::HashKey;

/// Addresses of one port; at most [`PortOptions::ADDRESSES_MAX`].
#[derive(Clone, Debug)]
pub struct PortOptions {
    /// Addresses of the port, each with the prefix of its network.
    pub addresses: Vec<IpNet>,
    /// Routers to other networks, at most one of each version; each in a network of the port.
    pub gateways: Vec<IpAddr>,
    /// The VLAN that frames must be tagged with; `None` for untagged ones.
    pub vlan: Option<u16>,
    /// What all queues of the port know of its routers.
    pub routers: Arc<Routers>,
    /// Whether this queue is the one that speaks for the port: it announces its addresses and asks
    /// for its routers.
    pub speaks: bool,
}

impl PortOptions {
    /// As many as `smoltcp` is built for here.
    pub const ADDRESSES_MAX: usize = 8;
}

/// The hardware addresses of a port's routers, one for each version of IP, shared by its queues:
/// what one of them learns, all follow.
#[derive(Debug, Default)]
pub struct Routers {
    v4: AtomicU64,
    v6: AtomicU64,
}

/// Beside the 48 bits of an address: there is one.
const KNOWN: u64 = 1 << 48;

impl Routers {
    fn cell(&self, v6: bool) -> &AtomicU64 {
        if v6 { &self.v6 } else { &self.v4 }
    }

    /// Whether the router for a version of IP has been heard of.
    pub fn is_known(&self, v6: bool) -> bool {
        self.get(v6).is_some()
    }

    pub(crate) fn get(&self, v6: bool) -> Option<Mac> {
        let [_, mark, mac @ ..] = self.cell(v6).load(Ordering::Relaxed).to_be_bytes();
        (mark != 0).then_some(mac)
    }

    pub(crate) fn set(&self, v6: bool, mac: Mac) {
        let [a, b, c, d, e, f] = mac;
        let value = u64::from_be_bytes([0, 0, a, b, c, d, e, f]) | KNOWN;
        self.cell(v6).store(value, Ordering::Relaxed);
    }
}

/// What a worker does while nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Looks again at once, and takes a whole CPU.
    Busy,
    /// Looks so many times, and then sleeps in steps of this length at most: no longer than the
    /// receive rings of the ports last.
    Adaptive {
        /// Empty looks before it sleeps.
        spins: u32,
        /// The longest sleep.
        step: Duration,
    },
}

/// Whom a worker lets in; asked for every SYN, before anything is kept of it.
pub type Admit = Box<dyn FnMut(IpAddr) -> bool + Send>;

/// What a worker's stack is told.
pub struct StackOptions {
    /// Addresses to accept on; an unspecified one stands for all addresses of its version that the
    /// ports have.
    pub listen: Vec<SocketAddr>,
    /// Bytes that a flow can receive before they are read.
    pub receive_ring_bytes: usize,
    /// Bytes that a flow can have sent without an acknowledgement.
    pub send_ring_bytes: usize,
    /// Connections at a time, half-open ones included; `time_wait_max` comes on top.
    pub flows_max: usize,
    /// Connections that have not been acknowledged. Beyond it the oldest makes room.
    pub half_open_max: usize,
    /// Connections that are closed and remembered.
    pub time_wait_max: usize,
    /// Silence of a peer after which it is asked whether it is there (RFC 9293 section 3.8.4);
    /// after three times as long without an answer the connection is lost.
    pub keepalive: Option<Duration>,
    /// Sends small segments at once. Otherwise they wait for an acknowledgement (RFC 896).
    pub nodelay: bool,
    /// What to do while nothing comes.
    pub idle: Idle,
    /// A secret, from the system in production.
    pub seed: HashKey,
    /// Whether a client may connect, by its address.
    pub admit: Admit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_queue_learns_of_a_router_all_know() {
        let routers = Routers::default();
        assert_eq!(routers.get(false), None);
        routers.set(false, [0, 1, 2, 3, 4, 5]);
        assert_eq!((routers.get(false), routers.get(true)), (Some([0, 1, 2, 3, 4, 5]), None));
        routers.set(false, [0; 6]);
        assert_eq!(routers.get(false), Some([0; 6]), "an address like any other");
    }
}
