//! The seam between what clients do and what carries their bytes.

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use crate::outcome::SegmentCounts;

/// What has become of a connection.
#[derive(Debug)]
pub(crate) enum Event {
    /// It is there: the TCP handshake is complete.
    Connected(usize),
    /// Bytes have come, or its end.
    Readable(usize),
    /// What was sent before is on its way, and there is room for more.
    Writable(usize),
    /// It is no more, or never came to be, and why. Of a client that is [held](Transport::hold)
    /// this comes in place of `Readable`.
    Ended(usize, String),
    /// The server did not end its half of one that [`finish`](Transport::finish) ended within the
    /// timeout, and it was reset. `Gone` follows.
    HalfOpen(usize),
    /// The last that was left of one that [`finish`](Transport::finish) ended is gone.
    Gone(usize),
    /// Another thread has news.
    Woken,
}

impl Event {
    /// Whose connection it is about.
    pub(crate) fn client(&self) -> Option<usize> {
        match *self {
            Self::Connected(client)
            | Self::Readable(client)
            | Self::Writable(client)
            | Self::Ended(client, _)
            | Self::HalfOpen(client)
            | Self::Gone(client) => Some(client),
            Self::Woken => None,
        }
    }
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// More may come.
    Open,
    /// Nothing more will, and why.
    Ended(String),
}

/// The connections of one thread's clients, one for each at most. Clients are counted from 0 within
/// the thread.
pub(crate) trait Transport {
    /// Waits until something happens, `patience` at most, and appends what has.
    ///
    /// # Errors
    /// Why nothing can be waited for any more.
    fn poll(&mut self, patience: Duration, events: &mut Vec<Event>) -> io::Result<()>;

    /// Begins a connection of a client that has none.
    ///
    /// # Errors
    /// Why it cannot even begin.
    fn connect(&mut self, client: usize) -> Result<(), String>;

    /// Hands over what has come, in pieces, each with the moment when it came.
    fn read(&mut self, client: usize, take: impl FnMut(&[u8], Instant)) -> Stream;

    /// Sends bytes, behind those that still wait.
    ///
    /// # Errors
    /// Why the connection is of no more use.
    fn send(&mut self, client: usize, bytes: &[u8]) -> Result<(), String>;

    /// Whether bytes wait for room; [`Event::Writable`] tells when there is some.
    fn is_blocked(&self, client: usize) -> bool;

    /// The client stops reading, or goes on: whether the server can send it more is a matter of
    /// the window of TCP alone.
    fn hold(&mut self, client: usize, is_held: bool);

    /// Ends the connection in order, behind what was sent. Whether nothing is left of it; else
    /// [`Event::Gone`] tells when.
    fn finish(&mut self, client: usize) -> bool;

    /// Ends the connection at once, by a reset.
    fn reset(&mut self, client: usize);

    /// Ends all connections that are left at the end of a run at once, by a reset, where the system
    /// does not see to it.
    fn reset_all(&mut self) {}

    /// The turn of the loop is over: whatever waits to be sent goes out.
    fn flush(&mut self) {}

    /// Lets another thread see a change.
    fn wake(&self, thread: usize);

    /// Time of turns that found something to do, where the thread never waits for news and so is
    /// always charged for all of its CPU.
    fn busy(&self) -> Option<Duration> {
        None
    }

    /// The longest time between two looks for news, where the thread never waits for news.
    fn longest_pause(&self) -> Option<Duration> {
        None
    }

    /// What has been counted of segments, where there is a TCP of our own.
    fn segments(&self) -> Option<SegmentCounts> {
        None
    }

    /// Packets without a connection behind them, where there is a TCP of our own.
    fn raw(&mut self) -> Option<&mut dyn RawPackets> {
        None
    }
}

/// Sends packets as they are, past the TCP that looks after the connections. They come from
/// addresses that no client has, the strays, or pretend to belong to the connection of a client.
pub(crate) trait RawPackets {
    /// How many may be sent now. What is beyond would keep the clients' packets waiting.
    fn room(&self) -> usize;

    /// What all frames to the server have in common.
    fn route(&self) -> Route;

    /// The `n`th of the strays' addresses and ports. Addresses vary first.
    fn stray(&self, n: u64) -> SocketAddrV4;

    /// Sends a SYN, whose answer nobody acknowledges. Whether there was memory for it.
    fn send_syn(&mut self, source: SocketAddrV4, sequence: u32) -> bool;

    /// Sends a frame as it is. Whether the port has taken it.
    fn send_frame(&mut self, frame: &[u8]) -> bool;

    /// Where the connection of a client stands, if it is open.
    fn position(&self, client: usize) -> Option<Position>;

    /// What came back for strays.
    fn answers(&self) -> StrayAnswers;
}

/// The ends of what is sent to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) own_mac: [u8; 6],
    pub(crate) next_hop: [u8; 6],
    pub(crate) server: SocketAddrV4,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) source: SocketAddrV4,
    /// The number of the next byte that is sent, and of the next one that is to come.
    pub(crate) next: u32,
    pub(crate) expected: u32,
}

/// Segments that came for addresses which no client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StrayAnswers {
    pub(crate) syn_acks: u64,
    pub(crate) resets: u64,
}
