//! One connection of a client.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

use crate::frames::FrameReader;
use crate::kernel::handshake::Handshake;

/// Where a client is in its life.
#[derive(Debug)]
pub(crate) enum Client {
    /// It has no connection, and will have one if it is still wanted.
    Absent,
    Connecting(Box<Handshake>),
    Open(Connection),
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    pub(crate) reader: FrameReader,
    /// What the system did not take yet.
    unsent: Vec<u8>,
    /// It has heard the roll call.
    pub(crate) roll_called: bool,
    /// Our Close is sent, or about to be.
    pub(crate) closing: bool,
}

impl Connection {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            reader: FrameReader::default(),
            unsent: Vec::new(),
            roll_called: false,
            closing: false,
        }
    }

    /// Ends without a Close and without TIME-WAIT, once it is dropped.
    pub(crate) fn reset_when_dropped(&self) {
        // Where the system refuses it, the connection ends in the usual way.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// The system takes no more for now.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends frames, behind those that still wait.
    ///
    /// # Errors
    /// Why the connection is of no more use.
    pub(crate) fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        let taken = if self.is_blocked() { 0 } else { write(&mut self.socket, frames)? };
        self.unsent.extend_from_slice(&frames[taken..]);
        Ok(())
    }

    /// Sends what waits, as far as the system takes it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let taken = write(&mut self.socket, &self.unsent)?;
        self.unsent.drain(..taken);
        Ok(())
    }
}

/// Writes until all is taken or the system takes no more: how much that was.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match socket.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => taken += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
