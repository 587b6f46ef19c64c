//! Every key of the file, in order: its name, its kind and bounds, and its field.
//!
//! This one list is what reading, checking, printing and the search for the nearest known name go
//! through; a key that stands here is known to all of them.

use std::fmt;
use std::time::Duration;

use crate::config::{CLIENTS_MAX, WORKERS_MAX, workers_suggested};
use crate::kind::{
    Admin, Auto, Choice, Count, CpuList, Flag, Kind, Listen, Networks, OriginList, Sessions, Size,
    Subprotocols, Time, Token, UrlPath, Word,
};
use crate::{Broadcast, Config, Control, Limits, Server, Tcp, WebSocket};

/// A key of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.name)
    }
}

/// Names a key in code: `key("server", "listen")`.
pub(crate) const fn key(table: &'static str, name: &'static str) -> Key {
    Key { table, name }
}

/// What is done with each key.
pub(crate) trait Visitor {
    fn key<T>(&mut self, key: Key, kind: &impl Kind<T>, value: &mut T);
}

/// Shows every key to `visitor`, which may change its value.
pub(crate) fn visit(config: &mut Config, visitor: &mut impl Visitor) {
    server(&mut config.server, visitor);
    websocket(&mut config.websocket, visitor);
    broadcast(&mut config.broadcast, visitor);
    tcp(&mut config.tcp, visitor);
    limits(&mut config.limits, visitor);
    control(&mut config.control, visitor);
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
