//! A layer of one's own: clients authorize themselves in the upgrade request.
//!
//! Run it with `cargo run --example authorization`, then try, with and without the header:
//! `wscat -c ws://127.0.0.1:8080/ws -H 'Authorization: Bearer s3cret'`.

use std::error::Error;

use hioload::config::Secret;
use hioload::{
    Accept, Appliance, Broadcast, ClosedWith, Handler, HandlerError, Layer, Message, Outbox,
    Recovery, Refusal, Session, UpgradeRequest,
};

/// Lets in only those who know the token.
struct Authorization {
    token: Secret,
}

/// A handler behind [`Authorization`].
struct Authorized<H> {
    token: Secret,
    inner: H,
}

impl<H: Handler> Layer<H> for Authorization {
    type Handler = Authorized<H>;

    fn layer(self, inner: H) -> Authorized<H> {
        Authorized { token: self.token, inner }
    }
}

impl<H: Handler> Handler for Authorized<H> {
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        let sent = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        match sent {
            // Compared in a time that does not tell how much of it was right.
            Some(sent) if self.token.matches(sent.as_bytes()) => self.inner.on_upgrade(request),
            Some(_) => Err(Refusal::new(403, "this token does not open anything")),
            None => Err(Refusal::new(401, "send the token in an Authorization header")
                .with_header("WWW-Authenticate", "Bearer")
                .unwrap_or_else(|_| Refusal::new(401, "send the token"))),
        }
    }

    // What has nothing to do with authorization goes through.

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        self.inner.on_open(session, out)
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        self.inner.on_message(session, message, out)
    }

    fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
        self.inner.on_close(session, closed, out);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let appliance = Appliance::builder()
        .handler(Broadcast)
        .layer(Authorization { token: Secret::new("s3cret") })
        .layer(Recovery)
        .start()?;
    println!("for those who know the token: ws://{}/ws", appliance.addresses()[0]);
    appliance.join()?;
    Ok(())
}
