//! What a worker counts: one writer per block, read by the control plane at any time.

use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a value only grows or goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value of [`Totals`] with what a person needs to read it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name in `snake_case`, without a prefix; counters without the suffix `_total`.
    pub name: &'static str,
    /// One line without a full stop.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// The value.
    pub value: u64,
}

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ident,)+) => {
        /// The counter block of one worker.
        ///
        /// Only its worker writes, with plain loads and stores; anyone may read. Values of
        /// different names that are read while the worker runs need not fit together.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $help])+ pub(crate) $name: Cell,)+
        }

        /// The sum of the counter blocks of all workers.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[doc = $help])+ pub $name: u64,)+
        }

        impl Totals {
            /// Adds the values of one worker.
            pub fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.get();)+
            }

            /// Adds the sums of others.
            pub fn merge(&mut self, other: &Totals) {
                $(self.$name += other.$name;)+
            }

            /// Every value with its name, meaning and kind, in the order of declaration.
            pub fn metrics(&self) -> Vec<Metric> {
                vec![$(Metric {
                    name: stringify!($name),
                    help: concat!($($help),+).trim_ascii(),
                    kind: MetricKind::$kind,
                    value: self.$name,
                },)+]
            }
        }
    };
}

counters! {
    /// Connections accepted
    connections_accepted: Counter,
    /// Connections that exist, in whatever state
    connections: Gauge,
    /// Connections lost between arrival and acceptance
    accept_errors: Counter,
    /// Times that accepting paused because file descriptors or memory had run out
    accept_pauses: Counter,
    /// Plain HTTP requests answered with a page
    http_requests: Counter,
    /// HTTP requests refused, upgrades among them
    http_refusals: Counter,
    /// HTTP requests whose answer panicked
    http_panics: Counter,
    /// Upgrades refused since there were limits.sessions_max sessions
    limit_sessions: Counter,
    /// Upgrades refused since their prefix had limits.sessions_per_prefix_max sessions
    limit_sessions_per_prefix: Counter,
    /// Connections refused since their prefix had limits.connections_per_prefix_max of them
    limit_connections_per_prefix: Counter,
    /// Upgrades refused since there were limits.upgrades_per_second_max of them
    limit_upgrade_rate: Counter,
    /// Sessions closed since they sent more than limits.messages_per_second_max
    limit_message_rate: Counter,
    /// Sessions closed since they sent more than limits.bytes_per_second_max
    limit_byte_rate: Counter,
    /// PROXY headers and X-Forwarded-For refused: malformed, missing, or not from a trusted proxy
    client_address_refusals: Counter,
    /// Connections given up because their request did not come in time
    handshake_timeouts: Counter,
    /// WebSocket sessions opened
    sessions_opened: Counter,
    /// WebSocket sessions closed
    sessions_closed: Counter,
    /// WebSocket sessions that the control plane has begun to close, one by one
    sessions_kicked: Counter,
    /// Messages received from clients
    messages_received: Counter,
    /// Payload bytes of messages received from clients
    message_bytes_received: Counter,
    /// Messages received from clients and ignored, since their session was closing
    messages_ignored: Counter,
    /// Sessions closed because they sent a message where only the control plane publishes
    messages_refused: Counter,
    /// Messages published here, by clients or by the control plane
    messages_published: Counter,
    /// Messages of the control plane to single sessions
    directed_sent: Counter,
    /// Messages and closes of the control plane whose session was closing or had ended
    directed_missed: Counter,
    /// Messages taken from other workers
    mesh_received: Counter,
    /// Times that a ring of the mesh was full and this worker stopped reading for it
    mesh_full: Counter,
    /// Messages due to a session, summed over the sessions there were when the hub took them
    deliveries_due: Counter,
    /// Deliveries whose last byte the transport has taken
    deliveries_sent: Counter,
    /// Deliveries dropped because the session's backlog was full
    deliveries_dropped_backlog: Counter,
    /// Deliveries dropped because queued messages held all the memory they may
    deliveries_dropped_memory: Counter,
    /// Deliveries dropped because the session was disconnected as too slow
    deliveries_dropped_disconnected: Counter,
    /// Deliveries dropped because the session ended first
    deliveries_dropped_closed: Counter,
    /// Messages that wait in the queues of sessions, summed over sessions
    backlog_messages: Gauge,
    /// Bytes of memory that queued messages, control frames and responses hold
    backlog_bytes: Gauge,
    /// Sessions closed because they were too slow
    slow_disconnects: Counter,
    /// Bytes read from connections
    bytes_received: Counter,
    /// Bytes written to connections
    bytes_sent: Counter,
    /// Calls that wrote to connections
    writes: Counter,
    /// Pings sent
    pings_sent: Counter,
    /// Sessions given up because no pong came in time
    pong_timeouts: Counter,
    /// Sessions given up because the peer did not answer a Close in time
    close_timeouts: Counter,
    /// Sessions closed because the peer broke the protocol
    protocol_errors: Counter,
    /// Sessions closed because the handler returned an error
    handler_errors: Counter,
    /// Ends of sessions that the connection log had no line for
    session_ends_unlogged: Counter,
    /// Panics of the handler that were caught
    handler_panics: Counter,
    /// Turns of the worker loop
    turns: Counter,
    /// Time in which the workers had something to do
    busy_ns: Counter,
}

impl Totals {
    /// Sessions that are open now.
    pub fn active_clients(&self) -> u64 {
        self.sessions_opened.saturating_sub(self.sessions_closed)
    }
}

/// A value with one writer.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// For the owning worker alone: a load and a store, no read-modify-write.
    pub(crate) fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    /// For the owning worker alone.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_sum_workers_and_name_every_value() {
        let (first, second) = (Counters::default(), Counters::default());
        first.sessions_opened.add(5);
        second.sessions_opened.add(3);
        second.sessions_closed.add(1);
        let mut totals = Totals::default();
        totals.add(&first);
        totals.add(&second);
        assert_eq!(totals.active_clients(), 7);
        let metrics = totals.metrics();
        let opened = metrics.iter().find(|metric| metric.name == "sessions_opened").expect("named");
        assert_eq!((opened.value, opened.help), (8, "WebSocket sessions opened"));
    }
}
