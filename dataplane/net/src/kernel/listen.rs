//! Binding the listening sockets, for one worker or many.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use super::accept::Listeners;
use super::dealer;
use super::inlet::{Inlet, Source};
use super::options::SocketOptions;
use super::poller::Poller;

/// What to listen on, and how workers share it.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Addresses and ports. Port 0 takes a free one, for each address its own. An IPv6 address
    /// never stands for IPv4 too: `[::]` and `0.0.0.0` are two addresses.
    pub addresses: Vec<SocketAddr>,
    /// Connections per listening socket that the kernel completes before they are accepted.
    pub backlog: u32,
    /// How connections reach the workers.
    pub mode: AcceptMode,
    /// Options of the connections.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            backlog: 4096,
            mode: AcceptMode::default(),
            socket: SocketOptions::default(),
        }
    }
}

/// How connections reach the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptMode {
    /// Each worker has a listening socket per address and the kernel spreads connections over
    /// them (`SO_REUSEPORT`). For more than one worker on Linux only; the default there.
    PerWorker,
    /// One thread accepts and deals the connections out in turn. The default elsewhere.
    Dealt,
}

impl Default for AcceptMode {
    fn default() -> Self {
        if PORT_SHARED_BY_KERNEL { Self::PerWorker } else { Self::Dealt }
    }
}

/// `SO_REUSEPORT` exists elsewhere, but only Linux spreads connections by it.
const PORT_SHARED_BY_KERNEL: bool = cfg!(target_os = "linux");

/// Bound addresses.
pub struct Listening {
    /// The addresses asked for, in their order, with the ports that were taken.
    pub addresses: Vec<SocketAddr>,
    /// One for each worker, to make its [`KernelStreams`](crate::KernelStreams) of.
    pub inlets: Vec<Inlet>,
}

/// Binds every address for `workers` workers. From here on the kernel completes connections.
///
/// A port on which anybody else listens is refused, another process of this program included.
///
/// # Errors
/// The first address that could not be bound, and why; nothing is bound then.
pub fn listen(options: &ListenOptions, workers: usize) -> Result<Listening, ListenError> {
    if options.addresses.is_empty() || workers == 0 {
        return Err(ListenError::Nothing);
    }
    let pollers = || (0..workers).map(|_| Poller::new()).collect::<io::Result<Vec<_>>>();
    match options.mode {
        AcceptMode::PerWorker if workers > 1 && !PORT_SHARED_BY_KERNEL => {
            Err(ListenError::PortNotShared)
        }
        AcceptMode::PerWorker => {
            let (addresses, sockets) = bind_all(options, workers)?;
            let inlet = |(poller, sockets): (Poller, _)| {
                let source = Source::Own(Listeners::new(sockets, poller.registry())?);
                Ok(Inlet { poller, source, options: options.socket.clone() })
            };
            let inlets = pollers()?.into_iter().zip(sockets).map(inlet);
            Ok(Listening { addresses, inlets: inlets.collect::<io::Result<_>>()? })
        }
        AcceptMode::Dealt => {
            let (addresses, sockets) = bind_all(options, 1)?;
            let poller = Poller::new()?;
            let sockets = sockets.into_iter().flatten().collect();
            let listeners = Listeners::new(sockets, poller.registry())?;
            let pollers = pollers()?;
            let wakers: Vec<_> = pollers.iter().map(|poller| Arc::clone(poller.waker())).collect();
            let lanes = dealer::start(poller, listeners, &wakers)?;
            let inlet = |(poller, lane)| {
                let source = Source::Dealt(lane);
                Inlet { poller, source, options: options.socket.clone() }
            };
            Ok(Listening { addresses, inlets: pollers.into_iter().zip(lanes).map(inlet).collect() })
        }
    }
}

/// Binds every address `sharers` times; returns the addresses, and the sockets by sharer.
fn bind_all(
    options: &ListenOptions,
    sharers: usize,
) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), ListenError> {
    let mut addresses = Vec::with_capacity(options.addresses.len());
    let mut sockets: Vec<Vec<TcpListener>> = (0..sharers).map(|_| Vec::new()).collect();
    for &asked in &options.addresses {
        let failed = |cause| ListenError::Address { address: asked, cause };
        let mut address = asked;
        for (sharer, sockets) in sockets.iter_mut().enumerate() {
            let claim = match sharer {
                0 => Claim::First { shared: sharers > 1 },
                _ => Claim::Further,
            };
            let socket = bind(address, options, claim).map_err(failed)?;
            address = socket.local_addr().map_err(failed)?;
            sockets.push(socket);
        }
        addresses.push(address);
    }
    Ok((addresses, sockets))
}

/// Which of the sockets that share a port is bound.
///
/// With `SO_REUSEPORT` on all of them, another process of the same user could join in and get a
/// share of the connections. So the first one takes the port without it, which fails when anybody
/// listens there, and allows sharing only then: of two programs that do the same, one succeeds.
#[derive(Clone, Copy)]
enum Claim {
    First { shared: bool },
    Further,
}

fn bind(address: SocketAddr, options: &ListenOptions, claim: Claim) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // For connections of an earlier process that linger. On Windows this would allow to take a
    // port that is in use.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    options.socket.set_on_listener(&socket)?;
    if matches!(claim, Claim::Further) {
        share_port(&socket)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    if matches!(claim, Claim::First { shared: true }) {
        share_port(&socket)?;
    }
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

#[cfg(target_os = "linux")]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(target_os = "linux"))]
fn share_port(_socket: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Why [`listen`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// An address could not be bound.
    #[error("cannot listen on {address}: {}", Reason(cause))]
    Address {
        /// The address as it was asked for.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// No address or no worker was named.
    #[error("there is no address to listen on, or no worker to listen for it")]
    Nothing,
    /// Workers cannot share a port on this system.
    #[error("on this system several workers cannot listen on one port; have connections dealt out")]
    PortNotShared,
    /// What it takes besides the addresses could not be had: descriptors, a thread.
    #[error("cannot prepare to accept connections: {0}")]
    Setup(#[from] io::Error),
}

impl ListenError {
    /// Whether the address is not one of this host, for example `[::1]` where there is no IPv6.
    /// Other addresses may well do.
    pub fn unavailable(&self) -> bool {
        matches!(self, Self::Address { cause, .. } if is_unavailable(cause))
    }

    /// The address that could not be bound, as it was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address { address, .. } => Some(*address),
            _ => None,
        }
    }
}

/// An error of `bind` or `listen` in an operator's words.
struct Reason<'a>(&'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::AddrInUse => {
                f.write_str("the port is taken: another program listens there, or this one already")
            }
            io::ErrorKind::PermissionDenied => f.write_str(
                "no permission; ports below 1024 need root or CAP_NET_BIND_SERVICE on most systems",
            ),
            _ if is_unavailable(self.0) => f.write_str("this host has no such address"),
            _ => self.0.fmt(f),
        }
    }
}

fn is_unavailable(error: &io::Error) -> bool {
    let family_missing = error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED);
    error.kind() == io::ErrorKind::AddrNotAvailable || family_missing
}

#[cfg(unix)]
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = libc::EAFNOSUPPORT;
/// `WSAEAFNOSUPPORT`.
#[cfg(windows)]
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 10047;

#[cfg(test)]
mod tests;
