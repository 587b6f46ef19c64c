//! Every key of the file, in order: its name, its kind and bounds, and its field.
//!
//! This one list is what reading, checking, printing and the search for the nearest known name go
//! through; a key that stands here is known to all of them.

use std::fmt;
use std::time::Duration;

use crate::check::Relation;
use crate::config::{CLIENTS_MAX, WORKERS_MAX, workers_suggested};
use crate::dpdk::PORTS_MAX;
use crate::kind::{
    Addresses, Admin, Auto, Choice, Count, CpuList, EalArguments, EalMemory, FilePrefix, Flag,
    Gateways, Kind, LcoreList, Listen, Networks, OriginList, Pci, Routes, Sessions, Size,
    Subprotocols, Time, Token, UrlPath, Vdev, Word, quoted,
};
use crate::{Broadcast, Config, Control, Device, Dpdk, Limits, Port, Server, Tcp, WebSocket};

/// A key of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The table's path: `server`, or `dpdk.port` for an array of tables within a table.
    pub(crate) table: &'static str,
    /// Which table of an array of them; `None` for a table that there is once.
    pub(crate) index: Option<usize>,
    /// Empty for a table of an array itself.
    pub(crate) name: &'static str,
}

/// The dotted path: `server.listen`, `dpdk.port[1].addresses`, `dpdk.port[1]`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        let dot = if self.name.is_empty() { "" } else { "." };
        write!(f, "{dot}{}", self.name)
    }
}

impl Key {
    /// The header of the table that it is in.
    pub(crate) fn header(&self) -> String {
        match self.index {
            None => format!("[{}]", self.table),
            Some(_) => format!("[[{}]]", self.table),
        }
    }
}

/// Names a key in code: `key("server", "listen")`.
pub(crate) const fn key(table: &'static str, name: &'static str) -> Key {
    Key { table, index: None, name }
}

/// Names a key of a port: `port_key(1, "addresses")`.
pub(crate) const fn port_key(index: usize, name: &'static str) -> Key {
    Key { table: PORTS.path, index: Some(index), name }
}

/// An array of tables, such as `[[dpdk.port]]`.
pub(crate) struct Tables {
    /// The table that it is in, and its name there.
    pub(crate) key: Key,
    /// Both as the keys of its tables have it.
    pub(crate) path: &'static str,
    /// The most tables that there may be.
    pub(crate) max: usize,
}

impl Tables {
    /// Refuses `count` of them.
    pub(crate) fn too_many(&self, count: usize) -> String {
        format!("expected at most {} times [[{}]], got {count}", self.max, self.path)
    }
}

pub(crate) const PORTS: Tables =
    Tables { key: key("dpdk", "port"), path: "dpdk.port", max: PORTS_MAX };

/// What is done with each key.
pub(crate) trait Visitor: Sized {
    fn key<T>(&mut self, key: Key, kind: &impl Kind<T>, value: &mut T);

    /// Goes through an array of tables, of which `each` shows the keys of one.
    fn tables<T: Default>(
        &mut self,
        tables: &Tables,
        elements: &mut Vec<T>,
        each: fn(usize, &mut T, &mut Self),
    );

    /// Takes note of a rule between keys that is broken already when their values are put together.
    fn refuse(&mut self, relation: Relation);
}

/// Shows the keys of each of the tables that there are.
pub(crate) fn visit_each<T, V: Visitor>(
    elements: &mut [T],
    each: fn(usize, &mut T, &mut V),
    visitor: &mut V,
) {
    for (index, element) in elements.iter_mut().enumerate() {
        each(index, element, visitor);
    }
}

/// Shows every key to `visitor`, which may change its value.
pub(crate) fn visit(config: &mut Config, visitor: &mut impl Visitor) {
    server(&mut config.server, visitor);
    websocket(&mut config.websocket, visitor);
    broadcast(&mut config.broadcast, visitor);
    tcp(&mut config.tcp, visitor);
    limits(&mut config.limits, visitor);
    control(&mut config.control, visitor);
    dpdk(&mut config.dpdk, visitor);
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
/// On a 32-bit platform, all that can be addressed.
const TIB: usize = GIB.saturating_mul(1 << 10);

/// Timers here tick in milliseconds; no client is worth waiting a day for.
const TIMEOUT: Time = Time { min: Duration::from_millis(1), max: Duration::from_secs(24 * 3600) };

/// Linux takes whole seconds up to 32,767 (`TCP_KEEPIDLE`).
const KEEPALIVE: Time = Time { min: Duration::from_secs(1), max: Duration::from_secs(9 * 3600) };

fn or_off(kind: Time) -> Word<Time, Duration> {
    Word { word: "off", synonym: Some(Duration::ZERO), kind }
}

fn or_unlimited<K, T>(kind: K) -> Word<K, T> {
    Word { word: "off", synonym: None, kind }
}

fn or_system(kind: Size) -> Word<Size, usize> {
    Word { word: "system", synonym: None, kind }
}

fn server(server: &mut Server, visitor: &mut impl Visitor) {
    let workers = Auto { suggested: workers_suggested, kind: Count { min: 1, max: WORKERS_MAX } };
    visitor.key(key("server", "listen"), &Listen, &mut server.listen);
    visitor.key(key("server", "datapath"), &Choice::new(), &mut server.datapath);
    visitor.key(key("server", "client_address"), &Choice::new(), &mut server.client_address);
    visitor.key(key("server", "trusted_proxies"), &Networks, &mut server.trusted_proxies);
    visitor.key(key("server", "workers"), &workers, &mut server.workers);
    visitor.key(key("server", "cpus"), &CpuList, &mut server.cpus);
    let shards = Count { min: 1, max: 4096 };
    visitor.key(key("server", "session_shards"), &shards, &mut server.session_shards);
}

fn websocket(websocket: &mut WebSocket, visitor: &mut impl Visitor) {
    let message = Size { min: 1, max: GIB };
    visitor.key(key("websocket", "path"), &UrlPath, &mut websocket.path);
    visitor.key(key("websocket", "message_max"), &message, &mut websocket.message_bytes_max);
    let interval = or_off(TIMEOUT);
    visitor.key(key("websocket", "ping_interval"), &interval, &mut websocket.ping_interval);
    visitor.key(key("websocket", "pong_timeout"), &TIMEOUT, &mut websocket.pong_timeout);
    visitor.key(key("websocket", "close_timeout"), &TIMEOUT, &mut websocket.close_timeout);
    visitor.key(key("websocket", "origins"), &OriginList, &mut websocket.origins);
    visitor.key(key("websocket", "subprotocols"), &Subprotocols, &mut websocket.subprotocols);
}

fn broadcast(broadcast: &mut Broadcast, visitor: &mut impl Visitor) {
    visitor.key(key("broadcast", "publish"), &Choice::new(), &mut broadcast.publish);
    visitor.key(key("broadcast", "include_sender"), &Flag, &mut broadcast.include_sender);
    let slow_consumer = key("broadcast", "slow_consumer");
    visitor.key(slow_consumer, &Choice::new(), &mut broadcast.slow_consumer);
    let messages = Count { min: 1, max: 1 << 20 };
    let backlog = key("broadcast", "backlog_messages_max");
    visitor.key(backlog, &messages, &mut broadcast.backlog_messages_max);
    let bytes = Size { min: 1, max: 2 * GIB };
    visitor.key(key("broadcast", "backlog_max"), &bytes, &mut broadcast.backlog_bytes_max);
    let total = Size { min: KIB, max: TIB };
    let backlog_total = key("broadcast", "backlog_total_max");
    visitor.key(backlog_total, &total, &mut broadcast.backlog_total_bytes_max);
    let slots = Count { min: 1, max: 1 << 16 };
    visitor.key(key("broadcast", "mesh_slots"), &slots, &mut broadcast.mesh_slots);
}

fn tcp(tcp: &mut Tcp, visitor: &mut impl Visitor) {
    let accept = Count { min: 1, max: 65_535 };
    visitor.key(key("tcp", "accept_backlog"), &accept, &mut tcp.accept_backlog);
    let buffer = or_system(Size { min: KIB, max: 256 * MIB });
    visitor.key(key("tcp", "send_buffer"), &buffer, &mut tcp.send_buffer_bytes);
    visitor.key(key("tcp", "receive_buffer"), &buffer, &mut tcp.receive_buffer_bytes);
    visitor.key(key("tcp", "nodelay"), &Flag, &mut tcp.nodelay);
    visitor.key(key("tcp", "keepalive"), &or_off(KEEPALIVE), &mut tcp.keepalive);
}

fn limits(limits: &mut Limits, visitor: &mut impl Visitor) {
    visitor.key(key("limits", "sessions_max"), &Sessions, &mut limits.sessions_max);
    let count = or_unlimited(Count { min: 1, max: CLIENTS_MAX });
    let name = key("limits", "sessions_per_prefix_max");
    visitor.key(name, &count, &mut limits.sessions_per_prefix_max);
    let name = key("limits", "connections_per_prefix_max");
    visitor.key(name, &count, &mut limits.connections_per_prefix_max);
    let bits = |max| Count { min: 1_u8, max };
    visitor.key(key("limits", "prefix_v4"), &bits(32), &mut limits.prefix_v4_bits);
    visitor.key(key("limits", "prefix_v6"), &bits(128), &mut limits.prefix_v6_bits);
    let rate = or_unlimited(Count { min: 1, max: 1_000_000 });
    let name = key("limits", "upgrades_per_second_max");
    visitor.key(name, &rate, &mut limits.upgrades_per_second_max);
    let name = key("limits", "messages_per_second_max");
    visitor.key(name, &rate, &mut limits.messages_per_second_max);
    let bytes = or_unlimited(Size { min: 1, max: GIB });
    let name = key("limits", "bytes_per_second_max");
    visitor.key(name, &bytes, &mut limits.bytes_per_second_max);
    visitor.key(key("limits", "handshake_timeout"), &TIMEOUT, &mut limits.handshake_timeout);
    // The longest path that is taken and the fields an upgrade needs must fit.
    let bytes = Size { min: 512, max: MIB };
    visitor.key(key("limits", "handshake_max"), &bytes, &mut limits.handshake_bytes_max);
    // Host, Upgrade, Connection, Sec-WebSocket-Key and Sec-WebSocket-Version (RFC 6455, section
    // 4.1) must fit.
    let headers = Count { min: 5, max: 256 };
    let name = key("limits", "handshake_headers_max");
    visitor.key(name, &headers, &mut limits.handshake_headers_max);
}

fn control(control: &mut Control, visitor: &mut impl Visitor) {
    visitor.key(key("control", "admin"), &Admin, &mut control.admin);
    visitor.key(key("control", "admin_token"), &Token, &mut control.admin_token);
    visitor.key(key("control", "drain_timeout"), &TIMEOUT, &mut control.drain_timeout);
    visitor.key(key("control", "log_format"), &Choice::new(), &mut control.log_format);
    visitor.key(key("control", "log_level"), &Choice::new(), &mut control.log_level);
    let lines = Word { word: "off", synonym: None, kind: Count { min: 1, max: 100_000 } };
    visitor.key(key("control", "connection_log"), &lines, &mut control.connection_log_lines_max);
}

fn dpdk(dpdk: &mut Dpdk, visitor: &mut impl Visitor) {
    visitor.key(key("dpdk", "memory"), &EalMemory, &mut dpdk.memory);
    visitor.key(key("dpdk", "huge_pages"), &Flag, &mut dpdk.huge_pages);
    visitor.key(key("dpdk", "file_prefix"), &FilePrefix, &mut dpdk.file_prefix);
    visitor.key(key("dpdk", "eal_args"), &EalArguments, &mut dpdk.eal_args);
    visitor.key(key("dpdk", "idle"), &Choice::new(), &mut dpdk.idle);
    let flows = Count { min: 1, max: CLIENTS_MAX };
    visitor.key(key("dpdk", "flows_max"), &flows, &mut dpdk.flows_max);
    visitor.key(key("dpdk", "half_open_max"), &flows, &mut dpdk.half_open_max);
    visitor.key(key("dpdk", "time_wait_max"), &flows, &mut dpdk.time_wait_max);
    visitor.key(key("dpdk", "burst"), &Count { min: 8, max: 32 }, &mut dpdk.burst);
    visitor.tables(&PORTS, &mut dpdk.ports, port);
}

fn port<V: Visitor>(index: usize, port: &mut Port, visitor: &mut V) {
    let key = |name| port_key(index, name);
    device(index, &mut port.device, visitor);
    visitor.key(key("addresses"), &Addresses, &mut port.addresses);
    visitor.key(key("gateway"), &Gateways, &mut port.gateways);
    visitor.key(key("routes"), &Routes, &mut port.routes);
    let tag = Word { word: "off", synonym: None, kind: Count { min: 1, max: 4094 } };
    visitor.key(key("vlan"), &tag, &mut port.vlan);
    visitor.key(key("mtu"), &Count { min: 576, max: 9000 }, &mut port.mtu);
    visitor.key(key("lcores"), &LcoreList, &mut port.lcores);
    let descriptors = Count { min: 64, max: 16_384 };
    visitor.key(key("rx_descriptors"), &descriptors, &mut port.rx_descriptors);
    visitor.key(key("tx_descriptors"), &descriptors, &mut port.tx_descriptors);
    visitor.key(key("offloads"), &Choice::new(), &mut port.offloads);
}

/// One device, which two keys can name.
fn device(index: usize, device: &mut Device, visitor: &mut impl Visitor) {
    let (mut pci, mut vdev) = match device.clone() {
        Device::Pci(text) => (Some(text), None),
        Device::Vdev(text) => (None, Some(text)),
    };
    // None yet.
    pci = pci.filter(|text| !text.is_empty());
    let (pci_key, vdev_key) = (port_key(index, "pci"), port_key(index, "vdev"));
    visitor.key(pci_key, &Word { word: "off", synonym: None, kind: Pci }, &mut pci);
    visitor.key(vdev_key, &Word { word: "off", synonym: None, kind: Vdev }, &mut vdev);
    let got = match (pci, vdev) {
        (Some(text), None) => return *device = Device::Pci(text),
        (None, Some(text)) => return *device = Device::Vdev(text),
        (None, None) => "neither".to_owned(),
        (Some(pci), Some(vdev)) => format!("{} beside {}", quoted(&pci), quoted(&vdev)),
    };
    visitor.refuse(Relation {
        keys: vec![port_key(index, ""), pci_key, vdev_key],
        message: format!("expected a device, by one of pci and vdev, got {got}"),
    });
}
