//! The data plane above the transports: workers, sessions, handlers, and the broadcast hub.
//!
//! In comes what [`Streams`](hioload_net::Streams) reads; out go references to frames that were
//! encoded once. A [`Worker`] is the only owner of its connections, timers and buffers, and its
//! loop names every stage of a message in order. Workers share nothing on that way but the mesh,
//! one ring for each ordered pair of them. The control plane talks to them through [`Controls`]:
//! commands in, counters out, never on the way of a message.
//!
//! What never happens here: a walk over all connections in a turn for the sake of one of them, a
//! wait in place, an allocation per delivery, a message that is dropped between workers.
#![forbid(unsafe_code)]

mod admission;
mod client_address;
mod connection;
mod connection_log;
mod context;
mod controls;
mod counters;
mod drain;
mod flow_set;
mod flow_table;
mod handler;
mod hub;
mod latency;
mod layer;
mod layers;
mod mesh;
mod moment;
mod open_session;
mod outbox;
mod per_worker;
mod rate;
mod registry;
mod routed;
mod session;
mod session_data;
mod settings;
mod site;
pub mod testing;
mod topic;
mod unread;
mod worker;

pub use controls::{
    Assembly, Controls, DirectedError, PublishError, SessionInfo, SessionPage, SnapshotError,
    assemble,
};
pub use counters::{Counters, Metric, MetricKind, Totals};
pub use drain::Drained;
pub use handler::{Accept, Handler, HandlerError, UpgradeRequest};
pub use latency::Latencies;
pub use layer::{Identity, Layer, Probe, Stack};
pub use layers::{Logging, Metrics, MetricsHandle, Recovery};
pub use outbox::Outbox;
pub use per_worker::{PerWorker, WorkerId};
pub use registry::Registry;
pub use routed::{PathIndex, Routed};
pub use session::{ParseSessionIdError, Session, SessionId};
pub use site::{Answer, GetRequest, Route, Site};
pub use worker::{Clock, SystemClock, Worker, WorkerParts};

pub use hioload_protocol::http::{Page, Refusal, Request};
pub use hioload_protocol::ws::{CloseCode, ClosedWith, Kind, Message};
