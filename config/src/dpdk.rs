//! What DPDK is told: huge pages, flows, and the ports it serves on.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The most ports there can be, as many as DPDK is built for (`RTE_MAX_ETHPORTS`).
pub const PORTS_MAX: usize = 32;

/// The most lcores that serve: DPDK is built for 128 (`RTE_MAX_LCORE`), and one is the control
/// thread.
pub const LCORES_MAX: usize = 127;

/// `[dpdk]`: how DPDK is started, and the ports that it serves on.
#[derive(Clone, Debug, PartialEq)]
pub struct Dpdk {
    /// Memory for mbufs, queues and the rings of flows, of each NUMA node. Default: `Auto`.
    pub memory: Memory,
    /// Whether that is in huge pages. Without them only virtual devices work. Default: true.
    pub huge_pages: bool,
    /// What sets this process apart from other programs on DPDK. Default: `hioload`.
    pub file_prefix: String,
    /// More arguments for EAL, one per element. Default: none.
    pub eal_args: Vec<String>,
    /// What a worker does that finds nothing to do. Default: `Adaptive`.
    pub idle: Idle,
    /// Connections of all lcores together, half-open ones included. An lcore has room for its
    /// [share](crate::capacity::share) of them. Default: 65,536.
    pub flows_max: usize,
    /// Connections of which the handshake is not complete; each lcore has its share. Default:
    /// 4,096.
    pub half_open_max: usize,
    /// Closed connections that are remembered for a while (TIME-WAIT, RFC 9293 section 3.6); each
    /// lcore has its share. Default: 65,536.
    pub time_wait_max: usize,
    /// Frames taken from a queue, or given to it, at a time, 8 to 32: drivers with vector
    /// instructions take none in shorter bursts. Default: 32.
    pub burst: u16,
    /// `[[dpdk.port]]`: the ports. Without any there is no DPDK. Default: none.
    pub ports: Vec<Port>,
}

/// Memory that DPDK and the flows on it may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// What is needed, as [`Capacity`](crate::Capacity) computes it.
    #[default]
    Auto,
    /// This many bytes of each NUMA node on which a port or an lcore is.
    Each(usize),
    /// Bytes of each NUMA node, the first for node 0. Nodes beyond the list give none.
    Nodes(Vec<usize>),
}

/// What a worker does that finds nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// It looks again at once for a while, then sleeps between two looks for half the time in which
    /// the receive ring fills at the speed that the link has, at most 1 ms. With a NIC whose ring
    /// lasts for less than 20 microseconds it does not sleep. With virtual devices alone it asks for
    /// 10 microseconds at least, and the system adds some 50 to that.
    #[default]
    Adaptive,
    /// It looks again at once: the least latency, and a CPU that is always busy.
    Busy,
}

/// `[[dpdk.port]]`: a NIC, or a virtual device, and what it is on the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Which device. There is no default.
    pub device: Device,
    /// Its addresses, each with the prefix of its network: 1 to 8, IPv4 and IPv6. There is no
    /// default.
    pub addresses: Vec<IpNet>,
    /// Routers for what is in none of these networks, at most one for each family. Each is in one
    /// of the networks, or link-local (`fe80::/10`) on a port with an IPv6 address. Default: none.
    pub gateways: Vec<IpAddr>,
    /// Other routes, at most 6. The same goes for their routers. Default: none.
    pub routes: Vec<Route>,
    /// The VLAN of all frames, 1 to 4094; `None` for frames without a tag. Default: `None`.
    pub vlan: Option<u16>,
    /// The largest IP packet in bytes, 576 to 9000, and at least 1280 with an IPv6 address.
    /// Default: 1500.
    pub mtu: u16,
    /// The CPUs that serve it. Default: `Auto`.
    pub lcores: Lcores,
    /// Descriptors of each receive queue, 64 to 16,384. Default: 1024.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue, 64 to 16,384. Default: 1024.
    pub tx_descriptors: u16,
    /// What the device does in place of the CPU. Default: `Auto`.
    pub offloads: Offloads,
}

/// A device, with arguments for its driver behind a comma.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A NIC by its PCI address: `0000:03:00.0`.
    Pci(String),
    /// A virtual device by driver and number: `net_tap0,iface=tap0`.
    Vdev(String),
}

/// A static route, written `10.9.0.0/16 via 10.0.0.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network that it leads to.
    pub network: IpNet,
    /// The router, in one of the port's own networks.
    pub via: IpAddr,
}

/// The CPUs that serve a port, each by a queue pair of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lcores {
    /// CPUs of the port's NUMA node, at most `server.workers` in all.
    #[default]
    Auto,
    /// These, in the order of the queues.
    List(Vec<usize>),
}

/// A CPU that serves ports, with a queue pair of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lcore {
    /// The CPU.
    pub cpu: usize,
    /// Its NUMA node.
    pub node: usize,
    /// The ports that it serves, by their place in [`Dpdk::ports`], in ascending order.
    pub ports: Vec<usize>,
}

/// What a device does in place of the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offloads {
    /// Checksums, and the spreading of flows over queues, where the device says that it can.
    #[default]
    Auto,
    /// Nothing but the spreading of flows over queues.
    Off,
}

impl Default for Dpdk {
    fn default() -> Self {
        Dpdk {
            memory: Memory::Auto,
            huge_pages: true,
            file_prefix: "hioload".to_owned(),
            eal_args: Vec::new(),
            idle: Idle::Adaptive,
            flows_max: 65_536,
            half_open_max: 4_096,
            time_wait_max: 65_536,
            burst: 32,
            ports: Vec::new(),
        }
    }
}

/// A port of no device and without an address, which is not valid yet.
impl Default for Port {
    fn default() -> Self {
        Port {
            device: Device::Pci(String::new()),
            addresses: Vec::new(),
            gateways: Vec::new(),
            routes: Vec::new(),
            vlan: None,
            mtu: 1500,
            lcores: Lcores::Auto,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            offloads: Offloads::Auto,
        }
    }
}

impl Dpdk {
    /// The CPUs that all ports name together, each once and in ascending order; `None` where there
    /// is no port, or one leaves them open.
    pub fn lcores(&self) -> Option<Vec<usize>> {
        let is_open = self.ports.iter().any(|port| port.lcores == Lcores::Auto);
        (!is_open && !self.ports.is_empty()).then(|| self.lcores_named())
    }

    /// The CPUs that those ports name that name some, each once and in ascending order.
    pub fn lcores_named(&self) -> Vec<usize> {
        let named = self.ports.iter().filter_map(|port| match &port.lcores {
            Lcores::Auto => None,
            Lcores::List(lcores) => Some(lcores),
        });
        named.flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Device {
    /// The name by which DPDK knows the device: what stands before the first comma.
    pub fn name(&self) -> &str {
        let text = self.arguments();
        text.split_once(',').map_or(text, |(name, _)| name)
    }

    /// Whether its frames come through XDP sockets of the kernel's.
    pub fn is_af_xdp(&self) -> bool {
        self.name().starts_with("net_af_xdp")
    }

    /// The device as EAL takes it, behind `-a` or `--vdev`.
    pub fn arguments(&self) -> &str {
        match self {
            Device::Pci(text) | Device::Vdev(text) => text,
        }
    }
}

/// As in a file.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arguments())
    }
}

/// As in a file.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} via {}", self.network, self.via)
    }
}
