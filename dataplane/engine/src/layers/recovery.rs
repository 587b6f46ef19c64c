//! A panic of a handler ends one session, not the worker.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::error;

use crate::{
    Accept, ClosedWith, Handler, HandlerError, Layer, Message, Outbox, Refusal, Session,
    UpgradeRequest,
};

/// Catches panics of the handler inside.
///
/// A panic in `on_upgrade` answers 500; in `on_open` or `on_message` it closes the session with
/// 1011. Each is logged and counted (`handler_panics`), one in `on_close`, too. The handler is shared by all sessions, and
/// goes on being called after a panic: its locks may be poisoned, its state half changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recovery;

impl<H: Handler> Layer<H> for Recovery {
    type Handler = Recovering<H>;

    fn layer(self, inner: H) -> Recovering<H> {
        Recovering { inner }
    }
}

/// A handler whose panics are caught.
pub struct Recovering<H> {
    inner: H,
}

impl<H: Handler> Handler for Recovering<H> {
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        // Unwind safety: a handler is shared and must cope with being left at any point, which
        // the documentation of `Recovery` says; the other arguments are not used afterwards.
        catch_unwind(AssertUnwindSafe(|| self.inner.on_upgrade(request))).unwrap_or_else(|panic| {
            let error = HandlerError::from_panic(&*panic);
            error!(client = %request.client(), %error, "handler failed on an upgrade");
            request.panicked.set(true);
            Err(Refusal::new(500, "the server failed on this request"))
        })
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        caught(catch_unwind(AssertUnwindSafe(|| self.inner.on_open(session, out))))
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        caught(catch_unwind(AssertUnwindSafe(|| self.inner.on_message(session, message, out))))
    }

    fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
        let result = catch_unwind(AssertUnwindSafe(|| self.inner.on_close(session, closed, out)));
        if let Err(panic) = result {
            let error = HandlerError::from_panic(&*panic);
            error!(session = %session.id(), %error, "handler failed on a close");
            out.panicked = true;
        }
    }
}

fn caught(
    result: Result<Result<(), HandlerError>, Box<dyn Any + Send>>,
) -> Result<(), HandlerError> {
    result.unwrap_or_else(|panic| Err(HandlerError::from_panic(&*panic)))
}
