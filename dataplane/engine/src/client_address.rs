//! Whom a connection or a request is for, where a proxy stands in between.

use std::net::{IpAddr, SocketAddr};

use hioload_config::{ClientAddress, IpNet, Server};
use hioload_protocol::http::{Refusal, Request, forwarded_for, refuse_forwarded_for};

/// Where the address of a client comes from.
pub(crate) struct ClientAddresses {
    source: ClientAddress,
    trusted: Vec<IpNet>,
}

impl ClientAddresses {
    pub(crate) fn new(server: &Server) -> Self {
        Self { source: server.client_address, trusted: server.trusted_proxies.clone() }
    }

    /// Whether `address` is a proxy's, whose word on its clients counts.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whether a connection from `peer` begins with a PROXY header.
    pub(crate) fn expects_header(&self, peer: SocketAddr) -> bool {
        self.source == ClientAddress::ProxyProtocol && self.is_proxy(peer.ip())
    }

    /// Whether each request says whom it is for.
    pub(crate) fn are_in_requests(&self) -> bool {
        self.source == ClientAddress::XForwardedFor
    }

    /// Whom a request that came from `peer` is for, if not for `peer` itself.
    ///
    /// # Errors
    /// The answer to a request whose header fields say it, and are malformed, or are nobody's whose
    /// word counts.
    pub(crate) fn of_request(
        &self,
        request: &Request,
        peer: SocketAddr,
    ) -> Result<Option<SocketAddr>, Refusal> {
        if !self.is_proxy(peer.ip()) {
            return refuse_forwarded_for(request).map(|()| None);
        }
        forwarded_for(request, |address| self.is_proxy(address))
    }
}

/// The other side of a connection, and the client where that is another one. Most have no proxy, so
/// it takes no more room than one address.
#[derive(Clone, Debug)]
pub(crate) enum Addresses {
    Direct(SocketAddr),
    Proxied(Box<Proxied>),
}

const _: () = assert!(size_of::<Addresses>() == size_of::<SocketAddr>());

#[derive(Clone, Copy, Debug)]
pub(crate) struct Proxied {
    peer: SocketAddr,
    client: SocketAddr,
}

impl Addresses {
    /// Those of a connection from `peer`, whose client is `client` if anybody has told.
    pub(crate) fn new(peer: SocketAddr, client: Option<SocketAddr>) -> Self {
        match client {
            Some(client) if client != peer => Self::Proxied(Box::new(Proxied { peer, client })),
            _ => Self::Direct(peer),
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        match self {
            Self::Direct(peer) => *peer,
            Self::Proxied(both) => both.peer,
        }
    }

    pub(crate) fn client(&self) -> SocketAddr {
        match self {
            Self::Direct(peer) => *peer,
            Self::Proxied(both) => both.client,
        }
    }
}
