//! How much memory the ports and flows of DPDK need, as sums of named terms.
//!
//! Each lcore has pools and rings of its own, on its NUMA node. What is in huge pages counts against
//! `dpdk.memory`: EAL's part, which is the pools of mbufs and the queues, and the rings of flows,
//! which the data path maps by itself.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use crate::dpdk::{Lcore, Memory, Port};
use crate::{Config, Cpus, size};

/// Mbufs that an lcore keeps at hand for each pool.
pub const CACHE_MBUFS: usize = 256;

/// Frames that an lcore may pass on to the next one of its port before that one takes them.
pub const HANDOVER_SLOTS: usize = 256;

/// What comes on top of the data of an mbuf: `struct rte_mbuf` 128, headroom 128, the header of a
/// mempool's object 64, at most 64 to spread objects over memory channels, 16 in the ring of the
/// mempool.
const MBUF_OVERHEAD_BYTES: u64 = 128 + 128 + 64 + 64 + 16;

/// What the driver of XDP sockets has always lying in the ring from which the kernel takes memory for
/// what it receives (`XSK_RING_PROD__DEFAULT_NUM_DESCS`), however many descriptors it is asked for.
const XDP_FILL_MBUFS: usize = 2048;

/// Ethernet header 14, two VLAN tags 8, frame check sequence 4.
const FRAME_OVERHEAD_BYTES: usize = 14 + 8 + 4;

/// The least room for data, and what it is a multiple of: some NICs count in KiB.
const DATA_ROOM_BYTES_MIN: usize = 2048;
const DATA_ROOM_STEP_BYTES: usize = 1024;

/// Mbufs for messages in a backlog, and for those in the mesh, at most: 20 MiB for each lcore.
const MESSAGE_MBUFS_MAX: usize = 8192;

/// A descriptor of the NIC and what the driver keeps beside it: not more than this.
const DESCRIPTOR_BYTES: u64 = 128;

/// All that a worker keeps of a flow beside its rings: not more than this.
const FLOW_BYTES: u64 = 1280;

/// All that a worker keeps of a closed flow: not more than this.
const TIME_WAIT_BYTES: u64 = 128;

/// Rings begin on cache lines of their own, and are taken from the system in regions.
const LINE_BYTES: u64 = 64;
const REGION_BYTES: u64 = 16 * MIB;

/// What EAL and the drivers need for themselves on each node.
const EAL_BYTES: u64 = 16 * MIB;

const HUGE_PAGE_BYTES: u64 = 2 * MIB;
const SMALL_PAGE_BYTES: u64 = 4 << 10;
const MIB: u64 = 1 << 20;

/// A pool of mbufs, as a sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MbufPool {
    /// Room for data in each, without headroom, in bytes.
    pub data_room_bytes: usize,
    /// Memory that each takes at most, in bytes.
    pub mbuf_bytes: u64,
    /// Whatever can hold mbufs at one time, and how many: the pool has as many as these together.
    pub holders: Vec<(&'static str, usize)>,
}

impl MbufPool {
    /// Mbufs in the pool.
    pub fn mbufs(&self) -> usize {
        self.holders.iter().map(|(_, mbufs)| mbufs).sum()
    }

    /// Memory that the pool takes, in bytes.
    pub fn bytes(&self) -> u64 {
        wide(self.mbufs()).saturating_mul(self.mbuf_bytes)
    }

    fn term(&self, what: String) -> Term {
        let holders = self.holders.iter().map(|(holder, mbufs)| format!("{mbufs} {holder}"));
        let sum = holders.collect::<Vec<_>>().join(" + ");
        let arithmetic = format!("({sum}) x {} B", self.mbuf_bytes);
        Term { what, bytes: self.bytes(), arithmetic }
    }
}

/// Mbufs in the caches of `lcores`, all that may free some of the pool: a cache is emptied when it
/// holds half as much again as it should.
fn in_caches(lcores: usize) -> (&'static str, usize) {
    ("in caches", (CACHE_MBUFS + CACHE_MBUFS / 2).saturating_mul(lcores))
}

/// The pool that one receive queue of `port` takes its mbufs from, where `lcores` serve the port:
/// they hand frames to each other.
pub fn receive_pool(config: &Config, port: &Port, lcores: usize) -> MbufPool {
    let descriptors = usize::from(port.rx_descriptors);
    let queue = if port.device.is_af_xdp() {
        // What is sent is copied into mbufs of this pool, and may lie in as many descriptors.
        ("descriptors and in the fill ring", descriptors + XDP_FILL_MBUFS)
    } else {
        ("descriptors", descriptors)
    };
    let mut pool = queue_pool(config, port, queue, lcores);
    if let Some(others) = lcores.checked_sub(1).filter(|others| *others > 0) {
        // They go on from lcore to lcore, and come to each of the others at most.
        pool.holders.push(("handed over", HANDOVER_SLOTS.saturating_mul(others)));
    }
    pool
}

/// The pool for what goes into one transmit queue of `port`.
pub fn transmit_pool(config: &Config, port: &Port) -> MbufPool {
    queue_pool(config, port, ("descriptors", usize::from(port.tx_descriptors)), 1)
}

fn queue_pool(
    config: &Config,
    port: &Port,
    queue: (&'static str, usize),
    lcores: usize,
) -> MbufPool {
    let data_room_bytes = data_room_bytes(port);
    let burst = ("in a burst", usize::from(config.dpdk.burst));
    MbufPool {
        data_room_bytes,
        mbuf_bytes: mbuf_bytes(config, data_room_bytes),
        holders: vec![queue, burst, in_caches(lcores)],
    }
}

/// An mbuf lies within one page where it can, so that small pages have one each.
fn mbuf_bytes(config: &Config, data_room_bytes: usize) -> u64 {
    let bytes = wide(data_room_bytes) + MBUF_OVERHEAD_BYTES;
    if config.dpdk.huge_pages { bytes } else { bytes.next_multiple_of(SMALL_PAGE_BYTES) }
}

/// The pool for the messages that one of `lcores` has published: as many as wait for the slowest
/// session and in the rings to other workers, or as its share of all backlogs holds, within bounds.
/// Messages that find no mbuf, or are too large for one, are on the heap.
pub fn message_pool(config: &Config, lcores: usize) -> MbufPool {
    let broadcast = &config.broadcast;
    let mbuf_bytes = mbuf_bytes(config, DATA_ROOM_BYTES_MIN);
    let share = wide(broadcast.backlog_total_bytes_max / lcores.max(1)) / mbuf_bytes;
    let share = narrow(share);
    let backlog = broadcast.backlog_messages_max.min(share).min(MESSAGE_MBUFS_MAX);
    let mesh = broadcast.mesh_slots.min(share - backlog).min(MESSAGE_MBUFS_MAX);
    let mesh = if lcores > 1 { mesh } else { 0 };
    let holders = vec![("in a backlog", backlog), ("in the mesh", mesh), in_caches(lcores)];
    MbufPool { data_room_bytes: DATA_ROOM_BYTES_MIN, mbuf_bytes, holders }
}

/// Room for the largest frame of `port` in one mbuf.
fn data_room_bytes(port: &Port) -> usize {
    let frame = usize::from(port.mtu) + FRAME_OVERHEAD_BYTES;
    frame.next_multiple_of(DATA_ROOM_STEP_BYTES).max(DATA_ROOM_BYTES_MIN)
}

/// What one of `lcores` must be able to hold of `total` things that are spread over them by a hash:
/// an equal part, an eighth more and 64 more, which chance does not exceed; not more than all.
pub fn share(total: usize, lcores: usize) -> usize {
    let part = total.div_ceil(lcores.max(1));
    part.saturating_add(part / 8).saturating_add(64).min(total)
}

/// The memory that a configuration needs on certain lcores.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Flows that an lcore must hold.
    pub flows_per_lcore: usize,
    /// Half-open ones among them.
    pub half_open_per_lcore: usize,
    /// Closed flows that it must remember.
    pub time_wait_per_lcore: usize,
    huge_pages: bool,
    /// Lcores that need the same.
    groups: Vec<Group>,
    /// By the number of the node.
    nodes: BTreeMap<usize, Node>,
}

/// Lcores of one node that serve the same ports.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    cpus: Vec<usize>,
    node: usize,
    /// EAL's part of what each needs.
    pools: Vec<Term>,
    rings: Term,
    /// Not in huge pages.
    heap: Term,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Node {
    /// In pools and queues.
    eal_bytes: u64,
    /// In rings of flows.
    ring_bytes: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    what: String,
    bytes: u64,
    arithmetic: String,
}

impl Capacity {
    /// The memory that a valid `config` needs on `lcores`.
    pub fn new(config: &Config, lcores: &[Lcore]) -> Self {
        let dpdk = &config.dpdk;
        let mut alike: BTreeMap<(usize, &[usize]), Vec<usize>> = BTreeMap::new();
        for lcore in lcores {
            alike.entry((lcore.node, &lcore.ports)).or_default().push(lcore.cpu);
        }
        let mut capacity = Self {
            flows_per_lcore: share(dpdk.flows_max, lcores.len()),
            half_open_per_lcore: share(dpdk.half_open_max, lcores.len()),
            time_wait_per_lcore: share(dpdk.time_wait_max, lcores.len()),
            huge_pages: dpdk.huge_pages,
            groups: Vec::new(),
            nodes: BTreeMap::new(),
        };
        for ((node, ports), cpus) in alike {
            let group = Group {
                node,
                pools: pools(config, ports, lcores),
                rings: capacity.rings(config),
                heap: capacity.heap(),
                cpus,
            };
            let count = wide(group.cpus.len());
            let on_node = capacity.nodes.entry(node).or_default();
            let pools = group.pool_bytes().saturating_mul(count);
            on_node.eal_bytes = on_node.eal_bytes.saturating_add(pools);
            let rings = group.rings.bytes.saturating_mul(count);
            on_node.ring_bytes = on_node.ring_bytes.saturating_add(rings);
            capacity.groups.push(group);
        }
        for node in capacity.nodes.values_mut() {
            let eal = node.eal_bytes.saturating_add(EAL_BYTES);
            node.eal_bytes = round_up(eal, HUGE_PAGE_BYTES);
        }
        capacity
    }

    fn rings(&self, config: &Config) -> Term {
        let (input, output) = (config.tcp.receive_ring_bytes(), config.tcp.send_ring_bytes());
        let each =
            round_up(wide(input), LINE_BYTES).saturating_add(round_up(wide(output), LINE_BYTES));
        let flows = self.flows_per_lcore;
        Term {
            what: "rings of flows".to_owned(),
            bytes: round_up(wide(flows).saturating_mul(each), REGION_BYTES),
            arithmetic: format!(
                "{flows} flows x ({} in + {} out), in whole {}",
                size::print(input),
                size::print(output),
                size::print(narrow(REGION_BYTES))
            ),
        }
    }

    fn heap(&self) -> Term {
        let (flows, remembered) = (self.flows_per_lcore, self.time_wait_per_lcore);
        let of_flows = wide(flows).saturating_mul(FLOW_BYTES);
        Term {
            what: "on the heap, at most".to_owned(),
            bytes: of_flows.saturating_add(wide(remembered).saturating_mul(TIME_WAIT_BYTES)),
            arithmetic: format!(
                "{flows} flows x {FLOW_BYTES} B + {remembered} in TIME-WAIT x {TIME_WAIT_BYTES} B"
            ),
        }
    }

    /// Memory that is needed of `node` beside the heap, in bytes.
    pub fn needed_bytes(&self, node: usize) -> u64 {
        self.nodes.get(&node).map_or(0, Node::bytes)
    }

    /// Memory for EAL, in whole MiB for each node from 0 on: what `--socket-mem` takes, or in sum
    /// `-m`. With `memory` set, all of it that the rings of flows leave.
    pub fn eal_mib(&self, memory: &Memory) -> Vec<u64> {
        let nodes = self.nodes.last_key_value().map_or(0, |(last, _)| last + 1);
        let of_node = |node| {
            let needs = self.nodes.get(&node).copied().unwrap_or_default();
            match given_bytes(memory, node) {
                Some(given) if needs != Node::default() => {
                    given.saturating_sub(needs.ring_bytes).max(needs.eal_bytes) / MIB
                }
                _ => needs.eal_bytes / MIB,
            }
        };
        (0..nodes).map(of_node).collect()
    }

    /// Whether `memory` holds what is needed; what is computed always does.
    ///
    /// # Errors
    /// The first node of which more is needed than it gives.
    pub fn check(&self, memory: &Memory) -> Result<(), CapacityError> {
        let is_short = |node: &usize| {
            let given = given_bytes(memory, *node);
            given.is_some_and(|given| given < self.needed_bytes(*node))
        };
        let Some(node) = self.nodes.keys().copied().find(is_short) else {
            return Ok(());
        };
        Err(CapacityError {
            node,
            needed: self.needed_bytes(node),
            given: given_bytes(memory, node).unwrap_or(0),
            arithmetic: self.sum_of(node),
        })
    }

    /// The sum of what is needed of a node, down to the terms.
    fn sum_of(&self, node: usize) -> String {
        let groups = self.groups.iter().filter(|group| group.node == node);
        let parts = groups.map(|group| {
            let terms = group.pools.iter().chain([&group.rings]);
            let terms: Vec<_> = terms
                .map(|term| format!("{} {} [{}]", term.what, mib(term.bytes), term.arithmetic))
                .collect();
            format!("{} x ({})", lcores(group.cpus.len()), terms.join(" + "))
        });
        let own = format!("{} for EAL", mib(EAL_BYTES));
        parts.chain([own]).collect::<Vec<_>>().join(" + ")
    }
}

/// Bytes of a node that `memory` gives; `None` where it gives what is needed.
fn given_bytes(memory: &Memory, node: usize) -> Option<u64> {
    match memory {
        Memory::Auto => None,
        Memory::Each(bytes) => Some(wide(*bytes)),
        Memory::Nodes(nodes) => Some(nodes.get(node).map_or(0, |bytes| wide(*bytes))),
    }
}

/// What the mbufs and queues of one of `lcores` need that serves `ports`.
fn pools(config: &Config, ports: &[usize], lcores: &[Lcore]) -> Vec<Term> {
    let mut terms = Vec::new();
    for index in ports {
        let Some(port) = config.dpdk.ports.get(*index) else {
            continue;
        };
        let serving = lcores.iter().filter(|lcore| lcore.ports.contains(index)).count();
        terms
            .push(receive_pool(config, port, serving).term(format!("port {index}, receive mbufs")));
        terms.push(transmit_pool(config, port).term(format!("port {index}, transmit mbufs")));
        let (rx, tx) = (port.rx_descriptors, port.tx_descriptors);
        terms.push(Term {
            what: format!("port {index}, queues"),
            bytes: (u64::from(rx) + u64::from(tx)) * DESCRIPTOR_BYTES,
            arithmetic: format!("({rx} + {tx} descriptors) x {DESCRIPTOR_BYTES} B"),
        });
    }
    terms.push(message_pool(config, lcores.len()).term("message mbufs".to_owned()));
    terms
}

impl Group {
    fn pool_bytes(&self) -> u64 {
        self.pools.iter().fold(0, |sum, term| sum.saturating_add(term.bytes))
    }
}

impl Node {
    fn bytes(&self) -> u64 {
        self.eal_bytes.saturating_add(self.ring_bytes)
    }
}

/// One line for each term and each sum, without a line end behind the last.
impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Group { cpus, node, pools, rings, heap } in &self.groups {
            let each = if cpus.len() > 1 { ", each" } else { "" };
            writeln!(f, "lcores {} on NUMA node {node}{each}:", Cpus::List(cpus.clone()))?;
            for Term { what, bytes, arithmetic } in pools.iter().chain([rings, heap]) {
                writeln!(f, "  {what:<24}{:>12} = {arithmetic}", mib(*bytes))?;
            }
        }
        let mut gap = "";
        for (number, node) in &self.nodes {
            let needed = node.bytes();
            let kind = match needed.div_ceil(HUGE_PAGE_BYTES) {
                pages if self.huge_pages => format!("in huge pages ({pages} of 2 MiB)"),
                _ => "in ordinary pages".to_owned(),
            };
            let (eal, rings) = (mib(node.eal_bytes), mib(node.ring_bytes));
            write!(
                f,
                "{gap}NUMA node {number}: {} {kind} = {eal} of EAL, {} for itself included, + {rings} \
                 rings of flows",
                mib(needed),
                mib(EAL_BYTES)
            )?;
            gap = "\n";
        }
        Ok(())
    }
}

/// `dpdk.memory` gives less of a node than is needed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapacityError {
    /// The node.
    pub node: usize,
    /// What is needed of it, in bytes.
    pub needed: u64,
    /// What it may give, in bytes.
    pub given: u64,
    arithmetic: String,
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, needed, given, arithmetic } = self;
        write!(
            f,
            "dpdk.memory: expected \"auto\" or at least {} of NUMA node {node}, which is {arithmetic}, \
             got {}; fewer dpdk.flows_max, smaller buffers in [tcp] or fewer descriptors need less",
            mib(*needed),
            mib(*given)
        )
    }
}

impl Error for CapacityError {}

fn lcores(count: usize) -> String {
    if count == 1 { "1 lcore".to_owned() } else { format!("{count} lcores") }
}

/// In MiB, rounded up to a tenth.
fn mib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(MIB));
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} MiB"),
        (whole, tenth) => format!("{whole}.{tenth} MiB"),
    }
}

/// Up to a whole number of `step`, or the last below the end of all numbers.
fn round_up(bytes: u64, step: u64) -> u64 {
    bytes.checked_next_multiple_of(step).unwrap_or(u64::MAX / step * step)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn narrow(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
