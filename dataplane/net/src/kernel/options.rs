//! What can be set on the sockets of connections.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Options of connections, set on their sockets by [`listen`](crate::listen).
///
/// On Linux a connection has the options of its listening socket from the first packet on, so
/// they cost nothing per connection; elsewhere they are set when it is accepted.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// Sends small segments at once (`TCP_NODELAY`). On by default.
    pub nodelay: bool,
    /// Bytes that the kernel buffers per connection for sending; `None` leaves it to the kernel.
    pub send_buffer_bytes: Option<usize>,
    /// Bytes that the kernel buffers per connection for reading; `None` leaves it to the kernel.
    pub receive_buffer_bytes: Option<usize>,
    /// Silence after which the kernel asks whether the peer still lives, at least one second;
    /// `None` never asks.
    pub keepalive: Option<Duration>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { nodelay: true, send_buffer_bytes: None, receive_buffer_bytes: None, keepalive: None }
    }
}

impl SocketOptions {
    /// Sets them on a socket that is to listen.
    ///
    /// This comes before `listen`: the window scale that a receive buffer allows is settled with
    /// the first packet of a connection (RFC 7323, section 2.2).
    pub(super) fn set_on_listener(&self, socket: &socket2::Socket) -> io::Result<()> {
        if INHERITED { self.set(&SockRef::from(socket)) } else { Ok(()) }
    }

    /// Sets them on an accepted connection, where it does not have them from its listener.
    pub(super) fn set_on_connection(&self, stream: &mio::net::TcpStream) -> io::Result<()> {
        if INHERITED { Ok(()) } else { self.set(&SockRef::from(stream)) }
    }

    fn set(&self, socket: &SockRef<'_>) -> io::Result<()> {
        if self.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes.min(BUFFER_BYTES_MAX))?;
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes.min(BUFFER_BYTES_MAX))?;
        }
        if let Some(silence) = self.keepalive {
            let silence = silence.max(Duration::from_secs(1));
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(silence))?;
        }
        Ok(())
    }
}

const INHERITED: bool = cfg!(target_os = "linux");

/// The kernel takes a C `int`.
const BUFFER_BYTES_MAX: usize = i32::MAX as usize;
