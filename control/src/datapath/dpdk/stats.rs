//! What an appliance on ports of DPDK says of them.

use std::collections::BTreeMap;
use std::iter;

use hioload_dpdk::{Granted, Offloads, PortStats as PortCounts};
use hioload_net::{DropReason, PortCounters, StackCounters};
use serde::Serialize;

/// Ports, pools and lcores of a moment. Counts are since the start; values of different names that
/// are read while frames flow need not fit together.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DpdkStats {
    /// The ports, in the order of the configuration.
    pub ports: Vec<PortStats>,
    /// Pools of mbufs: one to receive into and one to send from for each queue pair, and one for each
    /// worker whose messages lie in it.
    pub mempools: Vec<MempoolStats>,
    /// TCP connections of all lcores.
    pub flows: FlowCounts,
    /// Frames and packets that came and were dropped by TCP/IP, by reason, of all lcores.
    pub drops: BTreeMap<&'static str, u64>,
    /// Segments passed on to another lcore, which may know their connection, of all lcores.
    pub segments_handed_over: u64,
    /// Each lcore, in the order of the workers.
    pub lcores: Vec<LcoreStats>,
}

/// A port.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PortStats {
    /// The name that DPDK has for it: `net_tap0`, `0000:03:00.0`.
    pub name: String,
    /// Its address, as `02:00:00:00:00:01`; `None` where the driver does not say.
    pub mac: Option<String>,
    /// Its link.
    pub link: LinkStats,
    /// What it was granted of what was asked for.
    pub granted: GrantedStats,
    /// What the driver counts over all queues; `None` where it does not say.
    pub counters: Option<PortCounterStats>,
    /// All that the driver counts, by its own names.
    pub xstats: BTreeMap<String, u64>,
}

/// A port's link.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct LinkStats {
    /// Whether there is one.
    pub up: bool,
    /// Its speed in Mbit/s; `None` where it is not known.
    pub mbps: Option<u32>,
    /// How often it has come up.
    pub ups: u64,
}

/// What a port was granted.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GrantedStats {
    /// Queue pairs: one for each lcore.
    pub queue_pairs: u16,
    /// Bytes of the longest IP packet.
    pub mtu: u16,
    /// Frames that each receive queue has room for.
    pub rx_descriptors: u16,
    /// Frames that each send queue has room for.
    pub tx_descriptors: u16,
    /// What is left to the port: `rx_tcp_checksum` and the like.
    pub offloads: Vec<&'static str>,
    /// Whether it spreads connections over its queues by a hash.
    pub rss: bool,
}

/// What the driver of a port counts over all queues.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct PortCounterStats {
    /// Frames that came in.
    pub frames_in: u64,
    /// Bytes of these.
    pub bytes_in: u64,
    /// Frames that went out.
    pub frames_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
    /// Frames lost because no lcore fetched them in time.
    pub missed: u64,
    /// Frames lost because they were broken.
    pub errors_in: u64,
    /// Frames that could not be sent.
    pub errors_out: u64,
    /// Times that the pool had no mbuf to receive into.
    pub no_mbuf: u64,
}

/// A pool of mbufs.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MempoolStats {
    /// `rx_PORT_WORKER` or `tx_PORT_WORKER`, or `messages_WORKER` for what a worker publishes; ports
    /// and workers are counted from zero.
    pub name: String,
    /// The NUMA node of its memory; `None` without huge pages.
    pub node: Option<u32>,
    /// Mbufs in all.
    pub mbufs: u32,
    /// Those that are out: with an lcore, or in the ring of a port.
    pub in_use: u32,
}

/// TCP connections by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FlowCounts {
    /// Not acknowledged by the client yet.
    pub half_open: u64,
    /// Open or ending.
    pub open: u64,
    /// Ended and remembered.
    pub time_wait: u64,
}

/// An lcore, which is a worker.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LcoreStats {
    /// The CPU that it runs on, as `dpdk.port.lcores` names it.
    pub lcore: usize,
    /// Nanoseconds in which it had something to do.
    pub busy_ns: u64,
    /// The part of the time since the start in which it had something to do, from 0 to 1.
    pub busy_share: f64,
    /// Its TCP connections.
    pub flows: FlowCounts,
    /// Frames and packets that came and were dropped by TCP/IP, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// Segments that came to an address of its ports with right checksums; those that it passed on
    /// are counted by the lcore that did not.
    pub segments_in: u64,
    /// Those that a connection has taken. The others were answered by a reset or dropped.
    pub segments_taken: u64,
    /// Segments that were sent, resets included.
    pub segments_out: u64,
    /// Segments passed on to another lcore, which may know their connection.
    pub segments_handed_over: u64,
    /// Resets that answer segments which belong to no connection, or begin one that is refused.
    pub resets_out: u64,
    /// Half-open connections that made room for a new one.
    pub half_open_evicted: u64,
    /// Half-open connections that were not acknowledged in time.
    pub half_open_expired: u64,
    /// Connections that did not end in time and were reset.
    pub closing_expired: u64,
    /// Its queue pair of each port that it serves.
    pub queues: Vec<QueueStats>,
}

/// A queue pair, as its lcore counts.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct QueueStats {
    /// The port's name.
    pub port: String,
    /// The number of the queue pair on it.
    pub queue: usize,
    /// Frames that came.
    pub frames_in: u64,
    /// Bytes of these.
    pub bytes_in: u64,
    /// Frames that the port has taken.
    pub frames_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
    /// Bursts that came.
    pub bursts_in: u64,
    /// Bursts of which the port has taken a frame at least.
    pub bursts_out: u64,
    /// Frames dropped because the port took none and as many waited as may.
    pub dropped_tx_full: u64,
    /// Frames dropped because they were not as the port demands, or did not come as one piece.
    pub dropped_invalid: u64,
    /// Frames that could not be made because there was no mbuf for them.
    pub no_memory: u64,
}

impl DpdkStats {
    pub(super) fn new(
        ports: Vec<PortStats>,
        mempools: Vec<MempoolStats>,
        lcores: Vec<LcoreStats>,
    ) -> Self {
        let mut flows = FlowCounts::default();
        let mut drops: BTreeMap<&'static str, u64> = BTreeMap::new();
        for lcore in &lcores {
            flows.half_open += lcore.flows.half_open;
            flows.open += lcore.flows.open;
            flows.time_wait += lcore.flows.time_wait;
            for (reason, count) in &lcore.drops {
                *drops.entry(reason).or_default() += count;
            }
        }
        let segments_handed_over = lcores.iter().map(|lcore| lcore.segments_handed_over).sum();
        Self { ports, mempools, flows, drops, segments_handed_over, lcores }
    }
}

impl LcoreStats {
    pub(super) fn new(
        lcore: usize,
        (busy_ns, uptime_ns): (u64, u128),
        stack: &StackCounters,
        queues: Vec<QueueStats>,
    ) -> Self {
        let drops = iter::zip(DropReason::ALL, stack.dropped);
        let busy_share = busy_ns as f64 / uptime_ns.max(1) as f64;
        Self {
            lcore,
            busy_ns,
            // Four digits: what a turn that has not ended adds would change the next.
            busy_share: (busy_share.min(1.0) * 1e4).round() / 1e4,
            flows: FlowCounts {
                half_open: stack.half_open,
                open: stack.open,
                time_wait: stack.time_wait,
            },
            drops: drops.map(|(reason, count)| (reason.name(), count)).collect(),
            segments_in: stack.segments_in,
            segments_taken: stack.segments_taken,
            segments_out: stack.segments_out,
            segments_handed_over: stack.handed_over,
            resets_out: stack.resets_out,
            half_open_evicted: stack.half_open_evicted,
            half_open_expired: stack.half_open_expired,
            closing_expired: stack.closing_expired,
            queues,
        }
    }
}

impl QueueStats {
    pub(super) fn new(port: String, queue: usize, counters: &PortCounters) -> Self {
        let PortCounters {
            frames_in,
            bytes_in,
            frames_out,
            bytes_out,
            bursts_in,
            bursts_out,
            dropped_tx_full,
            dropped_invalid,
            no_memory,
        } = *counters;
        Self {
            port,
            queue,
            frames_in,
            bytes_in,
            frames_out,
            bytes_out,
            bursts_in,
            bursts_out,
            dropped_tx_full,
            dropped_invalid,
            no_memory,
        }
    }
}

impl GrantedStats {
    pub(super) fn new(granted: &Granted) -> Self {
        Self {
            queue_pairs: granted.queue_pairs,
            mtu: granted.mtu,
            rx_descriptors: granted.rx_descriptors,
            tx_descriptors: granted.tx_descriptors,
            offloads: names(granted.offloads),
            rss: granted.rss_hash != 0,
        }
    }
}

impl PortCounterStats {
    pub(super) fn new(counts: PortCounts) -> Self {
        let PortCounts {
            frames_in,
            bytes_in,
            frames_out,
            bytes_out,
            missed,
            errors_in,
            errors_out,
            no_mbuf,
        } = counts;
        Self { frames_in, bytes_in, frames_out, bytes_out, missed, errors_in, errors_out, no_mbuf }
    }
}

fn names(offloads: Offloads) -> Vec<&'static str> {
    let Offloads {
        rx_ipv4_checksum,
        rx_tcp_checksum,
        rx_vlan_strip,
        tx_ipv4_checksum,
        tx_tcp_checksum,
    } = offloads;
    let named = [
        (rx_ipv4_checksum, "rx_ipv4_checksum"),
        (rx_tcp_checksum, "rx_tcp_checksum"),
        (rx_vlan_strip, "rx_vlan_strip"),
        (tx_ipv4_checksum, "tx_ipv4_checksum"),
        (tx_tcp_checksum, "tx_tcp_checksum"),
    ];
    named.into_iter().filter_map(|(granted, name)| granted.then_some(name)).collect()
}
