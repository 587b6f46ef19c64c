//! One connection of a client.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::SockRef;
use tungstenite::error::Error;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Message};

use crate::frames::FrameReader;
use crate::kernel::handshake::Handshake;

/// Where a client is in its life.
#[derive(Debug)]
pub(crate) enum Client {
    /// It has no connection, and will have one if it is still wanted.
    Absent,
    Connecting(Handshake),
    Open(Connection),
}

/// An open connection. Frames that come in are read by [`FrameReader`]; what goes out is framed
/// and masked by tungstenite.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    pub(crate) reader: FrameReader,
    /// Made when something is to be sent; most clients of a broadcast never do.
    outbox: Option<Box<WebSocketContext>>,
    /// The system takes no more for now.
    pub(crate) blocked: bool,
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
            outbox: None,
            blocked: false,
            roll_called: false,
            closing: false,
        }
    }

    /// Ends without a Close and without TIME-WAIT, once it is dropped.
    pub(crate) fn reset_when_dropped(&self) {
        // Where the system refuses it, the connection ends in the usual way.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Queues a message.
    ///
    /// # Errors
    /// Why the connection is of no more use.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Result<(), String> {
        self.write(Message::Binary(Bytes::copy_from_slice(payload)))
    }

    /// Answers a ping. The answer is queued, like a message.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) fn pong(&mut self, payload: &[u8]) -> Result<(), String> {
        if self.closing {
            return Ok(());
        }
        self.write(Message::Pong(Bytes::copy_from_slice(payload)))?;
        self.flush()
    }

    /// Sends the Close that ends the session, behind what is queued.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) fn close(&mut self) -> Result<(), String> {
        if self.closing {
            return Ok(());
        }
        self.closing = true;
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.write(Message::Close(Some(frame)))?;
        self.flush()
    }

    /// Sends what is queued, as far as the system takes it.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        let Some(outbox) = &mut self.outbox else { return Ok(()) };
        self.blocked = false;
        let result = outbox.flush(&mut self.socket);
        self.settle(result)
    }

    fn write(&mut self, message: Message) -> Result<(), String> {
        let outbox = self.outbox.get_or_insert_with(|| {
            // Nothing is ever read through it.
            let options = WebSocketConfig::default().read_buffer_size(16);
            Box::new(WebSocketContext::new(Role::Client, Some(options)))
        });
        let result = outbox.write(&mut self.socket, message);
        self.settle(result)
    }

    /// What is not taken yet stays queued.
    fn settle(&mut self, result: Result<(), Error>) -> Result<(), String> {
        match result {
            Ok(()) => Ok(()),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
