//! One connection: reading into a shared buffer, writing from shared frames.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::event::Event as Readiness;
use mio::net::TcpStream;
use socket2::SockRef;

use crate::queue::{Outbound, Queue};
use crate::{FlushState, Flushed, ReadState, StreamCounters};

/// A socket and its outbound queue.
///
/// Readiness comes by edge. On Linux a read or write that moves fewer bytes than it was offered
/// has met the edge already, as epoll(7) says of streams; elsewhere only `WouldBlock` shows it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) queue: Queue,
    /// The last write met a full socket, and no event has said since that it takes bytes again.
    blocked: bool,
    /// An event told of the end of the stream or of an error, which reading has to reach: there
    /// comes no other edge.
    hang_up: bool,
    finish: Finish,
    lost: Option<io::ErrorKind>,
}

/// How far the end of our direction is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    NotAsked,
    Asked,
    Done,
}

/// What an event means to the caller.
pub(super) struct Noted {
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// Frames that one system call writes; 64 small messages fill most of a segment.
const SLICES_PER_WRITE: usize = 64;
/// Frames that are copied together so that the kernel gets them in one piece: a vectored write
/// takes longer than the copy until they are several KiB each.
const JOINED_BYTES_MAX: usize = 32 << 10;
/// What one flush may write.
const WRITES_PER_FLUSH: u32 = 4;
const BYTES_PER_FLUSH: usize = 1 << 20;

const SHORT_IS_EDGE: bool = cfg!(target_os = "linux");

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            queue: Queue::new(),
            blocked: false,
            hang_up: false,
            finish: Finish::NotAsked,
            lost: None,
        }
    }

    /// Takes in what the poller says. Writability is news only to a blocked flow.
    pub(super) fn note(&mut self, event: &Readiness) -> Noted {
        let hang_up = event.is_read_closed() || event.is_error();
        self.hang_up |= hang_up;
        let writable = event.is_writable() || event.is_write_closed() || event.is_error();
        let writable = writable && std::mem::take(&mut self.blocked);
        Noted { readable: event.is_readable() || hang_up, writable }
    }

    /// Reads until nothing is left or `buffer` was filled once.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        counters: &mut StreamCounters,
        mut sink: impl FnMut(&mut [u8]),
    ) -> ReadState {
        if let Some(kind) = self.lost {
            return ReadState::Lost(kind);
        }
        let mut left = buffer.len();
        while left > 0 {
            match self.stream.read(buffer) {
                Ok(0) => return ReadState::Ended,
                Ok(len) => {
                    counters.bytes_in += len as u64;
                    sink(&mut buffer[..len]);
                    if SHORT_IS_EDGE && len < buffer.len() && !self.hang_up {
                        return ReadState::Drained;
                    }
                    left = left.saturating_sub(len);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return ReadState::Drained;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return ReadState::Lost(self.lose(&error)),
            }
        }
        ReadState::More
    }

    /// Writes from the queue until it is empty, the socket is full or the budget is used up.
    /// `scratch` is for small frames that are written together.
    pub(super) fn flush(
        &mut self,
        outbound: &mut Outbound,
        scratch: &mut [u8],
        counters: &mut StreamCounters,
    ) -> Flushed {
        let mut flushed = Flushed { messages: 0, bytes: 0, state: FlushState::More };
        for _ in 0..WRITES_PER_FLUSH {
            if self.lost.is_some() || self.blocked || self.queue.backlog().bytes == 0 {
                break;
            }
            match self.write(outbound, BYTES_PER_FLUSH - flushed.bytes, scratch) {
                Ok(written) => {
                    counters.writes += 1;
                    counters.bytes_out += written as u64;
                    flushed.bytes += written;
                    flushed.messages += outbound.advance(&mut self.queue, written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.lose(&error);
                }
            }
            if flushed.bytes == BYTES_PER_FLUSH {
                break;
            }
        }
        if self.queue.backlog().bytes == 0 {
            flushed.messages += outbound.advance(&mut self.queue, 0);
        }
        flushed.state = self.flush_state();
        flushed
    }

    /// Ends our direction once the queue is empty.
    pub(super) fn finish(&mut self) {
        if self.finish == Finish::NotAsked {
            self.finish = Finish::Asked;
        }
        self.finish_when_empty();
    }

    /// Makes the kernel forget the connection when it is closed: a peer that does not read would
    /// hold the kernel's buffers for minutes, and one that does must not take what it got for all.
    pub(super) fn abort_on_close(&self) {
        if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "cannot abort a connection; closing it");
        }
    }

    /// One system call with what is queued, up to `bytes_max`; returns the bytes it took.
    fn write(
        &mut self,
        outbound: &Outbound,
        bytes_max: usize,
        scratch: &mut [u8],
    ) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let (count, offered) = gather(outbound.pending(&self.queue), bytes_max, &mut slices);
        let written = match &slices[..count] {
            [one] => self.stream.write(one)?,
            many if offered <= scratch.len().min(JOINED_BYTES_MAX) => {
                self.stream.write(join(many, scratch))?
            }
            many => self.stream.write_vectored(many)?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.blocked = SHORT_IS_EDGE && written < offered;
        Ok(written)
    }

    fn flush_state(&mut self) -> FlushState {
        if let Some(kind) = self.lost {
            FlushState::Lost(kind)
        } else if self.queue.is_empty() {
            self.finish_when_empty();
            if self.finish == Finish::Done { FlushState::Finished } else { FlushState::Drained }
        } else if self.blocked {
            FlushState::Blocked
        } else {
            FlushState::More
        }
    }

    fn finish_when_empty(&mut self) {
        if self.finish == Finish::Asked && self.queue.is_empty() {
            self.finish = Finish::Done;
            // It fails only when the connection is lost, which reading tells.
            if let Err(error) = self.stream.shutdown(Shutdown::Write) {
                tracing::debug!(%error, "cannot end a connection");
            }
        }
    }

    fn lose(&mut self, error: &io::Error) -> io::ErrorKind {
        self.lost = Some(error.kind());
        error.kind()
    }
}

/// Collects up to `bytes_max` of what is pending; returns how many slices and bytes that are.
fn gather<'a>(
    pending: impl Iterator<Item = &'a [u8]>,
    bytes_max: usize,
    slices: &mut [IoSlice<'a>],
) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for (slice, frame) in slices.iter_mut().zip(pending.filter(|frame| !frame.is_empty())) {
        let len = frame.len().min(bytes_max - bytes);
        *slice = IoSlice::new(&frame[..len]);
        count += 1;
        bytes += len;
        if bytes == bytes_max {
            break;
        }
    }
    (count, bytes)
}

/// The bytes of `slices` one behind the other, in `scratch`, which has room for them.
fn join<'a>(slices: &[IoSlice<'_>], scratch: &'a mut [u8]) -> &'a [u8] {
    let mut end = 0;
    for slice in slices {
        scratch[end..end + slice.len()].copy_from_slice(slice);
        end += slice.len();
    }
    &scratch[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::FlowSlots;

    #[test]
    fn a_flow_fits_in_a_cache_line() {
        // A debug build of mio keeps more beside the descriptor.
        let lines = if cfg!(debug_assertions) { 2 } else { 1 };
        assert!(FlowSlots::<Connection>::SLOT_BYTES <= lines * 64);
    }
}
