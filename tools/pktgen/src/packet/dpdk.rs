//! A port of DPDK's, and the lcore that polls it.

use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use hioload_dpdk::{
    Eal, EalOptions, LcoreHandle, LcoreId, Lcores, LogLevel, Memory, Mempool, MempoolOptions, Port,
    PortOptions, Started, StartedPort,
};
use hioload_mem::affinity::allowed_cpus;
use hioload_net::{BURST_MAX, DpdkPort};

use crate::link;
use crate::outcome::Outcome;

/// Mbufs that an lcore keeps for itself, and what each pool has beyond the rings.
const CACHE_MBUFS: u32 = 256;
const MBUFS_BEYOND_RINGS: u32 = 2047;
/// Room in an mbuf beyond the longest packet: headers of the link, and what drivers want.
const FRAME_OVERHEAD: u16 = 64;
const LINK_LOOK: Duration = Duration::from_millis(5);

/// DPDK, started for one port and one lcore.
pub(crate) struct Path {
    eal: Eal,
    /// It stops with the last of it.
    _started: StartedPort,
}

/// Starts DPDK and the port, and waits for its link.
///
/// # Errors
/// What is missing, and what would help.
pub(crate) fn open(port: &link::DpdkPort, timeout: Duration) -> Result<(Path, DpdkPort), String> {
    let eal = start_eal(port)?;
    let (device, name) = match &port.device {
        link::Device::Pci(address) => (address.as_str(), "--pci"),
        link::Device::Vdev(vdev) => (vdev.split(',').next().unwrap_or(vdev), "--vdev"),
    };
    let wrong = |error: &dyn std::fmt::Display| format!("{name} {device}: {error}");
    let pool = |name: &str| {
        let mbufs = u32::from(port.descriptors).next_multiple_of(2) + MBUFS_BEYOND_RINGS;
        let options = MempoolOptions {
            name: name.to_owned(),
            mbufs,
            cache: CACHE_MBUFS,
            data_bytes: port.mtu.max(1500) + FRAME_OVERHEAD + 484,
            node: None,
        };
        Mempool::new(&eal, &options).map_err(|error| error.to_string())
    };
    let (rx_pool, tx_pool) = (pool("rx")?, pool("tx")?);
    let options = PortOptions {
        mtu: port.mtu,
        rx_descriptors: port.descriptors,
        tx_descriptors: port.descriptors,
        ..PortOptions::default()
    };
    let found = Port::find(&eal, device).map_err(|error| wrong(&error))?;
    let Started { port: started, mut queues } =
        found.start(&options, slice::from_ref(&rx_pool)).map_err(|error| wrong(&error))?;
    let pair = queues.pop().ok_or_else(|| wrong(&"it has no queue pair"))?;
    let frames =
        DpdkPort::new(&started, pair, tx_pool, BURST_MAX).map_err(|error| error.to_string())?;
    wait_for_link(&started, timeout).map_err(|error| wrong(&error))?;
    Ok((Path { eal, _started: started }, frames))
}

fn start_eal(port: &link::DpdkPort) -> Result<Eal, String> {
    let allowed = allowed_cpus().map_err(|error| format!("the CPUs of this process: {error}"))?;
    let cpu = match port.cpu {
        None => *allowed.last().ok_or("there is no CPU")?,
        Some(cpu) if allowed.contains(&cpu) => cpu,
        Some(cpu) => {
            return Err(format!("--cpu {cpu}: this process may use {allowed:?} only"));
        }
    };
    let mut options = EalOptions::new(port.file_prefix.clone(), port.memory_mib);
    options.lcores = Lcores { control_cpus: allowed, worker_cpus: vec![cpu] };
    options.log_level = LogLevel::Warning;
    options.extra = port.eal_args.clone();
    if !port.huge_pages {
        options.memory = Memory::Ordinary { mib: port.memory_mib };
    }
    match &port.device {
        link::Device::Pci(address) => options.pci_devices = vec![address.clone()],
        link::Device::Vdev(vdev) => options.virtual_devices = vec![vdev.clone()],
    }
    Eal::start(&options).map_err(|error| error.to_string())
}

fn wait_for_link(started: &StartedPort, timeout: Duration) -> Result<(), String> {
    let began = Instant::now();
    loop {
        started.refresh_link().map_err(|error| error.to_string())?;
        if started.link().is_up() {
            return Ok(());
        }
        if began.elapsed() >= timeout {
            return Err(format!("no link within {timeout:?}"));
        }
        thread::sleep(LINK_LOOK);
    }
}

impl Path {
    /// Runs the clients on the lcore.
    ///
    /// # Errors
    /// That it cannot be launched.
    pub(crate) fn launch(
        &self,
        run: impl FnOnce() -> Outcome + Send + 'static,
    ) -> Result<LcoreHandle<Outcome>, String> {
        let lcore = self.eal.workers().first().copied().unwrap_or(LcoreId(1));
        self.eal.launch(lcore, run).map_err(|error| error.to_string())
    }
}
