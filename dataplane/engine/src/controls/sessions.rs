//! What the control plane asks about single sessions, of the workers that own them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, SendTimeoutError, Sender, bounded};
use hioload_net::FlowId;
use hioload_protocol::ws::{CloseCode, Message};

use super::{Controls, WorkerHandle};
use crate::SessionId;
use crate::latency::Publication;

/// What a worker is asked about sessions of its own, in order. A session that has ended
/// meanwhile is passed over.
#[derive(Debug)]
pub(crate) enum Directed {
    /// A message for one session.
    Send { session: SessionId, flow: FlowId, message: Publication },
    /// The Close handshake with one session, behind what it is to get.
    Close { session: SessionId, flow: FlowId, code: CloseCode, reason: Box<str> },
    /// What there is to know of some sessions, [`DESCRIBED_MAX`] at most.
    Describe { sessions: Vec<(SessionId, FlowId)>, answers: Sender<Vec<SessionInfo>> },
}

/// Requests about single sessions that wait for a worker.
pub(crate) const DIRECTED_MAX: usize = 1024;

/// Sessions that one request asks about, so that it holds up no worker for long.
pub(crate) const DESCRIBED_MAX: usize = 128;

/// How long workers may take to describe the sessions of a page.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(1);

/// A request about a single session, or a page of them, was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectedError {
    /// No such session is open.
    #[error("there is no open session {0}")]
    NotOpen(SessionId),
    /// A worker does not keep up with what it is asked.
    #[error("a worker does not keep up with what it is asked about its sessions")]
    Busy,
    /// The appliance is draining or has stopped.
    #[error("the appliance is stopping")]
    Stopping,
}

/// What there is to know of a session, as of a moment of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Names it.
    pub id: SessionId,
    /// Address and port of the client; see [`Session::client`](crate::Session::client).
    pub peer: SocketAddr,
    /// Time since the upgrade.
    pub age: Duration,
    /// Messages taken from it.
    pub messages_received: u64,
    /// Messages to it whose last byte the transport has taken.
    pub messages_delivered: u64,
    /// Messages that wait for it.
    pub backlog_messages: u32,
    /// Bytes that wait for it, control frames included.
    pub backlog_bytes: usize,
    /// The worker that owns it, from zero.
    pub worker: usize,
}

/// Sessions in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPage {
    /// As many as were asked for, fewer on the last page and where sessions have ended while they
    /// were asked about.
    pub sessions: Vec<SessionInfo>,
    /// Behind which id the next page begins; `None` on the last one.
    pub next: Option<SessionId>,
}

impl Controls {
    /// Sends a message to one session. Waits up to `patience` while its worker is behind.
    ///
    /// # Errors
    /// When no such session is open, its worker does not keep up, or has ended. A session that
    /// ends before the message has reached it gets nothing, and that is no error.
    pub fn send<'a>(
        &self,
        session: SessionId,
        message: impl Into<Message<'a>>,
        patience: Duration,
    ) -> Result<(), DirectedError> {
        let flow = self.locate(session)?;
        let message = self.encode(message.into());
        self.direct(session, Directed::Send { session, flow, message }, patience)
    }

    /// Begins the close handshake with one session, behind what was sent to it before. A reason
    /// beyond 123 bytes is cut. Waits up to `patience` while its worker is behind.
    ///
    /// # Errors
    /// When no such session is open, its worker does not keep up, or has ended.
    pub fn close(
        &self,
        session: SessionId,
        code: CloseCode,
        reason: &str,
        patience: Duration,
    ) -> Result<(), DirectedError> {
        let flow = self.locate(session)?;
        let reason = reason.into();
        self.direct(session, Directed::Close { session, flow, code, reason }, patience)
    }

    /// The `count` sessions with the smallest ids beyond `after`, as their workers know them.
    ///
    /// A session that stays open is on exactly one of the pages from the first to the last. Waits
    /// for the workers, which answer between two turns.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn sessions(
        &self,
        after: Option<SessionId>,
        count: usize,
    ) -> Result<SessionPage, DirectedError> {
        let located = self.registry.page(after, count);
        let next = located.sessions.last().filter(|_| located.more).map(|&(id, _)| id);
        let deadline = Instant::now() + DESCRIBE_TIMEOUT;
        // Ids are in the order of the workers.
        let requests: Vec<&[(SessionId, FlowId)]> = located
            .sessions
            .chunk_by(|(left, _), (right, _)| left.worker() == right.worker())
            .flat_map(|of_one_worker| of_one_worker.chunks(DESCRIBED_MAX))
            .collect();
        let (answers, answered) = bounded(requests.len());
        for sessions in requests {
            let worker = &self.workers[sessions[0].0.worker().get()];
            let sessions = sessions.to_vec();
            let patience = deadline.saturating_duration_since(Instant::now());
            match worker.direct(Directed::Describe { sessions, answers: answers.clone() }, patience)
            {
                // The sessions of a worker that has ended are gone.
                Ok(()) | Err(DirectedError::Stopping) => {}
                Err(error) => return Err(error),
            }
        }
        drop(answers);
        let mut sessions = Vec::with_capacity(located.sessions.len());
        loop {
            match answered.recv_deadline(deadline) {
                Ok(some) => sessions.extend(some),
                // Every worker has answered or ended.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(DirectedError::Busy),
            }
        }
        sessions.sort_unstable_by_key(|session| session.id);
        Ok(SessionPage { sessions, next })
    }

    fn locate(&self, session: SessionId) -> Result<FlowId, DirectedError> {
        self.registry.get(session).ok_or(DirectedError::NotOpen(session))
    }

    fn direct(
        &self,
        session: SessionId,
        request: Directed,
        patience: Duration,
    ) -> Result<(), DirectedError> {
        self.workers[session.worker().get()].direct(request, patience)
    }
}

impl WorkerHandle {
    fn direct(&self, request: Directed, patience: Duration) -> Result<(), DirectedError> {
        self.directed.send_timeout(request, patience).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => DirectedError::Busy,
            SendTimeoutError::Disconnected(_) => DirectedError::Stopping,
        })?;
        self.waker.wake();
        Ok(())
    }
}
