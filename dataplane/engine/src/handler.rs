//! What an embedder writes.

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;

use hioload_protocol::http::{Refusal, Request};
use hioload_protocol::ws::{ClosedWith, Message};

use crate::session_data::SessionData;
use crate::{Outbox, PathIndex, Session, WorkerId};

/// The application: what happens with the messages of clients.
///
/// One value serves all workers, so state that changes sits behind atomics or locks of the
/// handler's own; [`PerWorker`](crate::PerWorker) keeps such state apart for each worker, and
/// [`Accept::data`] for each session. For one session the calls come from one thread, in this order: `on_upgrade`,
/// `on_open`, any number of `on_message`, `on_close`. None of them may block: a worker serves
/// thousands of other sessions meanwhile.
pub trait Handler: Send + Sync + 'static {
    /// Decides on a request that is a valid WebSocket upgrade. By default every one is accepted.
    ///
    /// # Errors
    /// The refusal is sent to the client as an HTTP response.
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        let _ = request;
        Ok(Accept::new())
    }

    /// The session exists; from here on it gets what is broadcast.
    ///
    /// # Errors
    /// An error closes the session with 1011 and is counted.
    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        let _ = (session, out);
        Ok(())
    }

    /// A whole message has come, its text valid UTF-8.
    ///
    /// # Errors
    /// An error closes the session with 1011 and is counted. What was put into `out` before it
    /// is still sent.
    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError>;

    /// The session has ended. Broadcasts still reach the others; a reply to this session is
    /// dropped.
    fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
        let _ = (session, closed, out);
    }
}

/// A request that is a valid WebSocket upgrade; dereferences to the [`Request`].
#[derive(Debug)]
pub struct UpgradeRequest<'a> {
    pub(crate) request: &'a Request,
    pub(crate) peer: SocketAddr,
    pub(crate) client: SocketAddr,
    pub(crate) worker: WorkerId,
    pub(crate) path: PathIndex,
    /// The handler panicked on it, and a layer caught it.
    pub(crate) panicked: Cell<bool>,
}

impl UpgradeRequest<'_> {
    /// Address and port of the client: what a trusted proxy says of it (`server.client_address`), or
    /// else [`peer`](Self::peer). The port is 0 where the proxy names none.
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// Address and port of the other side of the connection, which may be a proxy.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The worker that has the connection, and will have the session.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Which of the WebSocket paths is asked for, and so which handler.
    pub fn path_index(&self) -> PathIndex {
        self.path
    }
}

impl Deref for UpgradeRequest<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.request
    }
}

/// A handler's yes to an upgrade, and what goes with it.
#[derive(Default)]
pub struct Accept {
    pub(crate) data: SessionData,
}

impl Accept {
    /// Accepts, without data for the session.
    pub fn new() -> Self {
        Self::default()
    }

    /// Attaches a value to the session: who its user is, or state that changes. [`Session::data`]
    /// gives it back by its type, so that layers and the handler can each attach something of
    /// their own.
    ///
    /// All calls for one session come from one thread, one after the other, so a
    /// [`Cell`](std::cell::Cell) or a [`RefCell`](std::cell::RefCell) will do for what changes:
    /// the value need not be `Sync`.
    ///
    /// ```
    /// # use hioload_engine as hioload;
    /// use std::cell::Cell;
    ///
    /// use hioload::{
    ///     Accept, Handler, HandlerError, Message, Outbox, Refusal, Session, UpgradeRequest,
    /// };
    ///
    /// struct Counting;
    ///
    /// struct Said(Cell<u32>);
    ///
    /// impl Handler for Counting {
    ///     fn on_upgrade(&self, _request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
    ///         Ok(Accept::new().data(Said(Cell::new(0))))
    ///     }
    ///
    ///     fn on_message(&self, session: &Session, _message: Message<'_>, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
    ///         let said = session.data::<Said>().ok_or_else(|| HandlerError::new("no count"))?;
    ///         said.0.set(said.0.get() + 1);
    ///         out.send(format!("that was your message number {}", said.0.get()).as_str());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn data(mut self, value: impl Any + Send) -> Self {
        self.data.push(value);
        self
    }
}

/// Why a handler gave a session up.
#[derive(Debug)]
pub struct HandlerError {
    message: Cow<'static, str>,
    panicked: bool,
}

impl HandlerError {
    /// An error that the log shows as `message`; the client sees close code 1011 only.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), panicked: false }
    }

    /// The error that stands for a panic with the payload `panic`.
    pub(crate) fn from_panic(panic: &(dyn Any + Send)) -> Self {
        let message = if let Some(text) = panic.downcast_ref::<&'static str>() {
            Cow::Borrowed(*text)
        } else if let Some(text) = panic.downcast_ref::<String>() {
            Cow::Owned(text.clone())
        } else {
            Cow::Borrowed("a panic without a message")
        };
        Self { message, panicked: true }
    }

    /// Whether the handler panicked and a layer caught it.
    pub fn is_panic(&self) -> bool {
        self.panicked
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.panicked {
            write!(f, "panic: {}", self.message)
        } else {
            f.write_str(&self.message)
        }
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}
