//! WebSocket broadcast: chat, notifications, fan-out of feeds.
//!
//! An embedder writes a [`Handler`] and starts an [`Appliance`] with it. What every handler gets
//! for nothing: the HTTP upgrade, framing, fan-out by reference, slow-consumer policy, pings, an
//! orderly drain, statistics and an admin server.
//!
//! ```
//! use hioload::{Appliance, Config, Handler, HandlerError, Logging, Message, Outbox, Recovery, Session};
//!
//! struct Chat;
//!
//! impl Handler for Chat {
//!     fn on_message(&self, _session: &Session, message: Message<'_>, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
//!         out.broadcast(message); // encoded once, queued by reference
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::parse(
//!     r#"
//!     server.listen = "127.0.0.1:0"
//!     control.admin = "off"
//!     "#,
//!     "example",
//! )?;
//! let appliance = Appliance::builder()
//!     .config(config)
//!     .handler(Chat)
//!     .layer(Logging::default())
//!     .layer(Recovery)
//!     .start()?;
//! assert_eq!(appliance.stats().probes["active_clients"], 0);
//! appliance.stop()?; // or `join`, to serve until somebody calls `Handle::drain`
//! # Ok(())
//! # }
//! ```
//!
//! # Handlers
//!
//! One value serves all sessions, from all worker threads, so it is `Send + Sync` and what it
//! changes sits behind atomics or locks. What belongs to one session is attached to it
//! ([`Accept::data`]) and may be a `Cell`; what each worker is to have for itself is a
//! [`PerWorker`]. [`Handler`] says in which order it is called. It must not
//! block: what takes long goes to a thread of the embedder's own, which answers [through a
//! handle](#answers-from-other-threads). An error, and under [`Recovery`] a
//! panic, closes the one session with 1011; a panic without `Recovery` ends the appliance.
//!
//! # Paths
//!
//! The handler has the sessions of `websocket.path`. [`Builder::route`] adds paths with handlers of
//! their own, behind the same layers; the chain of handlers is a type, and each session keeps the
//! number of its path. [`Builder::page`] serves a page, and [`Builder::get`] computes an answer for
//! each `GET`. A broadcast has no path: it reaches every session of the appliance.
//!
//! ```
//! use hioload::{Appliance, Broadcast, Handler, HandlerError, Message, Outbox, Page, Session};
//!
//! /// Hears everything, says nothing.
//! struct Feed;
//!
//! impl Handler for Feed {
//!     fn on_message(&self, _session: &Session, _message: Message<'_>, _out: &mut Outbox<'_>) -> Result<(), HandlerError> {
//!         Err(HandlerError::new("this is a feed, and only that"))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let config = hioload::Config::parse("server.listen = \"127.0.0.1:0\"\ncontrol.admin = \"off\"", "example")?;
//! # let builder = Appliance::builder().config(config);
//! let appliance = builder
//!     .handler(Broadcast)
//!     .route("/feed", Feed)
//!     .get("/version", |_| Ok(Page::new("text/plain", &b"1.0\n"[..])))
//!     .start()?;
//! # appliance.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Answers from other threads
//!
//! A [`SessionId`] names a session for as long as the appliance runs, and goes anywhere. Whoever
//! has it and a [`Handle`] can answer, at any time: to one session by [`Handle::send`], to all by
//! [`Handle::publish`]. [`Builder::handle`] gives the handle before the start. Within a handler,
//! [`Handle::try_send`] reaches other sessions without waiting.
//!
//! ```
//! use std::sync::mpsc::{Sender, channel};
//! use hioload::{Appliance, Handler, HandlerError, Message, Outbox, Session, SessionId};
//!
//! struct Questions(Sender<(SessionId, String)>);
//!
//! impl Handler for Questions {
//!     fn on_message(&self, session: &Session, message: Message<'_>, _out: &mut Outbox<'_>) -> Result<(), HandlerError> {
//!         let question = message.text().unwrap_or_default().to_owned();
//!         Ok(self.0.send((session.id(), question))?)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let config = hioload::Config::parse("server.listen = \"127.0.0.1:0\"\ncontrol.admin = \"off\"", "example")?;
//! let builder = Appliance::builder();
//! # let builder = builder.config(config);
//! let handle = builder.handle();
//! let (ask, questions) = channel::<(SessionId, String)>();
//! std::thread::spawn(move || {
//!     for (session, question) in questions {
//!         let answer = format!("{question} has {} letters", question.len()); // takes its time
//!         if let Err(error) = handle.send(session, answer.as_str()) {
//!             eprintln!("not answered: {error}"); // the client has gone, say
//!         }
//!     }
//! });
//! let appliance = builder.handler(Questions(ask)).start()?;
//! # appliance.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Middleware
//!
//! A [`Layer`] wraps a handler into another handler, when the program is compiled. The first layer
//! that is added is the outermost: it sees a call first and its result last. The wrapping handler
//! passes on all four calls, also those that it has nothing to say about.
//!
//! ```
//! use hioload::{
//!     Accept, ClosedWith, Handler, HandlerError, Layer, Message, Outbox, Refusal, Session,
//!     UpgradeRequest,
//! };
//!
//! /// Lets no message pass that is longer than this.
//! struct Terse {
//!     bytes_max: usize,
//! }
//!
//! struct TerseHandler<H> {
//!     bytes_max: usize,
//!     inner: H,
//! }
//!
//! impl<H: Handler> Layer<H> for Terse {
//!     type Handler = TerseHandler<H>;
//!
//!     fn layer(self, inner: H) -> TerseHandler<H> {
//!         TerseHandler { bytes_max: self.bytes_max, inner }
//!     }
//! }
//!
//! impl<H: Handler> Handler for TerseHandler<H> {
//!     fn on_message(&self, session: &Session, message: Message<'_>, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
//!         if message.len() > self.bytes_max {
//!             out.send("shorter, please");
//!             return Ok(());
//!         }
//!         self.inner.on_message(session, message, out)
//!     }
//!
//!     fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
//!         self.inner.on_upgrade(request)
//!     }
//!
//!     fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
//!         self.inner.on_open(session, out)
//!     }
//!
//!     fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
//!         self.inner.on_close(session, closed, out);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let config = hioload::Config::parse("server.listen = \"127.0.0.1:0\"\ncontrol.admin = \"off\"", "example")?;
//! # let builder = hioload::Appliance::builder().config(config);
//! let appliance = builder.handler(hioload::Broadcast).layer(Terse { bytes_max: 140 }).start()?;
//! # appliance.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Tests
//!
//! [`testing`] drives what a builder describes without a network, on a clock that the test moves.
//! The package in `control/examples/auction` is built and tested so.
//!
//! # Logs and signals
//!
//! Events go to [`tracing`](https://docs.rs/tracing); without a subscriber they go nowhere. Signals
//! are the program's own: the `hioload` binary catches them and calls [`Handle::drain`].
#![forbid(unsafe_code)]

mod admin;
mod appliance;
mod broadcast;
mod builder;
mod chat;
mod datapath;
mod descriptors;
mod handle;
mod metrics;
mod placement;
mod ports;
mod site;
mod stats;
pub mod testing;

pub use admin::AdminError;
pub use appliance::{Appliance, ApplianceError, StartError};
pub use broadcast::Broadcast;
pub use builder::Builder;
#[cfg(feature = "dpdk")]
pub use datapath::dpdk::{
    DpdkStats, FlowCounts, GrantedStats, LcoreStats, LinkStats, MempoolStats, PortCounterStats,
    PortStats, QueueStats,
};
pub use handle::Handle;
pub use placement::CpusError;
pub use ports::capacity;
pub use stats::{LatencyStats, State, Stats};

pub use hioload_buffer as buffer;
pub use hioload_config::{self as config, Config, ConfigError};
pub use hioload_engine::{
    Accept, CloseCode, ClosedWith, DirectedError, Drained, GetRequest, Handler, HandlerError,
    Identity, Kind, Latencies, Layer, Logging, Message, Metric, MetricKind, Metrics, MetricsHandle,
    Outbox, Page, ParseSessionIdError, PathIndex, PerWorker, Probe, PublishError, Recovery,
    Refusal, Request, Routed, Session, SessionId, SessionInfo, SessionPage, SnapshotError, Stack,
    Totals, UpgradeRequest, WorkerId,
};
pub use hioload_net::ListenError;
pub use hioload_protocol::http::{HeaderError, Method, ResponseHeaders};

/// What threads share, they can.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Appliance>();
    shared::<Handle>();
    shared::<Stats>();
    shared::<StartError>();
    shared::<ApplianceError>();
};
