//! What a handler sees of a client.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;

/// Names a session for as long as the appliance runs: it is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// Bits of a session id that count the sessions of one worker; the others name the worker.
const SEQUENCE_BITS: u32 = 48;

impl SessionId {
    pub(crate) fn new(worker: u16, sequence: u64) -> Self {
        Self(u64::from(worker) << SEQUENCE_BITS | sequence & ((1 << SEQUENCE_BITS) - 1))
    }

    /// The worker that owns the session.
    pub(crate) fn worker(self) -> usize {
        usize::from((self.0 >> SEQUENCE_BITS) as u16)
    }

    /// The id as a number, as it stands in logs.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An upgraded client.
pub struct Session {
    pub(crate) id: SessionId,
    pub(crate) peer: SocketAddr,
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) data: Option<Box<dyn Any + Send + Sync>>,
}

impl Session {
    /// The id, unique among all sessions of the appliance.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Address and port of the other side.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The subprotocol agreed on, if any (RFC 6455 section 1.9).
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// What [`Accept::data`](crate::Accept::data) was given, when it is a `T`.
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.data.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("peer", &self.peer).finish()
    }
}
