//! The checked configuration: what each setting means, and its default.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use ipnet::IpNet;

use crate::{ConfigError, Cpus, Dpdk, LCORES_MAX, ListenAddress, Secret, check, print, read};

/// The most workers there can be: more than any host this is meant for has CPUs.
pub const WORKERS_MAX: usize = 512;

/// More clients than any host this is meant for can have.
pub(crate) const CLIENTS_MAX: usize = 100_000_000;

/// Everything the appliance can be told. `Config::default()` is what it does with no file at all.
///
/// A `Config` from `load` or `parse` is valid. One that is built or changed in code is to be
/// looked at by `validate` before it is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `[server]`: where and with what to serve.
    pub server: Server,
    /// `[websocket]`: the protocol with the clients.
    pub websocket: WebSocket,
    /// `[broadcast]`: fan-out and what a slow client may cost.
    pub broadcast: Broadcast,
    /// `[tcp]`: options of the connections.
    pub tcp: Tcp,
    /// `[limits]`: how many clients there may be, and what one may cost.
    pub limits: Limits,
    /// `[control]`: administration, stopping, logs.
    pub control: Control,
    /// `[dpdk]`: the ports that DPDK serves on, and what it may take for that.
    pub dpdk: Dpdk,
}

impl Config {
    /// Reads, parses and checks the file at `path`. What it does not set keeps its default.
    ///
    /// # Errors
    /// A file that cannot be read, is larger than 1 MiB or is not UTF-8, and all that
    /// [`Config::parse`] refuses.
    pub fn load(path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        Self::load_with(path, |_| {})
    }

    /// The same with a `change` to what the file says, by flags that override it for example. The
    /// rules between keys hold for what comes out of it: a key that contradicts another in the file
    /// may be the one that is changed.
    ///
    /// # Errors
    /// Those of [`Config::load`]. What is wrong with a key that was changed is in no place of the
    /// file.
    pub fn load_with(
        path: impl AsRef<Path>,
        change: impl FnOnce(&mut Config),
    ) -> Result<Config, ConfigError> {
        read::load(path.as_ref(), change)
    }

    /// Parses and checks the text of a file; `origin` is what messages call it. What it does not
    /// set keeps its default.
    ///
    /// # Errors
    /// Text that is no TOML, unknown keys and tables, values of the wrong type, and all that
    /// [`Config::validate`] refuses: every fault with its line and column.
    pub fn parse(text: &str, origin: &str) -> Result<Config, ConfigError> {
        Self::parse_with(text, origin, |_| {})
    }

    /// The same for a text with a `change` to what it says; see [`Config::load_with`].
    ///
    /// # Errors
    /// Those of [`Config::parse`], and of [`Config::load_with`].
    pub fn parse_with(
        text: &str,
        origin: &str,
        change: impl FnOnce(&mut Config),
    ) -> Result<Config, ConfigError> {
        read::parse(text, origin, change)
    }

    /// Checks a configuration that was built in code or changed by flags.
    ///
    /// # Errors
    /// Every value that is out of its bounds or contradicts another, by the key of the file that
    /// would set it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check::validate(self)
    }

    /// The configuration as a file that sets every key. `Config::parse` makes an equal one of it,
    /// unless it holds a secret: that is written as `"***"`, which `parse` refuses.
    pub fn to_toml(&self) -> String {
        print::to_toml(self)
    }

    /// What `server.workers = "auto"` means: a worker for each lcore where all ports name theirs,
    /// else for each CPU that `server.cpus` lists, or as many as this process may run at once (not
    /// fewer than the lcores that are named). A list of CPUs goes first where the data path is the
    /// kernel's.
    pub fn workers_auto(&self) -> usize {
        match (&self.server.cpus, self.dpdk.lcores()) {
            (Cpus::List(cpus), _) if !self.serves_on_ports() => cpus.len(),
            (_, Some(lcores)) => lcores.len(),
            (Cpus::List(cpus), None) => cpus.len(),
            (Cpus::Off | Cpus::Auto, None) if self.serves_on_ports() => {
                workers_suggested().max(self.dpdk.lcores_named().len()).min(LCORES_MAX)
            }
            (Cpus::Off | Cpus::Auto, None) => workers_suggested(),
        }
    }

    /// Whether clients come to ports of DPDK, as far as the configuration says: there are some,
    /// and the data path is not the kernel's.
    pub fn serves_on_ports(&self) -> bool {
        !self.dpdk.ports.is_empty() && self.server.datapath != Datapath::Kernel
    }
}

/// `[server]`: where and with what to serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where to accept connections. Default: `127.0.0.1:8080` and `[::1]:8080`.
    pub listen: Vec<ListenAddress>,
    /// What carries the packets. Default: `Auto`.
    pub datapath: Datapath,
    /// Where the address of a client comes from. Default: `Peer`.
    pub client_address: ClientAddress,
    /// Networks of the proxies whose word on that counts. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Worker threads, 1 to 512. Default: [`Config::workers_auto`].
    pub workers: usize,
    /// Which CPUs they run on, at least as many as there are workers. Default: `Off`.
    pub cpus: Cpus,
    /// Shards of the session registry, 1 to 4096. Default: 16.
    pub session_shards: usize,
}

/// Where the address of a client comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// It is the other side of the connection.
    #[default]
    Peer,
    /// Trusted proxies say it ahead of each connection, by the PROXY protocol, version 1 or 2.
    ProxyProtocol,
    /// Trusted proxies say it in each request, in `X-Forwarded-For`.
    XForwardedFor,
}

/// What carries the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Datapath {
    /// DPDK where it is built in, configured and starts; else kernel sockets, with a warning.
    #[default]
    Auto,
    /// DPDK, or fail with the reason.
    Dpdk,
    /// Kernel sockets.
    Kernel,
}

/// `[websocket]`: the protocol with the clients (RFC 6455).
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocket {
    /// The path of the WebSocket endpoint. Default: `/ws`.
    pub path: String,
    /// The largest message taken from a client, in bytes of payload over all its fragments.
    /// A larger one is answered with Close 1009, as soon as the header of a frame says so.
    /// Default: 1 MiB.
    pub message_bytes_max: usize,
    /// Silence of a client after which it is pinged; `None` for never. Default: 30 s.
    pub ping_interval: Option<Duration>,
    /// How long after a ping its pong, or anything else, may take before the session ends.
    /// Default: 10 s.
    pub pong_timeout: Duration,
    /// How long after our Close the client's may take before the connection is cut. Default: 5 s.
    pub close_timeout: Duration,
    /// Which web pages may connect (RFC 6455, section 10.2). Default: `SameOrigin`.
    pub origins: Origins,
    /// Subprotocols this server speaks, the preferred one first: the first one that the client
    /// offers as well is chosen. Default: none.
    pub subprotocols: Vec<String>,
}

/// Which web pages may connect. A client that sends no `Origin` is no web page and may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Those that come from the host named in the request's `Host`.
    #[default]
    SameOrigin,
    /// All.
    Any,
    /// Those of these origins, each as a browser sends it: `https://chat.example`.
    List(Vec<String>),
}

/// `[broadcast]`: fan-out and what a slow client may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Broadcast {
    /// Who may publish. Default: `Clients`.
    pub publish: Publish,
    /// Whether the sender of a message gets it, too. Default: true.
    pub include_sender: bool,
    /// What happens to a session whose backlog is full. Default: `DropOldest`.
    pub slow_consumer: SlowConsumer,
    /// Messages queued for one session before `slow_consumer` applies. Default: 1024.
    pub backlog_messages_max: usize,
    /// Bytes queued for one session before `slow_consumer` applies. At least one message of the
    /// largest size with its frame header. Default: 4 MiB.
    pub backlog_bytes_max: usize,
    /// Bytes of memory that queued messages may hold in all, an equal share of it on each worker.
    /// Beyond it `slow_consumer` applies to the sessions that have more than their part queued. A
    /// share holds at least one message of the largest size. Default: 1 GiB.
    pub backlog_total_bytes_max: usize,
    /// Slots of the ring between each ordered pair of workers. Default: 1024.
    pub mesh_slots: usize,
}

/// Who may publish to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// Clients, through the handler; the control plane as well.
    #[default]
    Clients,
    /// The control plane alone: the admin interface and the embedder. A client that sends a
    /// message gets Close 1008, and the handler does not see it.
    Admin,
}

/// What happens to a session that does not keep up, once its backlog is full.
///
/// What the transport takes is written first, so that a burst costs nobody a message who keeps up.
/// A message of which a byte was sent is never dropped, and an empty backlog takes a message of
/// any size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumer {
    /// Its oldest messages make room for the new one.
    #[default]
    DropOldest,
    /// It does not get the new one.
    DropNewest,
    /// All its messages are dropped, and it gets Close 1008.
    Disconnect,
}

/// `[tcp]`: options of the connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// Connections that may wait to be accepted, per listening socket. Default: 1024.
    pub accept_backlog: u32,
    /// The send buffer of a connection in bytes; `None` leaves it to the system, which on DPDK
    /// means 2 KiB. Default: `None`.
    pub send_buffer_bytes: Option<usize>,
    /// The receive buffer of a connection in bytes; `None` leaves it to the system, which on DPDK
    /// means 1 KiB. Default: `None`.
    pub receive_buffer_bytes: Option<usize>,
    /// Whether small segments leave at once (Nagle's algorithm off). Default: true.
    pub nodelay: bool,
    /// Idle time before TCP probes the peer; `None` for never. Default: `None`.
    pub keepalive: Option<Duration>,
}

/// `[limits]`: how many clients there may be, and what one may cost. All limits hold over all
/// workers together.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions in all. Default: `Auto`.
    pub sessions_max: SessionsMax,
    /// Sessions of one address prefix; `None` for no limit. Default: `None`.
    pub sessions_per_prefix_max: Option<usize>,
    /// Connections that come from one address prefix, whether they are sessions or not; `None` for
    /// no limit. Default: `None`.
    pub connections_per_prefix_max: Option<usize>,
    /// Leading bits of an IPv4 address that make its prefix, 1 to 32. Default: 32.
    pub prefix_v4_bits: u8,
    /// Leading bits of an IPv6 address that make its prefix, 1 to 128. Default: 64.
    pub prefix_v6_bits: u8,
    /// Upgrades per second, of all clients together; as many at once after a pause. `None` for no
    /// limit. Default: `None`.
    pub upgrades_per_second_max: Option<u32>,
    /// Messages per second that a session may send; as many at once after a pause. `None` for no
    /// limit. Default: `None`.
    pub messages_per_second_max: Option<u32>,
    /// Bytes per second that a session may send, frame headers, pings and pongs included; as many
    /// at once after a pause. At least one message of the largest size with its frame header.
    /// `None` for no limit. Default: `None`.
    pub bytes_per_second_max: Option<usize>,
    /// How long a client may take from connecting to the end of its request, and from an answer on
    /// a connection that is kept to the end of the next one. Default: 10 s.
    pub handshake_timeout: Duration,
    /// The largest request line and header block together, in bytes. Default: 8 KiB.
    pub handshake_bytes_max: usize,
    /// The most header fields in a request. Default: 64.
    pub handshake_headers_max: usize,
}

/// How many sessions there may be at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionsMax {
    /// As many as the file descriptors of the process allow.
    #[default]
    Auto,
    /// At most this many, or as many as the file descriptors allow where that is less.
    Count(usize),
    /// No limit: once the file descriptors are used up, new clients wait.
    Off,
}

/// `[control]`: administration, stopping, logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Where the admin interface listens. Default: `127.0.0.1:9090`.
    pub admin: AdminAddress,
    /// What every `POST` to the admin interface must show as its bearer token. Needed where
    /// `admin` is no loopback address. Default: `None`.
    pub admin_token: Option<Secret>,
    /// How long clients may take to be served to the end when the appliance stops. Default: 10 s.
    pub drain_timeout: Duration,
    /// How a line of the log is written. Default: `Text`.
    pub log_format: LogFormat,
    /// The least important level that is logged. Default: `Info`.
    pub log_level: LogLevel,
    /// Ended sessions that are logged in a second at most, at level `Info`; `None` for no such
    /// log. The workers share it equally, and each has at least one. Default: 10.
    pub connection_log_lines_max: Option<usize>,
}

/// Where the admin interface listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A TCP address, on kernel sockets whatever the data path. Written `127.0.0.1:9090`.
    Tcp(SocketAddr),
    /// A Unix socket, on Unix only. Written `unix:/run/hioload.sock`.
    Unix(PathBuf),
    /// Nowhere. Written `off`.
    Off,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How important a line of the log is, the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into(),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 8080)).into(),
            ],
            datapath: Datapath::Auto,
            client_address: ClientAddress::Peer,
            trusted_proxies: Vec::new(),
            workers: workers_suggested(),
            cpus: Cpus::Off,
            session_shards: 16,
        }
    }
}

/// As many workers as this process may run at once.
pub(crate) fn workers_suggested() -> usize {
    available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX)
}

impl Default for WebSocket {
    fn default() -> Self {
        WebSocket {
            path: "/ws".to_owned(),
            message_bytes_max: 1 << 20,
            ping_interval: Some(Duration::from_secs(30)),
            pong_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            origins: Origins::SameOrigin,
            subprotocols: Vec::new(),
        }
    }
}

impl Default for Broadcast {
    fn default() -> Self {
        Broadcast {
            publish: Publish::Clients,
            include_sender: true,
            slow_consumer: SlowConsumer::DropOldest,
            backlog_messages_max: 1024,
            backlog_bytes_max: 4 << 20,
            backlog_total_bytes_max: 1 << 30,
            mesh_slots: 1024,
        }
    }
}

impl Default for Tcp {
    fn default() -> Self {
        Tcp {
            accept_backlog: 1024,
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
            nodelay: true,
            keepalive: None,
        }
    }
}

impl Tcp {
    /// The ring in which a flow on DPDK keeps what its peer has not acknowledged yet, in bytes. No
    /// more than this leaves per round trip.
    pub fn send_ring_bytes(&self) -> usize {
        self.send_buffer_bytes.unwrap_or(2 << 10)
    }

    /// The ring into which a flow on DPDK receives, in bytes.
    pub fn receive_ring_bytes(&self) -> usize {
        self.receive_buffer_bytes.unwrap_or(1 << 10)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            sessions_max: SessionsMax::Auto,
            sessions_per_prefix_max: None,
            connections_per_prefix_max: None,
            prefix_v4_bits: 32,
            prefix_v6_bits: 64,
            upgrades_per_second_max: None,
            messages_per_second_max: None,
            bytes_per_second_max: None,
            handshake_timeout: Duration::from_secs(10),
            handshake_bytes_max: 8 << 10,
            handshake_headers_max: 64,
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Control {
            admin: AdminAddress::Tcp((Ipv4Addr::LOCALHOST, 9090).into()),
            admin_token: None,
            drain_timeout: Duration::from_secs(10),
            log_format: LogFormat::Text,
            log_level: LogLevel::Info,
            connection_log_lines_max: Some(10),
        }
    }
}
