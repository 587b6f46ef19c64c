//! Where a client is in its life.

use crate::frames::FrameReader;
use crate::upgrade::Upgrade;

#[derive(Debug)]
pub(super) enum Client {
    /// It has no connection, and will have one if it is still wanted.
    Absent,
    /// Its TCP connection is on its way.
    Connecting {
        began_ns: u64,
    },
    /// It waits for the answer to its upgrade.
    Upgrading(Box<Upgrading>),
    Open(Session),
    /// It has ended its connection, of which something is left.
    Leaving {
        /// The server has broken a rule before.
        is_broken: bool,
    },
}

#[derive(Debug)]
pub(super) struct Upgrading {
    pub(super) began_ns: u64,
    pub(super) connected_ns: u64,
    pub(super) upgrade: Upgrade,
}

/// An open connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) reader: FrameReader,
    /// It has heard the roll call.
    pub(super) roll_called: bool,
    /// Our Close is sent, or about to be.
    pub(super) closing: bool,
    /// When, if so.
    pub(super) closing_ns: u64,
    /// The server's Close has come, but not the end of the connection.
    pub(super) is_answered: bool,
}

impl Session {
    /// What is missing for it to end.
    pub(super) fn unanswered(&self) -> &'static str {
        if self.is_answered {
            "the connection is not ended behind the Close"
        } else {
            "the Close is not answered"
        }
    }
}

impl Client {
    /// When its handshake began, if that is under way.
    pub(super) fn began_ns(&self) -> Option<u64> {
        match self {
            Self::Connecting { began_ns } => Some(*began_ns),
            Self::Upgrading(upgrading) => Some(upgrading.began_ns),
            Self::Absent | Self::Open(_) | Self::Leaving { .. } => None,
        }
    }
}
