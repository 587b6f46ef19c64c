//! An auction over WebSocket: bidders bid, watchers watch, an appraiser is asked.
//!
//! | where | what |
//! |---|---|
//! | `/ws?name=ann` | bidders: `bid 120` is told to everybody when it is the highest, `appraise` asks the appraiser |
//! | `/watch` | watchers: they hear every bid and say nothing |
//! | `/standing` | `GET`: the highest bid as JSON, 404 before the first |
//!
//! [`builder`] puts the parts together, for `main` and for the tests alike.

mod appraiser;
mod bidders;
mod standing;
mod terse;
mod watchers;

use std::sync::Arc;

use hioload::{Appliance, Builder, Config, Layer, Page, Recovery, Refusal, Routed};

pub use appraiser::Appraiser;
pub use bidders::Bidders;
pub use standing::{Bid, Standing};
pub use terse::Terse;
pub use watchers::Watchers;

/// The handlers of both paths, as the builder composes them.
pub type Handlers = Routed<Bidders, Watchers>;

/// The longest message of a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 100;

/// An auction that has not begun, and its appraiser, who wants a thread of his own.
pub fn builder(config: Config) -> (Builder<Handlers, impl Layer<Handlers>>, Appraiser) {
    let standing = Arc::new(Standing::default());
    let (questions, appraiser) = Appraiser::new();
    let (asked, probed) = (Arc::clone(&standing), Arc::clone(&standing));
    let builder = Appliance::builder()
        .config(config)
        .handler(Bidders::new(Arc::clone(&standing), questions))
        .route("/watch", Watchers::new(standing))
        .layer(Recovery)
        .layer(Terse { bytes_max: MESSAGE_BYTES_MAX })
        .get("/standing", move |_| answer(&asked))
        .probe("highest_bid", move || probed.highest().map_or(0, |bid| bid.amount));
    (builder, appraiser)
}

fn answer(standing: &Standing) -> Result<Page, Refusal> {
    let Some(Bid { bidder, amount }) = standing.highest() else {
        return Err(Refusal::new(404, "nobody has bid yet"));
    };
    // A name has letters and digits only, so it needs no escapes.
    let body = format!("{{\"bidder\":\"{bidder}\",\"amount\":{amount}}}\n").into_bytes();
    Ok(Page::new("application/json", body).with_header("Cache-Control", "no-store")?)
}
