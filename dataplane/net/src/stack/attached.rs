//! A port with its addresses: what it says of itself, and how packets leave it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::Device;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv6Address};

use super::device::{IpDevice, Output};
use super::handover::Handover;
use super::link::{EtherType, Link, Tag};
use super::options::{PortOptions, RouterId};
use super::packet::Address;
use super::reply::Numbers;
use super::table::FlowKey;
use super::{StackPort, listener, neighbours, reply};
use crate::{FlowId, FramePort};

/// How often the port's routers are asked for.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// How often a switch is told of the port's groups when the link has come up, since it may miss one
/// (the robustness variable of RFC 3810 section 9.1).
const REPORTS: u8 = 2;

/// A port that the stack serves.
pub(crate) struct Attached<P: FramePort> {
    pub(crate) output: Output<P>,
    /// Carries the flows; knows no hardware addresses.
    pub(crate) ip: Interface,
    options: PortOptions,
    pub(crate) handover: Option<Handover<P::Frame>>,
    /// Those of the port, in their order.
    addresses: Vec<Address>,
    /// Those of IPv4 as numbers, with their places.
    addresses_v4: Vec<(u32, u8)>,
    nobody: SocketSet<'static>,
    /// Addresses and ports that are accepted on, by place in the port's addresses.
    listening: Vec<(u8, u16)>,
    link_ups: u64,
    /// Flows with something to send for which the interface has no room.
    pub(crate) stalled: VecDeque<FlowId>,
    /// How often the port's groups are still to be told of.
    reports: u8,
    probe_at: Instant,
}

impl<P: FramePort> Attached<P> {
    pub(crate) fn new(
        StackPort { port, options, handover }: StackPort<P>,
        listen: &[SocketAddr],
        now: Instant,
    ) -> Self {
        let mut output = Output::new(port, now);
        let ip = interface(&mut output, &options.addresses, 0);
        let listening = options.addresses.iter().zip(0..).flat_map(|(net, place)| {
            let here = move |at: &&SocketAddr| {
                at.ip() == net.addr()
                    || (at.ip().is_unspecified() && at.is_ipv4() == net.addr().is_ipv4())
            };
            listen.iter().filter(here).map(move |at| (place, at.port()))
        });
        let listening = listening.collect();
        let addresses = options.addresses.iter().map(|net| net.addr().into()).collect();
        let in_v4 = |(net, place): (&IpNet, u8)| match net.addr() {
            IpAddr::V4(address) => Some((address.to_bits(), place)),
            IpAddr::V6(_) => None,
        };
        let addresses_v4 = options.addresses.iter().zip(0..).filter_map(in_v4).collect();
        Self {
            output,
            ip,
            options,
            handover,
            addresses,
            addresses_v4,
            nobody: SocketSet::new(Vec::new()),
            listening,
            link_ups: 0,
            stalled: VecDeque::new(),
            reports: 0,
            probe_at: now,
        }
    }

    /// The VLAN of its frames.
    pub(crate) fn vlan(&self) -> Option<u16> {
        self.options.vlan
    }

    /// The place of an address among those of the port.
    #[inline]
    pub(crate) fn place(&self, address: Address) -> Option<u8> {
        let mut places = self.addresses.iter().zip(0..);
        places.find_map(|(own, place)| (*own == address).then_some(place))
    }

    /// The place of the one that a packet of IPv4 is for, unless it claims to be from one of them.
    #[inline]
    pub(crate) fn place_v4_between(&self, source: u32, destination: u32) -> Option<u8> {
        let mut found = None;
        for (own, place) in &self.addresses_v4 {
            if *own == source {
                return None;
            }
            if *own == destination {
                found = Some(*place);
            }
        }
        found
    }

    pub(crate) fn address(&self, place: u8) -> Option<IpAddr> {
        self.options.addresses.get(usize::from(place)).map(IpNet::addr)
    }

    pub(crate) fn is_listening(&self, place: u8, port: u16) -> bool {
        self.listening.contains(&(place, port))
    }

    /// An interface for the first segment of a connection, which takes its initial sequence number
    /// from `seed` (RFC 6528).
    pub(crate) fn interface(&mut self, seed: u64) -> Interface {
        interface(&mut self.output, &self.options.addresses, seed)
    }

    /// The router that a station's frames come through, where it is the one that we know.
    pub(crate) fn router_of(&self, peer: IpAddr, link: Link) -> Option<RouterId> {
        if self.options.addresses.iter().any(|net| net.contains(&peer)) {
            return None;
        }
        let router = self.options.routers.towards(peer)?;
        (self.options.routers.mac(router)? == link.mac()).then_some(router)
    }

    /// Sends what follows to `link`, or to whoever has taken the place of its router.
    #[inline]
    pub(crate) fn aim(&mut self, now: Instant, link: Link, router: Option<RouterId>) {
        self.output.now = now;
        self.output.link = self.way_to(link, router);
    }

    /// The same station, or whoever has taken the place of its router.
    #[inline]
    pub(crate) fn way_to(&self, link: Link, router: Option<RouterId>) -> Link {
        match router {
            Some(router) => self.link_through(router, link),
            None => link,
        }
    }

    #[inline(never)]
    fn link_through(&self, router: RouterId, link: Link) -> Link {
        self.options.routers.mac(router).map_or(link, |mac| link.with_mac(mac))
    }

    /// Answers a packet that belongs to no connection: an echo request, or a segment, which gets a
    /// reset.
    pub(crate) fn answer(&mut self, now: Instant, at: StackInstant, from: Link, packet: &[u8]) {
        self.output.now = now;
        self.output.link = from;
        let Self { output, ip, nobody, .. } = self;
        let mut device = IpDevice { output, packet: Some(packet) };
        ip.poll_ingress_single(at, &mut device, nobody);
    }

    /// Answers a segment of a connection with what we have sent and received: it asks for proof, or
    /// repeats itself.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        from: Link,
        key: &FlowKey,
        numbers: Numbers,
    ) {
        let Some(address) = self.address(key.address()) else { return };
        self.output.now = now;
        self.output.link = from;
        let own = (address, key.local_port()).into();
        reply::acknowledge(&mut self.output, own, key.remote(), numbers);
    }

    /// Takes in a packet that is an affair of the link: ARP, neighbour discovery, or a question for
    /// the groups that are listened to here.
    pub(crate) fn learn(&mut self, now: Instant, from: Link, ether_type: EtherType, packet: &[u8]) {
        let told = match ether_type {
            EtherType::Arp => neighbours::told_by_arp(packet),
            EtherType::Ipv6 | EtherType::Ipv4 => neighbours::told_by_ndisc(packet),
        };
        if let Some((address, mac)) = told {
            self.options.routers.learn(address, mac);
        }
        self.output.now = now;
        let Self { output, options: PortOptions { addresses, .. }, .. } = self;
        if ether_type == EtherType::Arp {
            neighbours::answer_arp(output, addresses, from, packet);
        } else {
            neighbours::answer_ndisc(output, addresses, from, packet);
            listener::answer(output, addresses, from, packet);
        }
    }

    /// Says which addresses are here when the link has come up, and asks for the routers now and
    /// then.
    pub(crate) fn speak(&mut self, now: Instant) {
        if !self.options.speaks {
            return;
        }
        let link_ups = self.output.port.link_ups();
        let is_up_again = std::mem::replace(&mut self.link_ups, link_ups) != link_ups;
        if is_up_again {
            self.reports = REPORTS;
        }
        if is_up_again || self.probe_at <= now {
            self.output.now = now;
            let Self { output, options, .. } = self;
            let tag = options.vlan.map(Tag::new);
            // First, since the answers to what is asked below come to these groups.
            if let Some(left) = self.reports.checked_sub(1) {
                self.reports = left;
                listener::announce(output, &options.addresses, tag);
            }
            if is_up_again {
                for net in &options.addresses {
                    neighbours::announce(output, net.addr(), tag);
                }
            }
            for router in options.routers.addresses() {
                if let Some(address) = address_towards(router, &options.addresses) {
                    neighbours::ask(output, address, router, tag);
                }
            }
            self.probe_at = now + PROBE_INTERVAL;
        }
    }
}

/// The address to ask a router from: one of its network, or for a link-local router any of IPv6,
/// since every link has that network.
fn address_towards(router: IpAddr, addresses: &[IpNet]) -> Option<IpAddr> {
    let is_of_link = matches!(router, IpAddr::V6(router) if router.is_unicast_link_local());
    let near = addresses.iter().find(|net| net.contains(&router));
    let any = || addresses.iter().find(|net| is_of_link && net.addr().is_ipv6());
    near.or_else(any).map(IpNet::addr)
}

/// An interface without Ethernet that answers from `addresses`.
fn interface<P: FramePort>(output: &mut Output<P>, addresses: &[IpNet], seed: u64) -> Interface {
    let mut device = IpDevice { output, packet: None };
    debug_assert!(device.capabilities().max_transmission_unit >= 576);
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut device, StackInstant::ZERO);
    set_addresses(&mut interface, addresses);
    // It refuses to send beyond its networks without a route. Which station a packet goes to is
    // decided by its flow, so any address will do.
    let routes = interface.routes_mut();
    // There is room for both: the table has more than two places.
    let _ = routes.add_default_ipv4_route(Ipv4Address::UNSPECIFIED);
    let _ = routes.add_default_ipv6_route(Ipv6Address::UNSPECIFIED);
    interface
}

fn set_addresses(interface: &mut Interface, addresses: &[IpNet]) {
    interface.update_ip_addrs(|list| {
        for net in addresses.iter().take(PortOptions::ADDRESSES_MAX) {
            // There is room, as `take` sees to.
            let _ = list.push(IpCidr::new(IpAddress::from(net.addr()), net.prefix_len()));
        }
    });
}
