//! One connection: its TCP socket, and what the socket does not know.

use hioload_mem::Place;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::Instant;

use super::link::Link;
use super::options::RouterId;
use super::packet::Segment;
use super::rings::Wired;
use super::table::FlowKey;
use crate::queue::Queue;
use crate::{FlushState, ReadState};

/// No moment: later than any.
pub(crate) const NEVER: Instant = Instant::from_micros_const(i64::MAX);

/// No more of a ring is fetched ahead: what is longer is read in order, which the processor sees.
const RING_PREFETCH_BYTES_MAX: usize = 256;

/// A connection of the stack.
pub(crate) struct Flow<'a> {
    /// Holds one socket, so that nothing walks over those of others.
    pub(crate) set: SocketSet<'a>,
    /// Where its send ring lies.
    pub(crate) ring: Place,
    pub(crate) queue: Queue,
    pub(crate) key: FlowKey,
    /// Where its segments came from last.
    pub(crate) link: Link,
    /// The router that its segments come through; ours follow it.
    pub(crate) router: Option<RouterId>,
    pub(crate) stage: Stage,
    pub(crate) finish: Finish,
    /// The last flush left something, and nothing has been said since.
    pub(crate) blocked: bool,
    /// Stands in the list of those to look at.
    pub(crate) touched: bool,
    /// It is in its port's list of those that wait for the interface.
    pub(crate) stalled: bool,
    /// Ended by silence of the peer and not by its word.
    pub(crate) timed_out: bool,
    /// Bytes in the send ring that have not been sent once.
    pub(crate) unsent: u32,
    /// Behind the last byte of the peer's that was read.
    pub(crate) read_until: u32,
    /// Behind the last byte that was sent, and the last acknowledgement that was.
    pub(crate) sent_until: u32,
    pub(crate) acknowledged: u32,
    /// The earliest entry in the timer wheel, as far as is known.
    pub(crate) wake_at: Instant,
    /// An entry behind it. A delayed acknowledgement comes and goes many times before data that was
    /// sent is due again, and each would leave another entry for that.
    pub(crate) wake_later: Instant,
    /// When it ends whatever its socket says.
    pub(crate) deadline: Instant,
    /// From then on a segment that would begin it anew is answered again.
    pub(crate) challenge_at: Instant,
}

/// Whose the flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The peer has not acknowledged our SYN.
    HalfOpen,
    /// Known above.
    Open,
    /// Given up above; TCP has still to end it in order.
    Closing,
}

/// How far the end of our direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    NotAsked,
    Asked,
    Done,
}

impl<'a> Flow<'a> {
    pub(crate) fn new(
        Wired { set, ring }: Wired<'a>,
        key: FlowKey,
        link: Link,
        router: Option<RouterId>,
        syn: &Segment,
    ) -> Self {
        Self {
            set,
            ring,
            queue: Queue::new(),
            key,
            link,
            router,
            stage: Stage::HalfOpen,
            finish: Finish::NotAsked,
            blocked: false,
            touched: false,
            stalled: false,
            timed_out: false,
            unsent: 0,
            // What comes with a SYN is not taken.
            read_until: syn.sequence.wrapping_add(1),
            sent_until: 0,
            acknowledged: 0,
            wake_at: NEVER,
            wake_later: NEVER,
            deadline: NEVER,
            challenge_at: Instant::ZERO,
        }
    }

    pub(crate) fn socket(&self) -> &tcp::Socket<'a> {
        self.set.get(SocketHandle::default())
    }

    pub(crate) fn socket_mut(&mut self) -> &mut tcp::Socket<'a> {
        self.set.get_mut(SocketHandle::default())
    }

    /// Has the socket come into the caches.
    #[inline]
    pub(crate) fn prefetch_socket(&self) {
        hioload_mem::prefetch_all(self.socket());
    }

    /// Has what a flush needs come into the caches: the socket, and the send ring as far as what is
    /// queued reaches, and `bytes` more. It is filled from its beginning where all that was sent is
    /// acknowledged.
    #[inline]
    pub(crate) fn prefetch_flush(&self, bytes: usize) {
        self.prefetch_socket();
        let bytes = self.queue.backlog().bytes.saturating_add(bytes);
        self.ring.prefetch(bytes.min(RING_PREFETCH_BYTES_MAX));
    }

    /// Copies all of `bytes` into the send ring where it has room for that and nothing waits to go
    /// first, and says whether it did.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        if self.stage != Stage::Open || self.finish != Finish::NotAsked || !self.queue.is_empty() {
            return false;
        }
        let socket = self.socket_mut();
        let room = socket.send_capacity() - socket.send_queue();
        // Where a socket takes some it takes as much as there is room for.
        bytes.len() <= room && socket.send_slice(bytes).is_ok_and(|sent| sent == bytes.len())
    }

    /// The receive window as a segment says it. That the peer scales windows is not known here: where
    /// it does not, this is less than there is, until the next segment.
    pub(crate) fn window(&self) -> u16 {
        let capacity = self.socket().recv_capacity();
        // As `smoltcp` has it: the least shift with which 16 bits can say the whole ring.
        let shift = (usize::BITS - capacity.leading_zeros()).saturating_sub(u16::BITS);
        u16::try_from(self.window_bytes() >> shift).unwrap_or(u16::MAX)
    }

    /// Bytes that the peer may send.
    pub(crate) fn window_bytes(&self) -> usize {
        let socket = self.socket();
        socket.recv_capacity() - socket.recv_queue()
    }

    /// The next sequence number of the peer's (RCV.NXT of RFC 9293 section 3.3.1); it says nothing in
    /// a closed connection.
    pub(crate) fn receive_next(&self) -> u32 {
        let socket = self.socket();
        let fin = match socket.state() {
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait => 1,
            _ => 0,
        };
        // Rings are not as long as half of all numbers.
        let unread = u32::try_from(socket.recv_queue()).unwrap_or(u32::MAX);
        self.read_until.wrapping_add(unread).wrapping_add(fin)
    }

    pub(crate) fn state(&self) -> State {
        self.socket().state()
    }

    /// Whether what waits is worth being sent: a ring that is nearly full would make for small
    /// segments (RFC 9293 section 3.8.6.2.1).
    pub(crate) fn has_room(&self) -> bool {
        let socket = self.socket();
        socket.send_queue() <= socket.send_capacity() / 2
    }

    /// What a flush ended with.
    pub(crate) fn flush_state(&self) -> FlushState {
        if !self.queue.is_empty() {
            FlushState::Blocked
        } else if self.finish == Finish::Done {
            FlushState::Finished
        } else {
            FlushState::Drained
        }
    }

    /// The timer wheel has named the flow: entries until `now` are gone.
    pub(crate) fn wake(&mut self, now: Instant) {
        if self.wake_at <= now {
            self.wake_at = std::mem::replace(&mut self.wake_later, NEVER);
        }
        if self.wake_at <= now {
            self.wake_at = NEVER;
        }
    }

    /// What reading ends with once the receive ring is empty.
    pub(crate) fn read_state(&self) -> ReadState {
        match self.state() {
            State::Closed | State::Listen if self.timed_out => {
                ReadState::Lost(std::io::ErrorKind::TimedOut)
            }
            State::Closed | State::Listen => ReadState::Lost(std::io::ErrorKind::ConnectionReset),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait => {
                ReadState::Ended
            }
            State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2 => ReadState::Drained,
        }
    }
}
