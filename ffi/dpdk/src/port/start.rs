//! Configures and starts a port.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::sync::Arc;

use dpdk_sys::{rte_eth_conf, rte_eth_dev_info, rte_eth_rss_conf};

use super::device::Device;
use super::error::{PortError, PortProblem};
use super::link::Link;
use super::options::{self, Granted, PortLimits, PortOptions};
use super::{Port, Running, StartedPort};
use crate::errno;
use crate::mempool::Mempool;
use crate::queue::{RxQueue, TxQueue};

/// Bytes of a frame around the packet: Ethernet header, check sequence, two VLAN tags.
const FRAME_OVERHEAD: u32 = 14 + 4 + 8;

/// A port that runs.
#[derive(Debug)]
pub struct Started {
    /// The port.
    pub port: StartedPort,
    /// Its queue pairs, one for each pool, in order.
    pub queues: Vec<(RxQueue, TxQueue)>,
}

impl Port {
    /// Starts the port with a queue pair for each pool of `rx_pools`, into which that receives.
    ///
    /// Offloads and hashes that the port has not are left out; what is left is in
    /// [`StartedPort::granted`]. A port that cannot spread flows puts them all into one queue, or,
    /// as af_packet, spreads them by itself.
    ///
    /// # Errors
    /// When the port cannot do what is asked, or the driver says no. The port is closed then.
    pub fn start(self, options: &PortOptions, rx_pools: &[Mempool]) -> Result<Started, PortError> {
        let mut device = self.device;
        let info = device.info()?;
        let pairs = check(&device, &info, options, rx_pools)?;

        let offloads = options.offloads.and(PortLimits::of(&info).offloads);
        let rss_hash =
            if pairs > 1 { info.flow_type_rss_offloads & dpdk_sys::SHIM_RSS_IP_TCP } else { 0 };
        let link_events = options::link_events(&info);
        let mut key =
            rss_key(&info, rss_hash).map_err(|error| device.fail(PortProblem::Random(error)))?;

        let mut conf = no_conf();
        conf.rxmode.mtu = options.mtu.into();
        conf.rxmode.offloads = offloads.rx();
        conf.txmode.offloads = offloads.tx();
        conf.intr_conf.set_lsc(link_events.into());
        if rss_hash != 0 {
            conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf = rte_eth_rss_conf {
                rss_key: key.as_mut_ptr(),
                rss_key_len: info.hash_key_size,
                rss_hf: rss_hash,
            };
            if key.is_empty() {
                conf.rx_adv_conf.rss_conf.rss_key = std::ptr::null_mut();
            }
        }
        device.configured();
        // SAFETY: the port is ours and stopped; `conf` and the key behind it outlive the call.
        let configured =
            unsafe { dpdk_sys::rte_eth_dev_configure(device.id(), pairs, pairs, &raw const conf) };
        errno::check(configured).map_err(device.refused("configuring"))?;

        let (rx_descriptors, tx_descriptors) = descriptors(&device, options)?;
        set_up_queues(&device, &info, offloads, (rx_descriptors, tx_descriptors), rx_pools)?;
        let all_multicast = options.all_multicast && {
            // SAFETY: the port is ours and configured.
            unsafe { dpdk_sys::rte_eth_allmulticast_enable(device.id()) == 0 }
        };
        let promiscuous = options.promiscuous && {
            // SAFETY: as above.
            unsafe { dpdk_sys::rte_eth_promiscuous_enable(device.id()) == 0 }
        };
        let mut mtu = 0;
        // SAFETY: the port is ours; DPDK writes to `mtu`.
        let got = unsafe { dpdk_sys::rte_eth_dev_get_mtu(device.id(), &raw mut mtu) };
        errno::check(got).map_err(device.refused("reading the MTU"))?;

        let granted = Granted {
            queue_pairs: pairs,
            mtu,
            rx_descriptors,
            tx_descriptors,
            offloads,
            rss_hash,
            all_multicast,
            promiscuous,
            link_events,
        };
        let link = Link::start(&device, link_events)?;
        let running = Arc::new(Running::new(link, device, granted));
        let queues = (0..pairs)
            .zip(rx_pools)
            .map(|(id, pool)| {
                (RxQueue::new(&running, id, pool.clone()), TxQueue::new(&running, id))
            })
            .collect();
        Ok(Started { port: StartedPort(running), queues })
    }
}

/// What the driver need not be asked for. Gives the number of queue pairs.
fn check(
    device: &Device,
    info: &rte_eth_dev_info,
    options: &PortOptions,
    rx_pools: &[Mempool],
) -> Result<u16, PortError> {
    let max = info.max_rx_queues.min(info.max_tx_queues);
    let asked = rx_pools.len();
    let pairs = match u16::try_from(asked) {
        Ok(pairs) if (1..=max).contains(&pairs) => pairs,
        _ => return Err(device.fail(PortProblem::QueuePairs { asked, max })),
    };
    let (mtu, min, max) = (options.mtu, info.min_mtu, info.max_mtu);
    if !(min..=max).contains(&mtu) {
        return Err(device.fail(PortProblem::Mtu { asked: mtu, min, max }));
    }
    let frame_bytes = u32::from(mtu) + FRAME_OVERHEAD;
    for pool in rx_pools {
        let data_bytes = pool.data_bytes();
        if u32::from(data_bytes) < frame_bytes {
            let pool = pool.name().to_owned();
            let problem = PortProblem::PoolTooSmall { pool, data_bytes, mtu, frame_bytes };
            return Err(device.fail(problem));
        }
    }
    Ok(pairs)
}

fn no_conf() -> rte_eth_conf {
    // SAFETY: numbers, and pointers that may be null; zero is DPDK's default for all of them.
    unsafe { mem::zeroed() }
}

/// A key that no stranger can guess, or he could send all his flows to one lcore.
fn rss_key(info: &rte_eth_dev_info, rss_hash: u64) -> io::Result<Vec<u8>> {
    if rss_hash == 0 {
        return Ok(Vec::new());
    }
    let mut key = vec![0; usize::from(info.hash_key_size)];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(key)
}

fn descriptors(device: &Device, options: &PortOptions) -> Result<(u16, u16), PortError> {
    let (mut rx, mut tx) = (options.rx_descriptors, options.tx_descriptors);
    // SAFETY: the port is ours; DPDK changes the two numbers.
    let adjusted = unsafe {
        dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(device.id(), &raw mut rx, &raw mut tx)
    };
    errno::check(adjusted).map_err(device.refused("adjusting the descriptors"))?;
    Ok((rx, tx))
}

fn set_up_queues(
    device: &Device,
    info: &rte_eth_dev_info,
    offloads: options::Offloads,
    (rx_descriptors, tx_descriptors): (u16, u16),
    rx_pools: &[Mempool],
) -> Result<(), PortError> {
    let node = device.node().unwrap_or(dpdk_sys::SHIM_SOCKET_ID_ANY.cast_unsigned());
    let mut rx_conf = info.default_rxconf;
    rx_conf.offloads = offloads.rx();
    let mut tx_conf = info.default_txconf;
    tx_conf.offloads = offloads.tx();
    for (queue, pool) in (0..).zip(rx_pools) {
        // SAFETY: the port is ours, configured and stopped; the pool stays until the port is
        // closed, since pools are freed only while no port is open.
        let set_up = unsafe {
            dpdk_sys::rte_eth_rx_queue_setup(
                device.id(),
                queue,
                rx_descriptors,
                node,
                &raw const rx_conf,
                pool.as_ptr(),
            )
        };
        errno::check(set_up).map_err(device.refused("setting up a receive queue"))?;
        // SAFETY: as above.
        let set_up = unsafe {
            dpdk_sys::rte_eth_tx_queue_setup(
                device.id(),
                queue,
                tx_descriptors,
                node,
                &raw const tx_conf,
            )
        };
        errno::check(set_up).map_err(device.refused("setting up a send queue"))?;
    }
    Ok(())
}
