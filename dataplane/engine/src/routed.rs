//! Several WebSocket paths with a handler each, as one handler.

use hioload_protocol::http::Refusal;
use hioload_protocol::ws::{ClosedWith, Message};

use crate::{Accept, Handler, HandlerError, Outbox, Session, UpgradeRequest};

/// Which of the WebSocket paths of an appliance: 0 is `websocket.path`, the others count up in the
/// order in which they were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathIndex(pub(crate) u16);

impl PathIndex {
    /// The index of the path that was added as number `index`.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The index as a number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// One more path with a handler of its own, beside those that `others` serves.
///
/// The chain of paths is a type, put together when the program is compiled: a call goes to its
/// handler by comparing a number that the session holds, and a handler that is alone is not
/// wrapped at all. Layers go around the whole chain.
#[derive(Clone, Copy, Debug)]
pub struct Routed<Others, H> {
    others: Others,
    path: PathIndex,
    handler: H,
}

impl<Others, H> Routed<Others, H> {
    /// `handler` for the sessions of `path`, `others` for all other ones.
    pub fn new(others: Others, path: PathIndex, handler: H) -> Self {
        Self { others, path, handler }
    }
}

impl<Others: Handler, H: Handler> Handler for Routed<Others, H> {
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        if request.path_index() == self.path {
            self.handler.on_upgrade(request)
        } else {
            self.others.on_upgrade(request)
        }
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        if session.path_index() == self.path {
            self.handler.on_open(session, out)
        } else {
            self.others.on_open(session, out)
        }
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        if session.path_index() == self.path {
            self.handler.on_message(session, message, out)
        } else {
            self.others.on_message(session, message, out)
        }
    }

    fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
        if session.path_index() == self.path {
            self.handler.on_close(session, closed, out);
        } else {
            self.others.on_close(session, closed, out);
        }
    }
}
