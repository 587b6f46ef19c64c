//! What a port can do, what is asked of it, and what it grants.

use std::ffi::CStr;

use dpdk_sys::rte_eth_dev_info;

/// What a port can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// The driver's name.
    pub driver: String,
    /// Queue pairs at most.
    pub queue_pairs_max: u16,
    /// The smallest MTU.
    pub mtu_min: u16,
    /// The largest MTU.
    pub mtu_max: u16,
    /// Whether it can tell flows of TCP over IP apart by a hash.
    pub rss: bool,
    /// Offloads that it has.
    pub offloads: Offloads,
    /// Whether its driver promises to tell when the link changes.
    pub link_events: bool,
}

/// What is left to the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Checking the checksum of IPv4 headers.
    pub rx_ipv4_checksum: bool,
    /// Checking that of TCP.
    pub rx_tcp_checksum: bool,
    /// Taking VLAN tags out of frames.
    pub rx_vlan_strip: bool,
    /// Computing the checksum of IPv4 headers.
    pub tx_ipv4_checksum: bool,
    /// Computing that of TCP.
    pub tx_tcp_checksum: bool,
}

/// What is asked of a port. It has as many queue pairs as there are pools to receive into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortOptions {
    /// Bytes of the longest IP packet.
    pub mtu: u16,
    /// Frames that each receive queue has room for, as near as the port's limits allow.
    pub rx_descriptors: u16,
    /// Frames that each send queue has room for, likewise.
    pub tx_descriptors: u16,
    /// What is left to the port, as far as it can.
    pub offloads: Offloads,
    /// Frames to all group addresses, as far as the port can.
    pub all_multicast: bool,
    /// All frames, as far as the port can.
    pub promiscuous: bool,
}

impl Default for PortOptions {
    /// An MTU of 1500, 1024 descriptors either way, all offloads, group addresses.
    fn default() -> Self {
        Self {
            mtu: 1500,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            offloads: Offloads::ALL,
            all_multicast: true,
            promiscuous: false,
        }
    }
}

/// What a port has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Queue pairs.
    pub queue_pairs: u16,
    /// The MTU.
    pub mtu: u16,
    /// Descriptors of each receive queue.
    pub rx_descriptors: u16,
    /// Descriptors of each send queue.
    pub tx_descriptors: u16,
    /// The offloads.
    pub offloads: Offloads,
    /// The kinds of packets that it spreads by a hash (`RTE_ETH_RSS_*`); 0 where it spreads none,
    /// or has one queue alone.
    pub rss_hash: u64,
    /// Whether frames to all group addresses are received.
    pub all_multicast: bool,
    /// Whether all frames are.
    pub promiscuous: bool,
    /// Whether its driver has been asked to tell when the link changes, as it promises to.
    pub link_events: bool,
}

impl Offloads {
    /// All.
    pub const ALL: Self = Self {
        rx_ipv4_checksum: true,
        rx_tcp_checksum: true,
        rx_vlan_strip: true,
        tx_ipv4_checksum: true,
        tx_tcp_checksum: true,
    };

    /// None.
    pub const NONE: Self = Self {
        rx_ipv4_checksum: false,
        rx_tcp_checksum: false,
        rx_vlan_strip: false,
        tx_ipv4_checksum: false,
        tx_tcp_checksum: false,
    };

    fn of(rx: u64, tx: u64) -> Self {
        Self {
            rx_ipv4_checksum: rx & dpdk_sys::SHIM_RX_OFFLOAD_IPV4_CKSUM != 0,
            rx_tcp_checksum: rx & dpdk_sys::SHIM_RX_OFFLOAD_TCP_CKSUM != 0,
            rx_vlan_strip: rx & dpdk_sys::SHIM_RX_OFFLOAD_VLAN_STRIP != 0,
            tx_ipv4_checksum: tx & dpdk_sys::SHIM_TX_OFFLOAD_IPV4_CKSUM != 0,
            tx_tcp_checksum: tx & dpdk_sys::SHIM_TX_OFFLOAD_TCP_CKSUM != 0,
        }
    }

    /// Those that are in both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            rx_ipv4_checksum: self.rx_ipv4_checksum && other.rx_ipv4_checksum,
            rx_tcp_checksum: self.rx_tcp_checksum && other.rx_tcp_checksum,
            rx_vlan_strip: self.rx_vlan_strip && other.rx_vlan_strip,
            tx_ipv4_checksum: self.tx_ipv4_checksum && other.tx_ipv4_checksum,
            tx_tcp_checksum: self.tx_tcp_checksum && other.tx_tcp_checksum,
        }
    }

    /// The bits for receiving.
    pub(super) fn rx(self) -> u64 {
        [
            (self.rx_ipv4_checksum, dpdk_sys::SHIM_RX_OFFLOAD_IPV4_CKSUM),
            (self.rx_tcp_checksum, dpdk_sys::SHIM_RX_OFFLOAD_TCP_CKSUM),
            (self.rx_vlan_strip, dpdk_sys::SHIM_RX_OFFLOAD_VLAN_STRIP),
        ]
        .into_iter()
        .fold(0, |bits, (asked, bit)| if asked { bits | bit } else { bits })
    }

    /// The bits for sending.
    pub(super) fn tx(self) -> u64 {
        [
            (self.tx_ipv4_checksum, dpdk_sys::SHIM_TX_OFFLOAD_IPV4_CKSUM),
            (self.tx_tcp_checksum, dpdk_sys::SHIM_TX_OFFLOAD_TCP_CKSUM),
        ]
        .into_iter()
        .fold(0, |bits, (asked, bit)| if asked { bits | bit } else { bits })
    }
}

impl PortLimits {
    pub(super) fn of(info: &rte_eth_dev_info) -> Self {
        let driver = if info.driver_name.is_null() {
            String::new()
        } else {
            // SAFETY: not null; the driver's own name, which stays while the driver is loaded.
            unsafe { CStr::from_ptr(info.driver_name) }.to_string_lossy().into_owned()
        };
        Self {
            driver,
            queue_pairs_max: info.max_rx_queues.min(info.max_tx_queues),
            mtu_min: info.min_mtu,
            mtu_max: info.max_mtu,
            rss: info.flow_type_rss_offloads & dpdk_sys::SHIM_RSS_IP_TCP != 0,
            offloads: Offloads::of(info.rx_offload_capa, info.tx_offload_capa),
            link_events: link_events(info),
        }
    }
}

/// Whether the driver promises to tell when the link changes.
pub(super) fn link_events(info: &rte_eth_dev_info) -> bool {
    if info.dev_flags.is_null() {
        return false;
    }
    // SAFETY: not null; a number of the port's, which is open.
    let flags = unsafe { *info.dev_flags };
    flags & dpdk_sys::SHIM_DEV_INTR_LSC != 0
}
