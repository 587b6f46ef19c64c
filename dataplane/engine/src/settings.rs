//! The part of the configuration that connections need, in the shape in which they need it.

use std::time::Duration;

use hioload_config::{Config, Origins, Publish};
use hioload_protocol::http::{OriginPolicy, RequestLimits, UpgradePolicy};
use hioload_protocol::ws::DecodeLimits;

use crate::client_address::ClientAddresses;

pub(crate) struct Settings {
    pub(crate) clients: ClientAddresses,
    pub(crate) request_limits: RequestLimits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) upgrade_policy: UpgradePolicy,
    pub(crate) decode_limits: DecodeLimits,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) pong_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) include_sender: bool,
    /// This worker's share of the lines of the connection log in a second.
    pub(crate) log_lines_max: u32,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        let origins = match &config.websocket.origins {
            Origins::SameOrigin => OriginPolicy::SameOrigin,
            Origins::Any => OriginPolicy::Any,
            Origins::List(list) => OriginPolicy::List(list.clone()),
        };
        Self {
            clients: ClientAddresses::new(&config.server),
            request_limits: RequestLimits {
                head_bytes_max: config.limits.handshake_bytes_max,
                headers_max: config.limits.handshake_headers_max,
            },
            handshake_timeout: config.limits.handshake_timeout,
            upgrade_policy: UpgradePolicy {
                origins,
                subprotocols: config.websocket.subprotocols.clone(),
            },
            decode_limits: DecodeLimits {
                message_bytes_max: config.websocket.message_bytes_max,
                messages_allowed: config.broadcast.publish == Publish::Clients,
            },
            ping_interval: config.websocket.ping_interval,
            pong_timeout: config.websocket.pong_timeout,
            close_timeout: config.websocket.close_timeout,
            include_sender: config.broadcast.include_sender,
            log_lines_max: log_lines_max(config),
        }
    }
}

/// An equal share, rounded up: each worker has a line, and nobody's lines go unused because others
/// have none to write.
fn log_lines_max(config: &Config) -> u32 {
    let lines = config.control.connection_log_lines_max.unwrap_or_default();
    u32::try_from(lines.div_ceil(config.server.workers.max(1))).unwrap_or(u32::MAX)
}
