//! Reads what ports, pools and lcores count, while they are there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hioload_dpdk::{LcoreId, Mempool, StartedPort, current_lcore};
use hioload_engine::Totals;
use hioload_net::StackStats;

use super::stats::{
    DpdkStats, GrantedStats, LcoreStats, LinkStats, MempoolStats, PortCounterStats, PortStats,
    QueueStats,
};

/// The lcore of the thread that has started the EAL, which runs no worker.
const MAIN: LcoreId = LcoreId(0);

/// Reads until it is closed. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Monitor(Arc<Mutex<Option<Watched>>>);

/// What there is to read.
pub(super) struct Watched {
    pub(super) ports: Vec<StartedPort>,
    /// Each with the NUMA node that was asked for.
    pub(super) pools: Vec<(Mempool, Option<u32>)>,
    /// In the order of the workers.
    pub(super) lcores: Vec<WatchedLcore>,
}

pub(super) struct WatchedLcore {
    pub(super) cpu: usize,
    pub(super) stats: Arc<StackStats>,
    /// The port and the number of each of its queue pairs.
    pub(super) queues: Vec<(String, usize)>,
}

impl Monitor {
    pub(super) fn new(watched: Watched) -> Self {
        Self(Arc::new(Mutex::new(Some(watched))))
    }

    /// What is counted at this moment, `workers` being what the engine counts; `None` once it is
    /// closed, and on an lcore that serves: drivers may wait for their device.
    pub(crate) fn read(&self, workers: &[Totals], uptime: Duration) -> Option<DpdkStats> {
        if current_lcore().is_some_and(|lcore| lcore != MAIN) {
            return None;
        }
        // Held while it reads, so that the ports stay open.
        let watched = self.lock();
        let Watched { ports, pools, lcores } = watched.as_ref()?;
        let busy = workers.iter().map(|worker| worker.busy_ns);
        let lcores = lcores.iter().zip(busy).map(|(lcore, busy_ns)| lcore.read(busy_ns, uptime));
        Some(DpdkStats::new(
            ports.iter().map(port).collect(),
            pools.iter().map(|(pool, node)| mempool(pool, *node)).collect(),
            lcores.collect(),
        ))
    }

    /// Lets go of everything, once nobody reads.
    pub(super) fn close(&self) {
        let watched = self.lock().take();
        drop(watched);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchedLcore {
    fn read(&self, busy_ns: u64, uptime: Duration) -> LcoreStats {
        let queues = self.queues.iter().zip(self.stats.read_ports());
        let queues =
            queues.map(|((port, queue), it)| QueueStats::new(port.clone(), *queue, &it)).collect();
        LcoreStats::new(self.cpu, (busy_ns, uptime.as_nanos()), &self.stats.read(), queues)
    }
}

fn port(port: &StartedPort) -> PortStats {
    let link = port.link();
    PortStats {
        name: port.name().to_owned(),
        mac: port.mac().ok().map(mac_text),
        link: LinkStats { up: link.is_up(), mbps: link.mbps(), ups: link.ups() },
        granted: GrantedStats::new(port.granted()),
        counters: port.stats().ok().map(PortCounterStats::new),
        xstats: port.extended_stats().unwrap_or_default().into_iter().collect(),
    }
}

fn mempool(pool: &Mempool, node: Option<u32>) -> MempoolStats {
    MempoolStats { name: pool.name().to_owned(), node, mbufs: pool.mbufs(), in_use: pool.in_use() }
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
