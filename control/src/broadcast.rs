//! The handler of the appliance itself.

use hioload_engine::{Handler, HandlerError, Message, Outbox, Session};

/// Sends every message of a client to all clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Broadcast;

impl Handler for Broadcast {
    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        out.broadcast(message);
        Ok(())
    }
}
