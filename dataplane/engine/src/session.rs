//! What a handler sees of a client.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::client_address::Addresses;
use crate::session_data::SessionData;
use crate::{PathIndex, WorkerId};

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
    pub(crate) fn worker(self) -> WorkerId {
        WorkerId((self.0 >> SEQUENCE_BITS) as u16)
    }

    /// How many sessions the worker had opened before, and one.
    pub(crate) fn sequence(self) -> u64 {
        self.0 & ((1 << SEQUENCE_BITS) - 1)
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

impl FromStr for SessionId {
    type Err = ParseSessionIdError;

    /// Reads an id as it is printed: a decimal number without a sign or leading zeros. Whether
    /// there is such a session is another question.
    fn from_str(text: &str) -> Result<Self, ParseSessionIdError> {
        let canonical = text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        let number = text.parse().ok().filter(|_| canonical);
        number.map(Self).ok_or(ParseSessionIdError)
    }
}

/// A text that is no session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session id is a decimal number below 2^64")]
pub struct ParseSessionIdError;

/// An upgraded client.
pub struct Session {
    pub(crate) id: SessionId,
    pub(crate) addresses: Addresses,
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) data: SessionData,
    pub(crate) path: PathIndex,
}

impl Session {
    /// The id, unique among all sessions of the appliance.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Address and port of the client: what a trusted proxy says of it (`server.client_address`), or
    /// else [`peer`](Self::peer). The port is 0 where the proxy names none.
    pub fn client(&self) -> SocketAddr {
        self.addresses.client()
    }

    /// Address and port of the other side of the connection, which may be a proxy.
    pub fn peer(&self) -> SocketAddr {
        self.addresses.peer()
    }

    /// The subprotocol agreed on, if any (RFC 6455 section 1.9).
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The worker that owns it, and makes all calls for it.
    pub fn worker(&self) -> WorkerId {
        self.id.worker()
    }

    /// Which path it was opened at, and so which handler it has.
    pub fn path_index(&self) -> PathIndex {
        self.path
    }

    /// The value of type `T` that was attached at the upgrade; the last one of several. See
    /// [`Accept::data`](crate::Accept::data).
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.data.get()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("client", &self.client()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_printed() {
        for id in [SessionId::new(0, 1), SessionId::new(7, 41), SessionId::new(u16::MAX, u64::MAX)]
        {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn what_is_not_printed_as_an_id_is_none() {
        for text in
            ["", "+1", "-1", "01", " 1", "1 ", "0x1", "1e3", "18446744073709551616", "\u{661}"]
        {
            assert_eq!(text.parse::<SessionId>(), Err(ParseSessionIdError), "{text:?}");
        }
    }
}
