//! Ports that DPDK drives, and an lcore for each worker.

mod host;
mod idle;
mod metrics;
mod monitor;
mod start;
mod stats;
mod watch;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use hioload_buffer::{Pool, PoolOptions};
use hioload_config::{Capacity, CapacityError, Config};
use hioload_dpdk::sysfs::Obstacle;
use hioload_dpdk::{
    Eal, EalError, LaunchError, LcoreId, Mempool, MempoolError, PortError, StartedPort,
};
use hioload_engine::{Handler, WorkerParts};
use hioload_mem::{Arena, ArenaPages};
use hioload_net::{
    DpdkPort, DpdkPortError, FlowLimit, HashKey, Idle, StackOptions, StackPort, StackStats,
    StackStreams, StackWaker, Wake,
};
use tracing::info;

use super::{Duty, Running, panic_text};
use crate::appliance::StartError;

use self::watch::LinkWatch;

pub(crate) use self::monitor::Monitor;
pub use self::stats::{
    DpdkStats, FlowCounts, GrantedStats, LcoreStats, LinkStats, MempoolStats, PortCounterStats,
    PortStats, QueueStats,
};

/// Why DPDK does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DpdkError {
    /// The environment of DPDK does not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// The host is not ready.
    #[error(transparent)]
    Host(#[from] Obstacle),
    /// A device is not ready.
    #[error("{key}: {source}")]
    Device {
        /// The port's table in the configuration.
        key: String,
        /// What is wrong with it.
        source: Obstacle,
    },
    /// The kernel's interface that a virtual device is to take its frames from is not there.
    #[error(
        "{key}: there is no interface \"{interface}\" for \"{vdev}\"; make it first (ip link add \
         {interface} type veth peer name ...), or name one of {found}"
    )]
    NoInterface {
        /// The port's table in the configuration.
        key: String,
        /// The virtual device.
        vdev: String,
        /// The interface.
        interface: String,
        /// Those that there are.
        found: String,
    },
    /// There is less memory than the configuration needs.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// A pool of mbufs cannot be made.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    /// A port cannot be used.
    #[error("{key}: {source}")]
    Port {
        /// The port's table in the configuration.
        key: String,
        /// What is wrong with it.
        source: PortError,
    },
    /// A queue pair cannot be used.
    #[error("{key}: {source}")]
    Queue {
        /// The port's table in the configuration.
        key: String,
        /// What is wrong with it.
        source: DpdkPortError,
    },
    /// A CPU that this process may not use, or that is not there.
    #[error(
        "dpdk.port.lcores: expected CPUs that this process may use (\"{}\"), got {cpu}",
        hioload_config::Cpus::List(allowed.clone())
    )]
    NoSuchCpu {
        /// The first such CPU.
        cpu: usize,
        /// Those that it may use.
        allowed: Vec<usize>,
    },
    /// No CPU is left for a port.
    #[error("dpdk.port: there is no CPU for an lcore; name one in dpdk.port.lcores")]
    NoLcore,
    /// Port 0, which only the kernel can turn into a free one.
    #[error(
        "server.listen: expected a port from 1 to 65535, since there is nobody to choose one on a \
         port of DPDK, got \"{0}\""
    )]
    AnyPort(SocketAddr),
    /// The link of a port cannot be watched.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// An lcore does not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

pub(crate) struct DpdkPath {
    eal: Eal,
    addresses: Vec<SocketAddr>,
    /// Of the workers that do not run yet.
    seats: VecDeque<Seat>,
    capacity: Capacity,
    kept: PortsKept,
}

/// What lives as long as the workers do.
pub(crate) struct PortsKept {
    _watch: LinkWatch,
    _ports: Vec<StartedPort>,
    monitor: Monitor,
}

impl Drop for PortsKept {
    fn drop(&mut self) {
        // Who comes next is to find the ports closed, and the statistics to show none.
        self.monitor.close();
    }
}

/// Where a worker is to run, and what it is to serve.
struct Seat {
    lcore: LcoreId,
    /// Its NUMA node.
    node: usize,
    ports: Vec<StackPort<DpdkPort>>,
    waker: Arc<StackWaker>,
    stats: Arc<StackStats>,
    idle: Idle,
    /// Whether it wakes when it asked to, without the system's slack.
    wakes_exactly: bool,
    seed: HashKey,
    listen: Vec<SocketAddr>,
    flows_max: usize,
    flows_in_all: Arc<FlowLimit>,
    half_open_max: usize,
    time_wait_max: usize,
    /// Where the messages that the worker publishes lie.
    messages: Mempool,
}

impl DpdkPath {
    pub(super) fn open(config: &mut Config) -> Result<Self, DpdkError> {
        start::open(config)
    }

    /// Without the name: `22.11.11`.
    pub(super) fn version() -> String {
        let version = Eal::version();
        version.strip_prefix("DPDK ").unwrap_or(&version).to_owned()
    }

    pub(super) fn monitor(&self) -> Monitor {
        self.kept.monitor.clone()
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn wakers(&self) -> Vec<Arc<dyn Wake>> {
        self.seats.iter().map(|seat| Arc::clone(&seat.waker) as _).collect()
    }

    /// Launches the lcore of a worker.
    pub(super) fn start<H: Handler>(
        &mut self,
        mut parts: WorkerParts,
        duty: Duty<H>,
    ) -> Result<Running, StartError> {
        let seat = self.seats.pop_front().expect("as many as there are workers");
        let lcore = seat.lcore;
        let work = move || {
            let pages = if duty.config.dpdk.huge_pages {
                ArenaPages::Reserved
            } else {
                ArenaPages::Transparent
            };
            // Zero is the system's own slack, 50 us: in that, a NIC's ring could fill. Where the system
            // does not let us, sleeps stay that much longer.
            let _ = nix::sys::prctl::set_timerslack(u64::from(seat.wakes_exactly));
            parts.set_pool(seat.message_pool());
            let arena = Arena::new(pages);
            let streams = seat.streams(&arena, &parts, &duty.config);
            duty.fulfil(parts, streams)
        };
        let handle = self.eal.launch(lcore, work).map_err(DpdkError::Launch)?;
        Ok(Running::new(move || handle.join().unwrap_or_else(|panic| Err(panic_text(&*panic)))))
    }

    pub(super) fn report(self) -> PortsKept {
        for line in self.capacity.to_string().lines() {
            info!("{line}");
        }
        self.kept
    }
}

impl Seat {
    /// For messages: in mbufs on the worker's node. Those that no mbuf holds are on the same node,
    /// where it gives memory.
    fn message_pool(&self) -> Pool {
        let options = PoolOptions::default();
        let pool = Pool::on_node(self.node, options).unwrap_or_else(|_| Pool::new(options));
        pool.with_pieces(Box::new(self.messages.clone()))
    }

    /// The streams of the worker, with their rings in `arena`.
    fn streams<'a>(
        self,
        arena: &'a Arena,
        parts: &WorkerParts,
        config: &Config,
    ) -> StackStreams<'a, DpdkPort> {
        let options = StackOptions {
            listen: self.listen,
            receive_ring_bytes: config.tcp.receive_ring_bytes(),
            send_ring_bytes: config.tcp.send_ring_bytes(),
            flows_max: self.flows_max,
            flows_in_all: self.flows_in_all,
            half_open_max: self.half_open_max,
            time_wait_max: self.time_wait_max,
            keepalive: config.tcp.keepalive,
            nodelay: config.tcp.nodelay,
            idle: self.idle,
            seed: self.seed,
            admit: Box::new(parts.admits(config)),
        };
        StackStreams::new(arena, self.ports, options, &self.waker, self.stats, Instant::now())
    }
}
