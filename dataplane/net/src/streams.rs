//! The seam between transports and what runs over them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_buffer::{Frame, FrameId};

/// A connection of one worker. The generation tells it from an earlier one in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    /// Place in the worker's tables; small and dense, so that callers can index by it.
    pub index: u32,
    /// How many flows have had this place before.
    pub generation: u32,
}

/// A new connection.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Names the connection from now until [`Streams::close`].
    pub id: FlowId,
    /// Address and port of the other side.
    pub peer: SocketAddr,
}

/// What [`Streams::poll`] found.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A connection was accepted. It may be readable already: read it.
    Opened(Flow),
    /// There are bytes, an end of stream or an error to read. Reported once per edge.
    Readable(FlowId),
    /// A flow whose last flush was [`FlushState::Blocked`] can take bytes again.
    Writable(FlowId),
}

/// What a [`Streams::poll`] did with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// It took something in, or looked without waiting because it was told to.
    Worked,
    /// It slept, or looked in vain.
    Waited,
}

/// How a [`Streams::read`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// Nothing is left for now; [`Event::Readable`] will tell of more.
    Drained,
    /// The budget of one read is used up and there may be more: read again in a later turn.
    More,
    /// The peer has ended its direction. What is queued can still be sent.
    Ended,
    /// The connection is lost (reset, time-out). Only [`Streams::close`] is left.
    Lost(io::ErrorKind),
}

/// Whether a [`Streams::flush`] emptied the flow's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushState {
    /// The transport has every byte.
    Drained,
    /// The transport has every byte and the end of our direction ([`Streams::finish`]).
    Finished,
    /// The peer's window (or the socket's buffer) is full; [`Event::Writable`] will tell.
    Blocked,
    /// The budget of one flush is used up: flush again in a later turn.
    More,
    /// The connection is lost. Only [`Streams::close`] is left.
    Lost(io::ErrorKind),
}

/// What a [`Streams::flush`] did.
#[derive(Clone, Copy, Debug)]
pub struct Flushed {
    /// Messages (not control frames) whose last byte the transport has taken.
    pub messages: u32,
    /// Bytes that the transport has taken, control frames and responses included.
    pub bytes: usize,
    /// Why it ended.
    pub state: FlushState,
}

/// Where a control frame goes in a flow's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind a frame of which a byte has been sent and behind earlier control frames, ahead of
    /// all other messages: pings and pongs.
    Ahead,
    /// Behind everything: the Close frame, which no message may follow, and HTTP responses.
    Behind,
}

/// What waits in the outbound queue of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages not yet sent in full; control frames do not count.
    pub messages: u32,
    /// Control frames and responses not yet sent in full.
    pub controls: u32,
    /// Bytes not yet sent, of messages and control frames.
    pub bytes: usize,
}

/// What waits in the outbound queues of all flows of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Messages not yet sent in full, summed over flows; control frames do not count.
    pub messages: u64,
    /// Bytes of memory: the frames that are referred to, each once, and the places in the queues.
    pub bytes: usize,
}

/// How much may wait in the queue of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogMax {
    /// Messages; control frames do not count.
    pub messages: u32,
    /// Bytes, of messages and control frames.
    pub bytes: usize,
}

impl BacklogMax {
    /// Whether a message of `length` bytes may wait beside `backlog`.
    #[inline]
    pub fn admits(&self, backlog: Backlog, length: usize) -> bool {
        backlog.messages < self.messages && backlog.bytes + length <= self.bytes
    }
}

/// Counts of what happened below the seam since the start, of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Connections accepted.
    pub accepted: u64,
    /// Times that accepting was paused because file descriptors (or memory) had run out.
    pub accept_pauses: u64,
    /// Connections that were lost between their arrival and their acceptance.
    pub accept_errors: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Calls that wrote (system calls on the kernel side).
    pub writes: u64,
}

/// Wakes a worker that sleeps in [`Streams::poll`], from any thread.
pub trait Wake: Send + Sync {
    /// Makes a current or the next `poll` return at once. Cheap when the worker does not sleep.
    fn wake(&self);
}

/// Connections of one worker: events, bytes in, references to shared frames out.
///
/// There is one outbound queue per flow, below this seam: entries of a frame and an offset,
/// drained as the peer's window opens. Frames are held in the worker's
/// [`FrameTable`](hioload_buffer::FrameTable), which the implementation owns; `enqueue` copies no
/// byte and, in steady state, allocates nothing.
///
/// Order of calls: `poll`; then for its events `read`, `enqueue`, `flush`; at the end of a
/// connection `finish` (once, or not at all) and then `close`, after which its `FlowId` is void.
/// Calls with a void `FlowId` do nothing and report [`ReadState::Drained`],
/// [`FlushState::Drained`] or an empty backlog, so a stale event is harmless.
pub trait Streams {
    /// A handle that wakes this worker.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Waits for events, for at most `timeout` (`None`: without end, zero: not at all), and
    /// appends them to `events`. Returns early, perhaps without events, when woken.
    ///
    /// # Errors
    /// Only those after which the worker cannot go on.
    fn poll(
        &mut self,
        now: Instant,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<Polled>;

    /// Whether more may have come than the last [`poll`](Self::poll) took in: there is a bound to
    /// what one takes of segments, in which bytes of any flow may be. A kernel has no such bound.
    fn has_more(&self) -> bool {
        false
    }

    /// Reads what has come, up to a fixed budget, and hands it to `sink` in order, in one or more
    /// pieces. `sink` may change the bytes (they are unmasked in place) and takes all of them;
    /// what it wants to keep it copies.
    fn read(&mut self, flow: FlowId, sink: impl FnMut(&mut [u8])) -> ReadState;

    /// Takes a frame into the worker's table, with one reference that the caller holds. The stamp
    /// is a number of the caller's, for [`take_sent`](Self::take_sent).
    fn hold(&mut self, frame: Frame, stamp: u64) -> FrameId;

    /// Gives a reference back.
    fn release(&mut self, frame: FrameId);

    /// Appends a message to the flow's queue; the queue takes a reference of its own.
    fn enqueue(&mut self, flow: FlowId, frame: FrameId);

    /// [`enqueue`](Self::enqueue)s a message of `length` bytes where that keeps to `limits`, and
    /// says `false` where it does not. A void flow counts as one that has room.
    fn enqueue_within(
        &mut self,
        flow: FlowId,
        frame: FrameId,
        length: usize,
        limits: &BacklogMax,
    ) -> bool {
        let fits = limits.admits(self.backlog(flow), length);
        if fits {
            self.enqueue(flow, frame);
        }
        fits
    }

    /// Queues a control frame at `place`. It does not count as a message and is never dropped.
    /// The queue takes a reference of its own.
    fn enqueue_control(&mut self, flow: FlowId, frame: FrameId, place: Place);

    /// Drops the oldest message of which no byte has been sent and returns its length in bytes;
    /// `None` where there is none. Control frames stay.
    fn drop_oldest_unsent(&mut self, flow: FlowId) -> Option<usize>;

    /// What waits in the flow's queue.
    fn backlog(&self, flow: FlowId) -> Backlog;

    /// Messages of the flow whose last byte the transport has taken since it was opened; what was
    /// dropped is not among them.
    fn messages_sent(&self, flow: FlowId) -> u64;

    /// What waits in all queues. Cheap: asked for per delivery.
    fn held(&self) -> Held;

    /// Says that `flow` is enqueued to or flushed soon: what that needs first can come into the
    /// caches meanwhile.
    fn prefetch(&self, _flow: FlowId) {}

    /// Says that `flow` is flushed very soon, or [`deliver`](Self::deliver)ed so many bytes, and that
    /// [`prefetch`](Self::prefetch) was called a while ago: what else is needed can come.
    fn prefetch_flush(&self, _flow: FlowId, _bytes: usize) {}

    /// The most bytes that [`deliver`](Self::deliver) takes; 0 where all goes through the queues.
    fn deliver_bytes_max(&self) -> usize {
        0
    }

    /// Hands `messages` whole messages, one behind the other in `bytes`, to the transport at once:
    /// where nothing waits in the flow's queue and the transport takes all of them. Says whether it
    /// did; where it says `false`, nothing has happened.
    ///
    /// They are not among those that [`take_sent`](Self::take_sent) tells of.
    fn deliver(&mut self, _flow: FlowId, _messages: u32, _bytes: &[u8]) -> bool {
        false
    }

    /// Bytes of the flow that the transport has taken since it was opened, control frames and
    /// responses included.
    fn bytes_sent(&self, flow: FlowId) -> u64;

    /// Hands queued bytes to the transport, as many at a time as it takes, up to a fixed budget.
    fn flush(&mut self, flow: FlowId) -> Flushed;

    /// Tells of the messages, control frames apart, whose last byte the transport has taken since
    /// the last call: how many there were with each stamp. A stamp may come more than once. To be
    /// asked again and again: what is not asked for takes memory for every message.
    fn take_sent(&mut self, sink: impl FnMut(u64, u32));

    /// Ends our direction (FIN) once the queue is empty, of which a [`flush`](Self::flush) tells.
    /// What the peer still sends can be read.
    fn finish(&mut self, flow: FlowId);

    /// Gives the connection up at once and frees its place; returns what was still queued.
    fn close(&mut self, flow: FlowId) -> Backlog;

    /// Closes the listening sockets: new connections are refused from here on.
    fn stop_accepting(&mut self);

    /// Whether a peer has yet to acknowledge all that was sent to it before its flow was closed,
    /// which takes further calls of [`poll`](Self::poll). Sockets of the kernel need none.
    fn is_ending(&self) -> bool {
        false
    }

    /// Counts since the start.
    fn counters(&self) -> StreamCounters;
}
