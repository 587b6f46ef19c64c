//! Streams over the kernel's sockets.
//!
//! Every worker has a poller of its own, and sockets are registered with it once, by edge. Bytes
//! come in through the worker's one read buffer. Large frames go out straight from where they are
//! shared; small ones that leave together are copied together first, which the kernel takes faster
//! than a list of them.

mod accept;
mod connection;
mod dealer;
mod inlet;
mod listen;
mod options;
mod poller;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_buffer::{Frame, FrameId};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

pub use self::inlet::Inlet;
pub use self::listen::{AcceptMode, ListenError, ListenOptions, Listening, listen};
pub use self::options::SocketOptions;

use self::connection::Connection;
use self::inlet::Source;
use self::poller::Poller;
use crate::queue::Outbound;
use crate::slots::FlowSlots;
use crate::{
    Backlog, BacklogMax, Event, Flow, FlowId, FlushState, Flushed, Held, Place, Polled, ReadState,
    StreamCounters, Streams, Wake,
};

/// Connections taken in per call of `poll`, so that a storm of them does not starve the others.
const ACCEPTS_PER_POLL: usize = 64;

/// What one worker keeps.
#[derive(Clone, Copy, Debug)]
pub struct KernelOptions {
    /// The buffer that all connections are read into, and so the most that one
    /// [`read`](Streams::read) hands over; small frames that leave together are put together in it,
    /// too. 64 KiB by default, at least 1 KiB.
    pub read_buffer_bytes: usize,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self { read_buffer_bytes: 64 << 10 }
    }
}

/// [`Streams`] over kernel sockets.
///
/// A connection that is closed while something is queued is reset, so that a peer which does not
/// read holds no memory of the kernel; any other is closed in the ordinary way.
pub struct KernelStreams {
    poller: Poller,
    source: Source,
    socket_options: SocketOptions,
    flows: FlowSlots<Connection>,
    outbound: Outbound,
    read_buffer: Box<[u8]>,
    counters: StreamCounters,
}

impl KernelStreams {
    /// Streams of the connections that come through `inlet`.
    pub fn new(inlet: Inlet, options: KernelOptions) -> Self {
        Self {
            poller: inlet.poller,
            source: inlet.source,
            socket_options: inlet.options,
            flows: FlowSlots::new(),
            outbound: Outbound::new(),
            read_buffer: vec![0; options.read_buffer_bytes.max(1 << 10)].into_boxed_slice(),
            counters: StreamCounters::default(),
        }
    }

    /// Hands what the poller found to `events`.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        for event in self.poller.wait(timeout)? {
            if self.source.note(event.token()) {
                continue;
            }
            let Some((id, connection)) = self.flows.at(event.token().0) else { continue };
            let noted = connection.note(event);
            events.extend(noted.readable.then_some(Event::Readable(id)));
            events.extend(noted.writable.then_some(Event::Writable(id)));
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant, events: &mut Vec<Event>) {
        let Self { poller, source, socket_options, flows, counters, .. } = self;
        source.accept(now, ACCEPTS_PER_POLL, |stream, peer| {
            match open(poller.registry(), flows, socket_options, stream, peer) {
                Ok(flow) => {
                    counters.accepted += 1;
                    events.push(Event::Opened(flow));
                }
                Err(error) => {
                    tracing::debug!(%error, %peer, "cannot take a connection in");
                    counters.accept_errors += 1;
                }
            }
        });
    }
}

/// Registers a connection, for both directions and once for all.
fn open(
    registry: &Registry,
    flows: &mut FlowSlots<Connection>,
    options: &SocketOptions,
    stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<Flow> {
    options.set_on_connection(&stream)?;
    let id = flows.insert(Connection::new(stream));
    let registered = flows.get_mut(id).map_or(Ok(()), |connection| {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut connection.stream, Token(id.index as usize), interest)
    });
    if let Err(error) = registered {
        flows.remove(id);
        return Err(error);
    }
    Ok(Flow { id, peer })
}

impl Streams for KernelStreams {
    fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(self.poller.waker()) as _
    }

    fn poll(
        &mut self,
        now: Instant,
        timeout: Option<Duration>,
        events: &mut Vec<Event>,
    ) -> io::Result<Polled> {
        let until_accept = self.source.idle_for(now);
        self.wait(timeout.into_iter().chain(until_accept).min(), events)?;
        self.accept(now, events);
        Ok(if timeout == Some(Duration::ZERO) { Polled::Worked } else { Polled::Waited })
    }

    fn read(&mut self, flow: FlowId, sink: impl FnMut(&mut [u8])) -> ReadState {
        match self.flows.get_mut(flow) {
            Some(connection) => connection.read(&mut self.read_buffer, &mut self.counters, sink),
            None => ReadState::Drained,
        }
    }

    fn hold(&mut self, frame: Frame, stamp: u64) -> FrameId {
        self.outbound.hold(frame, stamp)
    }

    fn release(&mut self, frame: FrameId) {
        self.outbound.release(frame);
    }

    fn enqueue(&mut self, flow: FlowId, frame: FrameId) {
        if let Some(connection) = self.flows.get_mut(flow) {
            self.outbound.push(&mut connection.queue, frame);
        }
    }

    fn enqueue_within(
        &mut self,
        flow: FlowId,
        frame: FrameId,
        length: usize,
        limits: &BacklogMax,
    ) -> bool {
        let Some(connection) = self.flows.get_mut(flow) else { return true };
        self.outbound.push_within(&mut connection.queue, frame, length, limits)
    }

    fn enqueue_control(&mut self, flow: FlowId, frame: FrameId, place: Place) {
        if let Some(connection) = self.flows.get_mut(flow) {
            self.outbound.push_control(&mut connection.queue, frame, place);
        }
    }

    fn drop_oldest_unsent(&mut self, flow: FlowId) -> Option<usize> {
        self.outbound.drop_oldest_unsent(&mut self.flows.get_mut(flow)?.queue)
    }

    fn backlog(&self, flow: FlowId) -> Backlog {
        self.flows.get(flow).map_or_else(Backlog::default, |connection| connection.queue.backlog())
    }

    fn messages_sent(&self, flow: FlowId) -> u64 {
        self.flows.get(flow).map_or(0, |connection| connection.queue.messages_sent())
    }

    fn held(&self) -> Held {
        self.outbound.held()
    }

    fn prefetch(&self, flow: FlowId) {
        self.flows.prefetch(flow);
    }

    fn bytes_sent(&self, flow: FlowId) -> u64 {
        self.flows.get(flow).map_or(0, |connection| connection.queue.bytes_sent())
    }

    fn flush(&mut self, flow: FlowId) -> Flushed {
        let Self { flows, outbound, read_buffer, counters, .. } = self;
        match flows.get_mut(flow) {
            Some(connection) => connection.flush(outbound, read_buffer, counters),
            None => Flushed { messages: 0, bytes: 0, state: FlushState::Drained },
        }
    }

    fn take_sent(&mut self, sink: impl FnMut(u64, u32)) {
        self.outbound.take_sent(sink);
    }

    fn finish(&mut self, flow: FlowId) {
        if let Some(connection) = self.flows.get_mut(flow) {
            connection.finish();
        }
    }

    fn close(&mut self, flow: FlowId) -> Backlog {
        let Some(mut connection) = self.flows.remove(flow) else { return Backlog::default() };
        if !connection.queue.is_empty() {
            connection.abort_on_close();
        }
        let backlog = self.outbound.clear(&mut connection.queue);
        drop(connection);
        self.source.resume();
        backlog
    }

    fn stop_accepting(&mut self) {
        self.source.stop();
    }

    fn counters(&self) -> StreamCounters {
        let below = self.source.counts();
        StreamCounters {
            accept_pauses: below.pauses,
            accept_errors: self.counters.accept_errors + below.errors,
            ..self.counters
        }
    }
}
