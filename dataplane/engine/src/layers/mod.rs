//! The layers that come with the engine.

mod logging;
mod metrics;
mod recovery;

pub use logging::Logging;
pub use metrics::{Metrics, MetricsHandle};
pub use recovery::Recovery;
