//! The handler of those who only watch.

use std::sync::Arc;

use hioload::{CloseCode, Handler, HandlerError, Message, Outbox, Session};

use crate::standing::{Bid, Standing};

/// Tells newcomers the highest bid, and closes those who talk. Bids reach watchers by the broadcasts
/// of the other handler.
pub struct Watchers {
    standing: Arc<Standing>,
}

impl Watchers {
    pub(crate) fn new(standing: Arc<Standing>) -> Self {
        Self { standing }
    }
}

impl Handler for Watchers {
    fn on_open(&self, _session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        match self.standing.highest() {
            Some(Bid { bidder, amount }) => out.send(format!("{bidder} has bid {amount}").as_str()),
            None => out.send("nobody has bid yet"),
        }
        Ok(())
    }

    fn on_message(
        &self,
        _session: &Session,
        _message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        out.close(CloseCode::POLICY_VIOLATION, "watchers watch");
        Ok(())
    }
}
