//! Where clients connect to, and from.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use crate::plan::Plan;

/// Linux gives out 28,232 ports by default. Some may be in use.
const PORTS_OF_AN_ADDRESS: usize = 25_000;

/// Where clients connect to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    /// Where they connect from, in turn; empty for the system's choice.
    sources: Vec<IpAddr>,
}

impl Endpoint {
    /// # Errors
    /// That a source cannot reach the address.
    pub(crate) fn new(address: SocketAddr, plan: &Plan) -> Result<Self, String> {
        let mut sources = plan.sources.clone();
        let stranger = sources.iter().find(|source| source.is_ipv4() != address.is_ipv4());
        if let Some(source) = stranger {
            return Err(format!("--source {source}: not of the same family as {address}"));
        }
        if sources.is_empty() && plan.clients > PORTS_OF_AN_ADDRESS {
            sources = loopback_sources(address.ip(), plan.clients);
        }
        Ok(Self { address, sources })
    }

    /// Begins a TCP connection, from the `number`th address.
    ///
    /// # Errors
    /// Of the system: no descriptor, no port, no route.
    pub(crate) fn connect(&self, number: usize) -> Result<TcpStream, String> {
        self.begin(number).map_err(|error| {
            if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse) {
                let remedy = "no free local port or no such local address; see --source";
                format!("{error} ({remedy})")
            } else {
                error.to_string()
            }
        })
    }

    fn begin(&self, number: usize) -> io::Result<TcpStream> {
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_as_many_addresses_as_connections_need() {
        let target = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let sources = loopback_sources(target, 60_000);
        assert_eq!(sources.len(), 3);
        assert!(sources.iter().all(IpAddr::is_loopback));
        assert!(loopback_sources("192.0.2.1".parse().expect("an address"), 60_000).is_empty());
    }
}
