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
#![forbid(unsafe_code)]

mod admin;
mod appliance;
mod broadcast;
mod builder;
mod chat;
mod handle;
mod metrics;
mod site;
mod stats;

pub use admin::AdminError;
pub use appliance::{Appliance, ApplianceError, StartError};
pub use broadcast::Broadcast;
pub use builder::Builder;
pub use handle::Handle;
pub use stats::{State, Stats};

pub use hioload_buffer as buffer;
pub use hioload_config::{self as config, Config, ConfigError};
pub use hioload_engine::{
    Accept, CloseCode, ClosedWith, Drained, Handler, HandlerError, Kind, Layer, Logging, Message,
    Metric, MetricKind, Metrics, MetricsHandle, Outbox, Page, Probe, PublishError, Recovery,
    Refusal, Request, Session, SessionId, Totals, UpgradeRequest,
};
