//! Where a worker's connections come from.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Token;
use mio::net::TcpStream;

use super::accept::{AcceptCounts, Listeners};
use super::dealer::Lane;
use super::options::SocketOptions;
use super::poller::Poller;

/// A worker's share of what [`listen`](crate::listen) bound. Dropping it gives the share up.
pub struct Inlet {
    pub(super) poller: Poller,
    pub(super) source: Source,
    pub(super) options: SocketOptions,
}

/// Connections accepted here, or by the dealer for all workers.
pub(super) enum Source {
    Own(Listeners),
    Dealt(Lane),
}

impl Source {
    /// Notes an event, when it is one of a listening socket; `false` when it is not.
    pub(super) fn note(&mut self, event: Token) -> bool {
        match self {
            Self::Own(listeners) => listeners.note(event),
            Self::Dealt(_) => false,
        }
    }

    /// How long there is nothing to accept, as far as is known; `None` until an event tells.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Own(listeners) => listeners.idle_for(now),
            Self::Dealt(lane) => (!lane.is_empty()).then_some(Duration::ZERO),
        }
    }

    /// Hands up to `budget` new connections to `sink`.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        budget: usize,
        sink: impl FnMut(TcpStream, SocketAddr),
    ) {
        match self {
            Self::Own(listeners) => listeners.accept(now, budget, sink),
            Self::Dealt(lane) => lane.take(budget, sink),
        }
    }

    /// A descriptor has become free.
    pub(super) fn resume(&mut self) {
        match self {
            Self::Own(listeners) => listeners.resume(),
            Self::Dealt(lane) => lane.resume(),
        }
    }

    /// Closes the listening sockets and what was not yet taken.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Own(listeners) => listeners.close(),
            Self::Dealt(lane) => lane.stop(),
        }
    }

    pub(super) fn counts(&self) -> AcceptCounts {
        match self {
            Self::Own(listeners) => listeners.counts(),
            Self::Dealt(lane) => lane.counts(),
        }
    }
}
