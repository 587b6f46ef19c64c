//! The ports of DPDK on this host: which CPUs serve them, and what memory that takes.

use std::fs;

use hioload_config::{Capacity, Config, Device, Host, Lcore, place_lcores};
use hioload_mem::affinity::allowed_cpus;
use hioload_mem::numa;

/// The memory that the ports of `config` need on this host; `None` where it serves on none.
///
/// Ports that leave their lcores open get CPUs of this host as a start would choose them. NUMA nodes
/// are known with the feature `numa`; otherwise everything is on node 0.
pub fn capacity(config: &Config) -> Option<Capacity> {
    config.serves_on_ports().then(|| Capacity::new(config, &lcores(config)))
}

/// The lcores that serve the ports of `config` on this host.
pub(crate) fn lcores(config: &Config) -> Vec<Lcore> {
    let host = ThisHost { workers: config.server.workers };
    place_lcores(&config.dpdk, config.server.workers, &host)
}

struct ThisHost {
    workers: usize,
}

impl Host for ThisHost {
    /// Where the system does not say, as many as there are to be workers.
    fn cpus(&self) -> Vec<usize> {
        allowed_cpus().unwrap_or_else(|_| (0..self.workers).collect())
    }

    fn node_of_cpu(&self, cpu: usize) -> usize {
        numa::node_of_cpu(cpu).unwrap_or(0)
    }

    fn node_of_device(&self, device: &Device) -> Option<usize> {
        let Device::Pci(_) = device else {
            return None;
        };
        let path = format!("/sys/bus/pci/devices/{}/numa_node", device.name());
        // On hosts without nodes it is -1.
        fs::read_to_string(path).ok()?.trim().parse().ok()
    }
}
