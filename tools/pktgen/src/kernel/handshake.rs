//! From nothing to an open WebSocket connection, without blocking. The HTTP upgrade and its checks
//! are tungstenite's.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};
use tungstenite::client::IntoClientRequest;
use tungstenite::error::Error;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};

use crate::plan::Plan;

/// An answer to the upgrade may be as long as this.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Linux gives out 28,232 ports by default. Some may be in use.
const PORTS_OF_AN_ADDRESS: usize = 25_000;

/// Where clients connect to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    /// Where they connect from, in turn; empty for the system's choice.
    sources: Vec<IpAddr>,
    url: String,
}

impl Endpoint {
    /// # Errors
    /// That target and path make no URL, or a source cannot reach the address.
    pub(crate) fn new(address: SocketAddr, plan: &Plan) -> Result<Self, String> {
        let url = format!("ws://{}{}", plan.target, plan.path);
        if let Err(error) = (&url).into_client_request() {
            return Err(format!("{url}: {error}"));
        }
        let mut sources = plan.sources.clone();
        let stranger = sources.iter().find(|source| source.is_ipv4() != address.is_ipv4());
        if let Some(source) = stranger {
            return Err(format!("--source {source}: not of the same family as {address}"));
        }
        if sources.is_empty() && plan.clients > PORTS_OF_AN_ADDRESS {
            sources = loopback_sources(address.ip(), plan.clients);
        }
        Ok(Self { address, sources, url })
    }

    fn connect(&self, number: usize) -> io::Result<TcpStream> {
        let Some(source) = number.checked_rem(self.sources.len()).map(|at| self.sources[at]) else {
            return TcpStream::connect(self.address);
        };
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        match socket.connect(&self.address.into()) {
            Err(error) if !is_under_way(&error) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }
}

/// What a non-blocking connect says that goes on.
#[cfg(unix)]
fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EINPROGRESS)
}

#[cfg(not(unix))]
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// As many addresses of this host as so many connections take. All of 127.0.0.0/8 is its own on
/// Linux; elsewhere, and for other targets, there is none that is known to be.
fn loopback_sources(target: IpAddr, clients: usize) -> Vec<IpAddr> {
    let count = u8::try_from(clients.div_ceil(PORTS_OF_AN_ADDRESS)).unwrap_or(u8::MAX);
    if cfg!(target_os = "linux") && target.is_ipv4() && target.is_loopback() {
        (1..=count).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))).collect()
    } else {
        Vec::new()
    }
}

/// A connection on its way.
#[derive(Debug)]
pub(crate) struct Handshake {
    step: Step,
    began: Instant,
    connected: Instant,
}

#[derive(Debug)]
enum Step {
    Tcp(TcpStream),
    Upgrade(Box<MidHandshake<ClientHandshake<Answer>>>),
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It waits for the server.
    Pending(Handshake),
    Open(Opened),
}

/// A connection that speaks WebSocket.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) socket: TcpStream,
    /// What came behind the answer to the upgrade: frames.
    pub(crate) tail: Vec<u8>,
    pub(crate) connect_ns: u64,
    pub(crate) upgrade_ns: u64,
}

impl Handshake {
    /// Sends the first packet, from the `source`th address.
    ///
    /// # Errors
    /// Of the system: no descriptor, no port, no route.
    pub(crate) fn start(
        endpoint: &Endpoint,
        source: usize,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, String> {
        let began = Instant::now();
        let mut socket = endpoint.connect(source).map_err(|error| {
            if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse) {
                let remedy = "no free local port or no such local address; see --source";
                format!("{error} ({remedy})")
            } else {
                error.to_string()
            }
        })?;
        socket
            .register(registry, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| error.to_string())?;
        Ok(Self { step: Step::Tcp(socket), began, connected: began })
    }

    /// Goes on as far as the server lets it.
    ///
    /// # Errors
    /// Why this connection will not be.
    pub(crate) fn advance(mut self, endpoint: &Endpoint) -> Result<Progress, String> {
        let result = match self.step {
            Step::Tcp(socket) => {
                if !is_connected(&socket).map_err(|error| error.to_string())? {
                    return Ok(Progress::Pending(Self { step: Step::Tcp(socket), ..self }));
                }
                self.connected = Instant::now();
                socket.set_nodelay(true).map_err(|error| error.to_string())?;
                let request = endpoint
                    .url
                    .as_str()
                    .into_client_request()
                    .map_err(|error| describe(&error))?;
                let upgrade = ClientHandshake::start(Answer::new(socket), request, None);
                upgrade.map_err(|error| describe(&error))?.handshake()
            }
            Step::Upgrade(upgrade) => upgrade.handshake(),
        };
        match result {
            Ok((websocket, _)) => {
                let (socket, tail) = websocket.into_inner().into_parts();
                Ok(Progress::Open(Opened {
                    socket,
                    tail,
                    connect_ns: nanoseconds(self.began, self.connected),
                    upgrade_ns: nanoseconds(self.connected, Instant::now()),
                }))
            }
            Err(HandshakeError::Interrupted(upgrade)) => {
                Ok(Progress::Pending(Self { step: Step::Upgrade(Box::new(upgrade)), ..self }))
            }
            Err(HandshakeError::Failure(error)) => Err(describe(&error)),
        }
    }
}

/// As mio has it: an event is a hint, an error or a peer is a fact.
fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

fn nanoseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

fn describe(error: &Error) -> String {
    match error {
        Error::Http(answer) => format!("the upgrade was answered with {}", answer.status()),
        error => error.to_string(),
    }
}

/// Gives tungstenite the answer to the upgrade and nothing that comes behind it, since frames are
/// read elsewhere.
#[derive(Debug)]
struct Answer {
    socket: TcpStream,
    received: Vec<u8>,
    given: usize,
    /// Where the answer ends and frames begin.
    end: Option<usize>,
}

impl Answer {
    fn new(socket: TcpStream) -> Self {
        Self { socket, received: Vec::new(), given: 0, end: None }
    }

    fn into_parts(mut self) -> (TcpStream, Vec<u8>) {
        let end = self.end.unwrap_or(self.received.len());
        (self.socket, self.received.split_off(end))
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        let len = self.socket.read(&mut chunk)?;
        if self.received.len() + len > ANSWER_BYTES_MAX {
            return Err(io::Error::other("the answer to the upgrade does not end"));
        }
        self.received.extend_from_slice(&chunk[..len]);
        let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        self.end = end.map(|at| at + 4);
        Ok(())
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = |answer: &Self| answer.end.unwrap_or(answer.received.len());
        if self.given == end(self) && self.end.is_none() {
            self.receive()?;
        }
        let rest = &self.received[self.given..end(self)];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }
}

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
