//! A layer: no long speeches, on no path.

use hioload::{
    Accept, ClosedWith, Handler, HandlerError, Layer, Message, Outbox, Refusal, Session,
    UpgradeRequest,
};

/// Keeps messages away from the handlers that are longer than this.
pub struct Terse {
    pub bytes_max: usize,
}

/// Handlers behind [`Terse`].
pub struct TerseHandler<H> {
    bytes_max: usize,
    inner: H,
}

impl<H: Handler> Layer<H> for Terse {
    type Handler = TerseHandler<H>;

    fn layer(self, inner: H) -> TerseHandler<H> {
        TerseHandler { bytes_max: self.bytes_max, inner }
    }
}

impl<H: Handler> Handler for TerseHandler<H> {
    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        if message.len() > self.bytes_max {
            out.send("shorter, please");
            return Ok(());
        }
        self.inner.on_message(session, message, out)
    }

    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        self.inner.on_upgrade(request)
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        self.inner.on_open(session, out)
    }

    fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
        self.inner.on_close(session, closed, out);
    }
}
