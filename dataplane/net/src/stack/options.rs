//! What a worker's stack is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use super::flow_limit::FlowLimit;
use super::idle::IdleStep;
use super::link::Mac;
use super::table::HashKey;

/// Addresses of one port; at most [`PortOptions::ADDRESSES_MAX`].
#[derive(Clone, Debug)]
pub struct PortOptions {
    /// Addresses of the port, each with the prefix of its network.
    pub addresses: Vec<IpNet>,
    /// The VLAN that frames must be tagged with; `None` for untagged ones.
    pub vlan: Option<u16>,
    /// The ways to other networks, shared by all queues of the port.
    pub routers: Arc<Routers>,
    /// Whether this queue is the one that speaks for the port: it announces its addresses and asks
    /// for its routers.
    pub speaks: bool,
}

impl PortOptions {
    /// As many as `smoltcp` is built for here.
    pub const ADDRESSES_MAX: usize = 8;
}

/// A port's routers, and what is known of their hardware addresses: what one of its queues learns,
/// all follow.
///
/// Answers go back to the station that a client's frames came from, so there is no need to know a
/// router before. It is what lets the flows of all clients behind one follow at once when another
/// machine takes its place, though they have nothing to say.
#[derive(Debug, Default)]
pub struct Routers {
    routers: Vec<Router>,
    /// Longest prefix first.
    routes: Vec<(IpNet, RouterId)>,
}

#[derive(Debug)]
struct Router {
    address: IpAddr,
    /// Its hardware address, and [`KNOWN`].
    mac: AtomicU64,
}

/// A router of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouterId(u8);

/// Beside the 48 bits of an address: there is one.
const KNOWN: u64 = 1 << 48;

impl Routers {
    /// The routers of these routes: a network, and the router by which it is reached. A network of
    /// no bits is all the rest. At most 256 routers; further ones are left out.
    pub fn new(routes: &[(IpNet, IpAddr)]) -> Self {
        let mut routers: Vec<Router> = Vec::new();
        let mut known = Vec::new();
        for (network, address) in routes {
            let place = routers.iter().position(|router| router.address == *address);
            let place = place.unwrap_or(routers.len());
            let Ok(id) = u8::try_from(place) else { continue };
            if place == routers.len() {
                routers.push(Router { address: *address, mac: AtomicU64::new(0) });
            }
            known.push((*network, RouterId(id)));
        }
        known.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Self { routers, routes: known }
    }

    /// Whether the hardware address of the router at `address` has been heard of.
    pub fn is_known(&self, address: IpAddr) -> bool {
        let mut routers = self.routers.iter();
        routers.any(|router| router.address == address && router.mac().is_some())
    }

    /// Addresses of all routers.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.routers.iter().map(|router| router.address)
    }

    /// The router by which `peer` is reached, if any.
    pub(crate) fn towards(&self, peer: IpAddr) -> Option<RouterId> {
        let mut routes = self.routes.iter();
        routes.find_map(|(network, id)| network.contains(&peer).then_some(*id))
    }

    /// The hardware address of a router, as far as is known.
    pub(crate) fn mac(&self, id: RouterId) -> Option<Mac> {
        self.routers.get(usize::from(id.0))?.mac()
    }

    /// Takes in who has an address, where it is a router's.
    pub(crate) fn learn(&self, address: IpAddr, mac: Mac) {
        let [a, b, c, d, e, f] = mac;
        let value = u64::from_be_bytes([0, 0, a, b, c, d, e, f]) | KNOWN;
        for router in self.routers.iter().filter(|router| router.address == address) {
            router.mac.store(value, Ordering::Relaxed);
        }
    }
}

impl Router {
    fn mac(&self) -> Option<Mac> {
        let [_, mark, mac @ ..] = self.mac.load(Ordering::Relaxed).to_be_bytes();
        (mark != 0).then_some(mac)
    }
}

/// What a worker does while nothing comes.
#[derive(Clone, Debug)]
pub enum Idle {
    /// Looks again at once, and takes a whole CPU.
    Busy,
    /// Looks so many times, and then sleeps in steps of this length at most: no longer than the
    /// receive rings of the ports last.
    Adaptive {
        /// Empty looks before it sleeps.
        spins: u32,
        /// The longest sleep.
        step: IdleStep,
    },
}

/// Whom a worker lets in while it is crowded: when half of `half_open_max` or three quarters of
/// `flows_max` or `flows_in_all` are reached. Asked for every SYN then, before anything is kept of it.
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
    /// Connections of this worker at a time, half-open ones included: as many as there is memory
    /// for. `time_wait_max` comes on top.
    pub flows_max: usize,
    /// Connections of all workers that have the same one.
    pub flows_in_all: Arc<FlowLimit>,
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
    fn the_longest_prefix_says_which_router_it_is() {
        let near: IpAddr = "192.0.2.2".parse().unwrap();
        let rest: IpAddr = "192.0.2.3".parse().unwrap();
        let routers = Routers::new(&[
            ("0.0.0.0/0".parse().unwrap(), rest),
            ("198.51.100.0/24".parse().unwrap(), near),
        ]);
        let mac_towards = |peer: &str| routers.mac(routers.towards(peer.parse().unwrap())?);
        assert_eq!(mac_towards("198.51.100.7"), None, "nobody has told");
        routers.learn(near, [0; 6]);
        routers.learn(rest, [0, 1, 2, 3, 4, 5]);
        assert_eq!(mac_towards("198.51.100.7"), Some([0; 6]), "an address like any other");
        assert_eq!(mac_towards("203.0.113.7"), Some([0, 1, 2, 3, 4, 5]));
        assert_eq!(mac_towards("2001:db8::7"), None);
        assert!(routers.is_known(near) && !routers.is_known("192.0.2.4".parse().unwrap()));
    }
}
