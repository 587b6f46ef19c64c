//! The seam between what clients do and what carries their bytes.

use std::io;
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
    /// The last that was left of one that [`finish`](Transport::finish) ended is gone.
    Gone(usize),
    /// Another thread has news.
    Woken,
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

    /// The turn of the loop is over: whatever waits to be sent goes out.
    fn flush(&mut self) {}

    /// Lets another thread see a change.
    fn wake(&self, thread: usize);

    /// Time of turns that found something to do, where the thread never waits for news and so is
    /// always charged for all of its CPU.
    fn busy(&self) -> Option<Duration> {
        None
    }

    /// What has been counted of segments, where there is a TCP of our own.
    fn segments(&self) -> Option<SegmentCounts> {
        None
    }
}
