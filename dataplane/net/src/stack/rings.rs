//! Sockets with their rings, made once and used again.

use std::io;
use std::time::Duration;

use hioload_mem::{Arena, Place};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::wire::IpListenEndpoint;

use super::options::StackOptions;

/// What a client is to get within that time takes its acknowledgement along.
const ACK_DELAY: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(10);
/// Keep-alive probes that may go unanswered.
const KEEPALIVE_INTERVALS: u32 = 3;

/// A socket, alone in its set, and where its send ring lies.
pub(crate) struct Wired<'a> {
    pub(crate) set: SocketSet<'a>,
    pub(crate) ring: Place,
}

/// A worker's sockets that are not in use.
pub(crate) struct Rings<'a> {
    arena: &'a Arena,
    free: Vec<Wired<'a>>,
    receive_bytes: usize,
    send_bytes: usize,
    nodelay: bool,
    keepalive: Option<Duration>,
}

impl<'a> Rings<'a> {
    pub(crate) fn new(arena: &'a Arena, options: &StackOptions) -> Self {
        Self {
            arena,
            free: Vec::new(),
            receive_bytes: options.receive_ring_bytes,
            send_bytes: options.send_ring_bytes,
            nodelay: options.nodelay,
            keepalive: options.keepalive,
        }
    }

    /// A socket that listens at `endpoint`.
    ///
    /// # Errors
    /// When there is no memory for its rings.
    pub(crate) fn take(&mut self, endpoint: IpListenEndpoint) -> io::Result<Wired<'a>> {
        let mut wired = match self.free.pop() {
            Some(wired) => wired,
            None => self.make()?,
        };
        let socket: &mut Socket<'a> = wired.set.get_mut(SocketHandle::default());
        socket.listen(endpoint).map_err(|_| io::ErrorKind::InvalidInput)?;
        socket.set_ack_delay(Some(ACK_DELAY));
        // The window of the connection before would be that of the next one.
        socket.set_congestion_control(CongestionControl::Cubic);
        Ok(wired)
    }

    /// Takes a socket back, whatever its state is; it says nothing more to its peer.
    pub(crate) fn give_back(&mut self, mut wired: Wired<'a>) {
        wired.set.get_mut::<Socket<'a>>(SocketHandle::default()).abort();
        self.free.push(wired);
    }

    fn make(&self) -> io::Result<Wired<'a>> {
        let receive = SocketBuffer::new(self.arena.take(self.receive_bytes)?);
        let send = self.arena.take(self.send_bytes)?;
        let ring = Place::of(&*send);
        let mut socket = Socket::new(receive, SocketBuffer::new(send));
        socket.set_nagle_enabled(!self.nodelay);
        let keepalive = self.keepalive.map(duration);
        socket.set_keep_alive(keepalive);
        // Without probes it would end a connection on which nobody has anything to say.
        socket.set_timeout(keepalive.map(|interval| interval * KEEPALIVE_INTERVALS));
        let mut set = SocketSet::new(Vec::with_capacity(1));
        set.add(socket);
        Ok(Wired { set, ring })
    }
}

pub(crate) fn duration(duration: Duration) -> smoltcp::time::Duration {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    smoltcp::time::Duration::from_micros(micros)
}
