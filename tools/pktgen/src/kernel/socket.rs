//! One socket of a client.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    /// What the system did not take yet.
    unsent: Vec<u8>,
    pub(super) is_connected: bool,
    /// The client reads nothing for now.
    pub(super) is_held: bool,
    /// The next read goes on until the system says that there is nothing left.
    pub(super) reads_to_the_end: bool,
}

impl Socket {
    /// A socket whose handshake is under way.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unsent: Vec::new(),
            is_connected: false,
            is_held: false,
            reads_to_the_end: false,
        }
    }

    /// Whether the handshake is complete. As mio has it: an event is a hint, an error or a peer is
    /// a fact.
    pub(super) fn connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error),
        }
        self.stream.set_nodelay(true)?;
        self.is_connected = true;
        Ok(true)
    }

    /// The system takes no more for now.
    pub(super) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends bytes, behind those that still wait.
    ///
    /// # Errors
    /// Why the connection is of no more use.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = if self.is_blocked() { 0 } else { write(&mut self.stream, bytes)? };
        self.unsent.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Sends what waits, as far as the system takes it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let taken = write(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..taken);
        Ok(())
    }

    /// Ends without a FIN and without TIME-WAIT.
    pub(super) fn reset(self) {
        // Where the system refuses it, the connection ends in the usual way.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Writes until all is taken or the system takes no more: how much that was.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => taken += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
