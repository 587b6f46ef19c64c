//! Drives an appliance without a network: handlers, layers, paths and pages as they will run.
//!
//! A [`Harness`] is made of the same builder as the appliance and runs the same workers, sessions
//! and framing, over connections in memory and a clock that the test moves. Nothing runs in the
//! background and nothing depends on the machine: when a call returns, everything has happened that
//! follows from it.
//!
//! ```
//! use std::time::Duration;
//!
//! use hioload::testing::{ClientRequest, Harness, Received};
//! use hioload::{
//!     Accept, Appliance, Handler, HandlerError, Message, Outbox, Refusal, Session, UpgradeRequest,
//! };
//!
//! struct Chat;
//!
//! struct Name(String);
//!
//! impl Handler for Chat {
//!     fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
//!         let name = request.header("x-name").ok_or_else(|| Refusal::new(401, "who are you?"))?;
//!         Ok(Accept::new().data(Name(name.to_owned())))
//!     }
//!
//!     fn on_message(&self, session: &Session, message: Message<'_>, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
//!         let name = session.data::<Name>().map_or("?", |it| it.0.as_str());
//!         out.broadcast(format!("{name}: {}", message.text().unwrap_or("?")).as_str());
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let harness = Harness::new(Appliance::builder().handler(Chat))?;
//! let ann = harness.open(ClientRequest::get("/ws").header("X-Name", "ann"));
//! let bob = harness.open(ClientRequest::get("/ws").header("X-Name", "bob"));
//!
//! ann.send("hello");
//! assert_eq!(bob.received(), [Received::text("ann: hello")]);
//! assert_eq!(harness.try_open("/ws").unwrap_err().status(), Some(401));
//!
//! // A client that hangs is asked whether it is there, and given up.
//! bob.fall_silent();
//! harness.pass(Duration::from_secs(60));
//! assert_eq!(bob.next(), Some(Received::Ping(vec![])));
//! assert!(ann.is_open() && !bob.is_open());
//!
//! ann.close(1000, "good night");
//! assert_eq!(ann.closed(), Some((Some(1000), String::new())));
//! assert_eq!(harness.stats().probes["active_clients"], 0);
//! # Ok(())
//! # }
//! ```
//!
//! A panic of a handler that no [`Recovery`](crate::Recovery) catches fails the test, with the
//! handler's own message.

mod client;
mod harness;
mod peer;
mod request;
mod wire;

pub use client::Client;
pub use harness::{Harness, Refused};
pub use request::{ClientRequest, Response};
pub use wire::Received;
