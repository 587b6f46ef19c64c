//! From the configuration to ports that run.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hioload_config::capacity::{
    CACHE_MBUFS, HANDOVER_SLOTS, MbufPool, message_pool, receive_pool, transmit_pool,
};
use hioload_config::{
    Capacity, Config, Device, IpNet, Lcore, ListenAddress, Offloads as OffloadsWanted, Port,
    SessionsMax,
};
use hioload_dpdk::{
    Eal, EalOptions, LcoreId, Lcores, LogLevel, Memory, Mempool, MempoolError, MempoolOptions,
    Offloads, Port as DevicePort, PortOptions as DeviceOptions, Started,
};
use hioload_mem::affinity::allowed_cpus;
use hioload_net::{
    DpdkPort, FlowLimit, Handover, HashKey, Idle, PortOptions, Routers, StackPort, StackStats,
    StackWaker,
};

use super::host;
use super::idle::{self, IdleSteps};
use super::monitor::{Monitor, Watched, WatchedLcore};
use super::watch::LinkWatch;
use super::{DpdkError, DpdkPath, PortsKept, Seat};
use crate::ports;

// Pools are reckoned with as many.
const _: () = assert!(Handover::<()>::SLOTS == HANDOVER_SLOTS);

pub(super) fn open(config: &mut Config) -> Result<DpdkPath, DpdkError> {
    let lcores = ports::lcores(config);
    check_cpus(&lcores)?;
    let listen = listen(config)?;
    let capacity = Capacity::new(config, &lcores);
    capacity.check(&config.dpdk.memory)?;
    let options = eal_options(config, &capacity, &lcores);
    host::check(config, &options.memory)?;
    let eal = Eal::start(&options)?;

    config.server.workers = lcores.len();
    config.limits.sessions_max = match config.limits.sessions_max {
        SessionsMax::Count(max) => SessionsMax::Count(max.min(config.dpdk.flows_max)),
        SessionsMax::Auto | SessionsMax::Off => SessionsMax::Count(config.dpdk.flows_max),
    };
    let config = &*config;
    let mut pools = Pools { eal: &eal, config, lcores: &lcores, made: Vec::new() };
    let flows_in_all = Arc::new(FlowLimit::new(config.dpdk.flows_max));
    let mut seats = Vec::new();
    for (place, lcore) in lcores.iter().enumerate() {
        seats.push(Seat {
            lcore: LcoreId(u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1)),
            node: lcore.node,
            ports: Vec::new(),
            waker: Arc::new(StackWaker::default()),
            stats: Arc::new(StackStats::new(lcore.ports.len())),
            idle: Idle::Busy,
            wakes_exactly: idle::wakes_exactly(config, lcore),
            seed: seed(place),
            listen: listen.clone(),
            flows_max: capacity.flows_per_lcore,
            flows_in_all: Arc::clone(&flows_in_all),
            half_open_max: capacity.half_open_per_lcore,
            time_wait_max: capacity.time_wait_per_lcore,
            messages: pools.make("messages", place, &message_pool(config, lcores.len()))?,
        });
    }
    let mut watched = Watched {
        ports: Vec::new(),
        pools: Vec::new(),
        lcores: seats.iter().zip(&lcores).map(|(seat, lcore)| watched_lcore(seat, lcore)).collect(),
    };
    for (index, port) in config.dpdk.ports.iter().enumerate() {
        start_port(index, port, &mut pools, &mut seats, &mut watched)?;
    }
    watched.pools = pools.made;
    let started = watched.ports.clone();
    let (policies, idle_steps) = IdleSteps::new(config, &lcores, &started);
    for (seat, policy) in seats.iter_mut().zip(policies) {
        seat.idle = policy;
    }
    let addresses = addresses(config, &listen);
    let kept = PortsKept {
        _watch: LinkWatch::start(started.clone(), idle_steps)?,
        _ports: started,
        monitor: Monitor::new(watched),
    };
    Ok(DpdkPath { eal, addresses, seats: VecDeque::from(seats), capacity, kept })
}

fn watched_lcore(seat: &Seat, lcore: &Lcore) -> WatchedLcore {
    WatchedLcore { cpu: lcore.cpu, stats: Arc::clone(&seat.stats), queues: Vec::new() }
}

fn check_cpus(lcores: &[Lcore]) -> Result<(), DpdkError> {
    if lcores.is_empty() {
        return Err(DpdkError::NoLcore);
    }
    // Where the system does not say, EAL finds out.
    let Ok(allowed) = allowed_cpus() else { return Ok(()) };
    match lcores.iter().find(|lcore| !allowed.contains(&lcore.cpu)) {
        Some(lcore) => Err(DpdkError::NoSuchCpu { cpu: lcore.cpu, allowed }),
        None => Ok(()),
    }
}

fn listen(config: &Config) -> Result<Vec<SocketAddr>, DpdkError> {
    let listen: Vec<SocketAddr> =
        config.server.listen.iter().flat_map(ListenAddress::socket_addresses).collect();
    match listen.iter().find(|address| address.port() == 0) {
        Some(any) => Err(DpdkError::AnyPort(*any)),
        None => Ok(listen),
    }
}

/// Where clients can connect: an unspecified address stands for those of the ports.
fn addresses(config: &Config, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    let own = || config.dpdk.ports.iter().flat_map(|port| &port.addresses).map(IpNet::addr);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for at in listen {
        let of_version = |ip: &IpAddr| ip.is_ipv4() == at.is_ipv4();
        let all = own().filter(of_version).map(|ip| SocketAddr::new(ip, at.port()));
        let these: Vec<_> = if at.ip().is_unspecified() { all.collect() } else { vec![*at] };
        addresses.extend(these);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn eal_options(config: &Config, capacity: &Capacity, lcores: &[Lcore]) -> EalOptions {
    let dpdk = &config.dpdk;
    let mib = |mib: u64| u32::try_from(mib).unwrap_or(u32::MAX);
    let per_node: Vec<u32> = capacity.eal_mib(&dpdk.memory).into_iter().map(mib).collect();
    let memory = if dpdk.huge_pages {
        Memory::HugePages { mib_per_node: per_node }
    } else {
        Memory::Ordinary { mib: per_node.iter().sum() }
    };
    let worker_cpus: Vec<usize> = lcores.iter().map(|lcore| lcore.cpu).collect();
    let control_cpus = allowed_cpus().unwrap_or_else(|_| worker_cpus.clone());
    let devices = |wanted: fn(&Device) -> Option<&String>| {
        dpdk.ports.iter().filter_map(|port| wanted(&port.device)).cloned().collect()
    };
    EalOptions {
        file_prefix: dpdk.file_prefix.clone(),
        memory,
        lcores: Lcores { control_cpus, worker_cpus },
        pci_devices: devices(|device| match device {
            Device::Pci(address) => Some(address),
            Device::Vdev(_) => None,
        }),
        virtual_devices: devices(|device| match device {
            Device::Vdev(vdev) => Some(vdev),
            Device::Pci(_) => None,
        }),
        log_level: LogLevel::Warning,
        extra: dpdk.eal_args.clone(),
    }
}

/// Makes pools of mbufs.
struct Pools<'a> {
    eal: &'a Eal,
    config: &'a Config,
    lcores: &'a [Lcore],
    /// Each with the NUMA node that was asked for.
    made: Vec<(Mempool, Option<u32>)>,
}

impl Pools<'_> {
    /// A pool for what the lcore in this place does, on its node.
    fn make(&mut self, kind: &str, place: usize, size: &MbufPool) -> Result<Mempool, MempoolError> {
        let on_nodes = self.config.dpdk.huge_pages;
        let node = if on_nodes { u32::try_from(self.lcores[place].node).ok() } else { None };
        let pool = Mempool::new(
            self.eal,
            &MempoolOptions {
                name: format!("{kind}_{place}"),
                mbufs: u32::try_from(size.mbufs()).unwrap_or(u32::MAX),
                cache: u32::try_from(CACHE_MBUFS).unwrap_or(u32::MAX),
                data_bytes: u16::try_from(size.data_room_bytes).unwrap_or(u16::MAX),
                node,
            },
        )?;
        self.made.push((pool.clone(), node));
        Ok(pool)
    }
}

/// Starts a port with a queue pair for each of its lcores, and adds what is to be watched of it.
fn start_port(
    index: usize,
    port: &Port,
    pools: &mut Pools<'_>,
    seats: &mut [Seat],
    watched: &mut Watched,
) -> Result<(), DpdkError> {
    let (eal, config) = (pools.eal, pools.config);
    let key = format!("dpdk.port[{index}]");
    let wrong = |source| DpdkError::Port { key: key.clone(), source };
    let device = DevicePort::find(eal, port.device.name()).map_err(wrong)?;
    let lcores = pools.lcores.iter().enumerate();
    let served: Vec<usize> =
        lcores.filter_map(|(place, lcore)| lcore.ports.contains(&index).then_some(place)).collect();
    let (rx_kind, tx_kind) = (format!("rx_{index}"), format!("tx_{index}"));
    let rx_pools: Vec<Mempool> = served
        .iter()
        .map(|place| pools.make(&rx_kind, *place, &receive_pool(config, port, served.len())))
        .collect::<Result<_, MempoolError>>()?;
    let options = DeviceOptions {
        mtu: port.mtu,
        rx_descriptors: port.rx_descriptors,
        tx_descriptors: port.tx_descriptors,
        offloads: match port.offloads {
            OffloadsWanted::Auto => Offloads::ALL,
            OffloadsWanted::Off => Offloads::NONE,
        },
        ..DeviceOptions::default()
    };
    let Started { port: started, queues } = device.start(&options, &rx_pools).map_err(wrong)?;
    let routers = Arc::new(Routers::new(&routes(port)));
    let wakers: Vec<_> = served.iter().map(|place| Arc::clone(&seats[*place].waker)).collect();
    let places = served.into_iter().zip(queues).zip(Handover::ring(&wakers));
    for (number, ((place, queues), handover)) in places.enumerate() {
        let tx_pool = pools.make(&tx_kind, place, &transmit_pool(config, port))?;
        let queue = DpdkPort::new(&started, queues, tx_pool, config.dpdk.burst.into())
            .map_err(|source| DpdkError::Queue { key: key.clone(), source })?;
        let options = PortOptions {
            addresses: port.addresses.clone(),
            vlan: port.vlan,
            routers: Arc::clone(&routers),
            speaks: number == 0,
        };
        seats[place].ports.push(StackPort { port: queue, options, handover });
        watched.lcores[place].queues.push((started.name().to_owned(), number));
    }
    watched.ports.push(started);
    Ok(())
}

/// All routes of a port, those by its gateways included.
fn routes(port: &Port) -> Vec<(IpNet, IpAddr)> {
    let rest = |gateway: &IpAddr| {
        let any: IpAddr = match gateway {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        (IpNet::new_assert(any, 0), *gateway)
    };
    let named = port.routes.iter().map(|route| (route.network, route.via));
    named.chain(port.gateways.iter().map(rest)).collect()
}

/// A number that nobody can guess.
fn seed(place: usize) -> HashKey {
    // Each is keyed by the system's random bytes.
    HashKey(RandomState::new().hash_one(place), RandomState::new().hash_one(place))
}
