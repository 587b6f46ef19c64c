//! The rules between keys of `[dpdk]`, of its ports, and of the rest.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{CPUS, LISTEN, Relation, WORKERS};
use crate::schema::{Key, PORTS, key, port_key};
use crate::{
    Config, Cpus, Datapath, Device, LCORES_MAX, Lcores, ListenAddress, Memory, Port, SessionsMax,
};

const DATAPATH: Key = key("server", "datapath");
const SESSIONS_MAX: Key = key("limits", "sessions_max");
const MEMORY: Key = key("dpdk", "memory");
const HUGE_PAGES: Key = key("dpdk", "huge_pages");
const FLOWS_MAX: Key = key("dpdk", "flows_max");

/// IPv6 needs links that carry as much (RFC 8200, section 5).
const IPV6_MTU_MIN: u16 = 1280;

/// The rules of this kind that `config` breaks.
pub(super) fn relations(config: &Config) -> Vec<Relation> {
    let one = [
        dpdk_has_a_port,
        memory_without_huge_pages_is_one,
        lcores_are_bounded,
        workers_are_lcores,
        cpus_are_lcores,
        clients_come_to_a_port,
        flows_hold_the_sessions,
    ];
    let of_one_port = [
        port_has_addresses,
        mtu_carries_ipv6,
        gateways_are_near,
        routes_are_near,
        xdp_rings_are_powers_of_two,
    ];
    let ports = || config.dpdk.ports.iter().enumerate();
    let mut broken: Vec<_> = one.into_iter().filter_map(|rule| rule(config)).collect();
    for (index, port) in ports() {
        broken.extend(of_one_port.into_iter().filter_map(|rule| rule(index, port)));
        let earlier = &config.dpdk.ports[..index];
        broken.extend(device_is_new(index, port, earlier));
        broken.extend(addresses_are_new(index, port, earlier));
    }
    broken
}

fn dpdk_has_a_port(config: &Config) -> Option<Relation> {
    let is_missing = config.server.datapath == Datapath::Dpdk && config.dpdk.ports.is_empty();
    is_missing.then(|| Relation {
        keys: vec![DATAPATH, PORTS.key],
        message: "expected a port that DPDK serves on: add [[dpdk.port]] with pci or vdev, and \
                  addresses, or set \"auto\" or \"kernel\" for kernel sockets, got \"dpdk\" \
                  without a port"
            .to_owned(),
    })
}

/// EAL takes memory of each node only where it is in huge pages.
fn memory_without_huge_pages_is_one(config: &Config) -> Option<Relation> {
    let Memory::Nodes(nodes) = &config.dpdk.memory else {
        return None;
    };
    (!config.dpdk.huge_pages).then(|| Relation {
        keys: vec![MEMORY, HUGE_PAGES],
        message: format!(
            "expected \"auto\" or one size, since memory is taken of each NUMA node only with \
             {HUGE_PAGES}, got a list of {}",
            nodes.len()
        ),
    })
}

/// The keys of the lcores of all ports.
fn lcore_keys(config: &Config) -> impl Iterator<Item = Key> {
    (0..config.dpdk.ports.len()).map(|index| port_key(index, "lcores"))
}

fn lcores_are_bounded(config: &Config) -> Option<Relation> {
    let count = config.dpdk.lcores_named().len();
    (count > LCORES_MAX).then(|| Relation {
        keys: lcore_keys(config).collect(),
        message: format!("expected at most {LCORES_MAX} CPUs for all ports, got {count}"),
    })
}

/// One worker runs on each lcore, whatever the data path turns out to be. Ports that leave theirs
/// open get as many as make up the workers.
fn workers_are_lcores(config: &Config) -> Option<Relation> {
    if !config.serves_on_ports() {
        return None;
    }
    let workers = config.server.workers;
    let open = config.dpdk.ports.iter().any(|port| port.lcores == Lcores::Auto);
    let named = config.dpdk.lcores_named();
    let expected = match named.len() {
        count if !open && count != workers => count.to_string(),
        count if open && count > workers => format!("of at least {count}"),
        _ if workers > LCORES_MAX => format!("of at most {LCORES_MAX}"),
        _ => return None,
    };
    let lcores = if named.is_empty() { "auto".to_owned() } else { Cpus::List(named).to_string() };
    Some(Relation {
        keys: [WORKERS].into_iter().chain(lcore_keys(config)).collect(),
        message: format!(
            "each lcore of the ports is a worker: expected {WORKERS} {expected} (the lcores of all \
             ports are \"{lcores}\") or \"auto\", got {workers}"
        ),
    })
}

fn cpus_are_lcores(config: &Config) -> Option<Relation> {
    let Cpus::List(cpus) = &config.server.cpus else {
        return None;
    };
    if !config.serves_on_ports() {
        return None;
    }
    let mut sorted = cpus.clone();
    sorted.sort_unstable();
    let got = Cpus::List(cpus.clone());
    let message = match config.dpdk.lcores() {
        Some(lcores) if lcores == sorted => return None,
        Some(lcores) => format!(
            "the workers run on the lcores of the ports: expected \"off\" or \"{}\", got \"{got}\"",
            Cpus::List(lcores)
        ),
        None => format!(
            "the workers run on the lcores of the ports: expected \"off\" or \"auto\", or all \
             ports to name their lcores, got \"{got}\""
        ),
    };
    Some(Relation { keys: [CPUS].into_iter().chain(lcore_keys(config)).collect(), message })
}

/// In the fallback to kernel sockets as well: an address that depends on how the start went would
/// be found by nobody.
fn clients_come_to_a_port(config: &Config) -> Option<Relation> {
    if !config.serves_on_ports() {
        return None;
    }
    let ports = &config.dpdk.ports;
    let serves = |ip: IpAddr| {
        let mut addresses = ports.iter().flat_map(|port| &port.addresses);
        ip.is_unspecified() || addresses.any(|address| address.addr() == ip)
    };
    let is_elsewhere = |listen: &&ListenAddress| match listen {
        ListenAddress::Address(socket) => !serves(socket.ip()),
        ListenAddress::Every { .. } => false,
    };
    let listen = config.server.listen.iter().find(is_elsewhere)?;
    let addresses = (0..ports.len()).map(|index| port_key(index, "addresses"));
    // Where there is no address at all, that is the fault.
    let own = ports.iter().flat_map(|port| &port.addresses).next()?.addr();
    let port = listen.socket_addresses().first()?.port();
    Some(Relation {
        keys: [LISTEN].into_iter().chain(addresses).collect(),
        message: format!(
            "clients come to the ports of DPDK: expected {LISTEN} of addresses of ports, such as \
             \"{}\", or \":{port}\", got \"{listen}\"",
            SocketAddr::new(own, port)
        ),
    })
}

fn flows_hold_the_sessions(config: &Config) -> Option<Relation> {
    let SessionsMax::Count(sessions) = config.limits.sessions_max else {
        return None;
    };
    let flows = config.dpdk.flows_max;
    (config.serves_on_ports() && sessions > flows).then(|| Relation {
        keys: vec![FLOWS_MAX, SESSIONS_MAX],
        message: format!(
            "each session is a flow: expected {FLOWS_MAX} of at least {sessions} ({SESSIONS_MAX}), \
             got {flows}"
        ),
    })
}

fn mtu_carries_ipv6(index: usize, port: &Port) -> Option<Relation> {
    let address = port.addresses.iter().find(|address| address.addr().is_ipv6())?;
    (port.mtu < IPV6_MTU_MIN).then(|| Relation {
        keys: vec![port_key(index, "mtu"), port_key(index, "addresses")],
        message: format!(
            "expected at least {IPV6_MTU_MIN} with an IPv6 address (\"{address}\"), got {}",
            port.mtu
        ),
    })
}

fn gateways_are_near(index: usize, port: &Port) -> Option<Relation> {
    let gateway = port.gateways.iter().find(|gateway| !is_near(**gateway, &port.addresses))?;
    Some(Relation {
        keys: vec![port_key(index, "gateway"), port_key(index, "addresses")],
        message: format!("expected {NEAR}, got \"{gateway}\""),
    })
}

fn routes_are_near(index: usize, port: &Port) -> Option<Relation> {
    let route = port.routes.iter().find(|route| !is_near(route.via, &port.addresses))?;
    Some(Relation {
        keys: vec![port_key(index, "routes"), port_key(index, "addresses")],
        message: format!("expected {NEAR}, got \"{route}\""),
    })
}

const NEAR: &str = "a router in one of the port's own networks, or a link-local one beside an IPv6 \
                    address, other than the port itself";

/// IPv6 routers name themselves by their link-local address (RFC 4861, section 6.1.2), which every
/// link with IPv6 has a network for (RFC 4291, section 2.1).
fn is_near(router: IpAddr, addresses: &[IpNet]) -> bool {
    let is_of_link = matches!(router, IpAddr::V6(router) if router.is_unicast_link_local());
    let reaches =
        |address: &IpNet| address.contains(&router) || (is_of_link && address.addr().is_ipv6());
    let is_own = addresses.iter().any(|address| address.addr() == router);
    !is_own && addresses.iter().any(reaches)
}

/// The driver hands the number to the kernel as it is, for its receive ring and for its transmit ring.
fn xdp_rings_are_powers_of_two(index: usize, port: &Port) -> Option<Relation> {
    let descriptors = port.rx_descriptors;
    (port.device.is_af_xdp() && !descriptors.is_power_of_two()).then(|| Relation {
        keys: vec![port_key(index, "rx_descriptors"), port_key(index, "vdev")],
        message: format!(
            "expected a power of two, as the rings of an XDP socket have (\"{}\"), got {descriptors}",
            port.device.name()
        ),
    })
}

/// A list that is empty is refused by itself; one that is not there is not looked at. A port without
/// a device is refused for that.
fn port_has_addresses(index: usize, port: &Port) -> Option<Relation> {
    let addresses = port_key(index, "addresses");
    (port.addresses.is_empty() && !port.device.name().is_empty()).then(|| Relation {
        message: format!(
            "a port needs an address: expected {addresses} with 1 to 8 of them and their prefixes, \
             such as \"192.0.2.1/24\", got none"
        ),
        keys: vec![addresses, port_key(index, "pci"), port_key(index, "vdev")],
    })
}

fn device_is_new(index: usize, port: &Port, earlier: &[Port]) -> Option<Relation> {
    let name = port.device.name();
    let twin = earlier.iter().position(|earlier| earlier.device.name() == name)?;
    let key_name = match port.device {
        Device::Pci(_) => "pci",
        Device::Vdev(_) => "vdev",
    };
    // Two without a device are refused for that.
    (!name.is_empty()).then(|| Relation {
        keys: vec![port_key(index, key_name), port_key(twin, key_name)],
        message: format!(
            "expected each device once, got \"{name}\", which is that of {} as well",
            port_key(twin, "")
        ),
    })
}

fn addresses_are_new(index: usize, port: &Port, earlier: &[Port]) -> Option<Relation> {
    let owner = |address: &IpNet| {
        let has = |port: &Port| port.addresses.iter().any(|it| it.addr() == address.addr());
        earlier.iter().position(has).map(|twin| (*address, twin))
    };
    let (address, twin) = port.addresses.iter().find_map(owner)?;
    let addresses = "addresses";
    Some(Relation {
        keys: vec![port_key(index, addresses), port_key(twin, addresses)],
        message: format!(
            "expected each address once, got \"{address}\", which {} has as well",
            port_key(twin, "")
        ),
    })
}
