//! Each message in the log.

use tracing::{Level, debug, info, trace};

use crate::{
    Accept, ClosedWith, Handler, HandlerError, Layer, Message, Outbox, Refusal, Session,
    UpgradeRequest,
};

/// Logs upgrades, sessions and messages (kind and length, never content), at `debug` unless told
/// otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Logging {
    level: Level,
}

impl Logging {
    /// Logs at `level`; `warn` and `error` are for faults and count as `info` here.
    pub fn at(level: Level) -> Self {
        Self { level }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self::at(Level::DEBUG)
    }
}

impl<H: Handler> Layer<H> for Logging {
    type Handler = Logged<H>;

    fn layer(self, inner: H) -> Logged<H> {
        Logged { level: self.level, inner }
    }
}

/// A handler whose calls are logged.
pub struct Logged<H> {
    level: Level,
    inner: H,
}

/// The level of an event is part of its call site, hence one call site per level.
macro_rules! log {
    ($level:expr, $($event:tt)+) => {
        match $level {
            Level::TRACE => trace!($($event)+),
            Level::DEBUG => debug!($($event)+),
            _ => info!($($event)+),
        }
    };
}

impl<H: Handler> Handler for Logged<H> {
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        let result = self.inner.on_upgrade(request);
        if let Err(refusal) = &result {
            log!(self.level, client = %request.client(), %refusal, "upgrade refused by the handler");
        }
        result
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        log!(self.level, session = %session.id(), client = %session.client(), "session open");
        self.inner.on_open(session, out)
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        log!(
            self.level,
            session = %session.id(),
            kind = ?message.kind(),
            bytes = message.payload().len(),
            "message"
        );
        self.inner.on_message(session, message, out)
    }

    fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
        log!(self.level, session = %session.id(), ?closed, "session closed");
        self.inner.on_close(session, closed, out);
    }
}
