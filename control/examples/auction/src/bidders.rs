//! The handler of those who bid.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use hioload::{
    Accept, CloseCode, Handler, HandlerError, Message, Outbox, Refusal, Session, UpgradeRequest,
};

use crate::appraiser::Question;
use crate::standing::{Bid, Standing};

/// What a bidder may say that makes no sense, before the session is closed.
const NONSENSE_MAX: u32 = 3;

/// Takes bids and questions.
pub struct Bidders {
    standing: Arc<Standing>,
    questions: Sender<Question>,
}

/// What belongs to one session. All its calls come from one thread, so a `Cell` will do.
struct Bidder {
    name: String,
    nonsense: Cell<u32>,
}

impl Bidders {
    pub(crate) fn new(standing: Arc<Standing>, questions: Sender<Question>) -> Self {
        Self { standing, questions }
    }

    fn bid(&self, bidder: &Bidder, amount: u64, out: &mut Outbox<'_>) {
        let bid = Bid { bidder: bidder.name.clone(), amount };
        match self.standing.take(&bid) {
            Ok(()) => out.broadcast(format!("{} bids {amount}", bid.bidder).as_str()),
            Err(Bid { bidder, amount }) => {
                out.send(format!("too low: {bidder} has bid {amount}").as_str());
            }
        }
    }
}

impl Handler for Bidders {
    /// The name is in the query, since browsers cannot add header fields to an upgrade.
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        let query = request.query().unwrap_or_default();
        let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
        match name {
            Some(name) if is_name(name) => {
                let nonsense = Cell::new(0);
                Ok(Accept::new().data(Bidder { name: name.to_owned(), nonsense }))
            }
            _ => Err(Refusal::new(401, "say who you are: ?name= and 1 to 20 letters or digits")),
        }
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        let Bidder { name, .. } = bidder(session)?;
        out.send(format!("welcome, {name}").as_str());
        Ok(())
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        let bidder = bidder(session)?;
        let text = message.text().unwrap_or_default();
        let amount = text.strip_prefix("bid ").and_then(|amount| amount.parse().ok());
        if let Some(amount) = amount {
            self.bid(bidder, amount, out);
        } else if text == "appraise" {
            // This takes long, so a thread does it, which answers by itself. Waiting for it here
            // would hold up every other session of this worker.
            self.questions.send(Question { from: session.id() })?;
        } else {
            bidder.nonsense.set(bidder.nonsense.get() + 1);
            if bidder.nonsense.get() >= NONSENSE_MAX {
                out.close(CloseCode::POLICY_VIOLATION, "come back when you know what you want");
            } else {
                out.send("say \"bid\" and a number, or \"appraise\"");
            }
        }
        Ok(())
    }
}

fn bidder(session: &Session) -> Result<&Bidder, HandlerError> {
    session.data().ok_or_else(|| HandlerError::new("a session without a bidder"))
}

fn is_name(name: &str) -> bool {
    (1..=20).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
