//! The control plane's handle on a running appliance.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hioload_engine::{Controls, Latencies, Message, Probe, PublishError, SnapshotError, Totals};

use crate::stats::{LatencyStats, State, Stats};

/// Reads and steers a running appliance from any thread. Cheap to clone; outlives the appliance,
/// and then answers that it has stopped.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    controls: Controls,
    state: AtomicU8,
    drain_deadline: OnceLock<Instant>,
    drain_timeout: Duration,
    started: Instant,
    datapath: &'static str,
    message_bytes_max: usize,
    probes: Vec<(String, Probe)>,
}

const SERVING: u8 = 0;
const DRAINING: u8 = 1;
const STOPPED: u8 = 2;

/// What does not change while the appliance runs.
pub(crate) struct Facts {
    pub(crate) drain_timeout: Duration,
    pub(crate) datapath: &'static str,
    pub(crate) message_bytes_max: usize,
    pub(crate) probes: Vec<(String, Probe)>,
}

impl Handle {
    pub(crate) fn new(controls: Controls, facts: Facts) -> Self {
        let shared = Shared {
            controls,
            state: AtomicU8::new(SERVING),
            drain_deadline: OnceLock::new(),
            drain_timeout: facts.drain_timeout,
            started: Instant::now(),
            datapath: facts.datapath,
            message_bytes_max: facts.message_bytes_max,
            probes: facts.probes,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sends a message to every session: a `&str` as text, a `&[u8]` as binary. Waits up to a
    /// second while the workers are behind, so a handler does not call this: it has its
    /// [`Outbox`](crate::Outbox).
    ///
    /// # Errors
    /// When the workers do not keep up, or the appliance is draining or has stopped.
    pub fn publish<'a>(&self, message: impl Into<Message<'a>>) -> Result<(), PublishError> {
        if self.state() != State::Serving {
            return Err(PublishError::Stopping);
        }
        self.shared.controls.publish(message)
    }

    /// Begins the drain: no new connections, Close 1001 to every session behind what was
    /// published before, and the end within the configured time. Returns at once; calls after
    /// the first change nothing.
    pub fn drain(&self) {
        self.drain_from(Instant::now());
    }

    /// The same, by a clock that says it is `now`.
    pub(crate) fn drain_from(&self, now: Instant) {
        let mut first = false;
        let deadline = *self.shared.drain_deadline.get_or_init(|| {
            first = true;
            now + self.shared.drain_timeout
        });
        if first {
            self.shared.state.fetch_max(DRAINING, Ordering::Relaxed);
            self.shared.controls.drain(deadline);
        }
    }

    /// Where the appliance is in its life.
    pub fn state(&self) -> State {
        match self.shared.state.load(Ordering::Relaxed) {
            SERVING => State::Serving,
            DRAINING => State::Draining,
            _ => State::Stopped,
        }
    }

    /// Statistics of this moment, at once.
    pub fn stats(&self) -> Stats {
        self.describe(&self.shared.controls.per_worker(), false)
    }

    /// Statistics of this moment in which the counts fit together. Every worker is asked, so a
    /// handler does not call this.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn snapshot(&self) -> Result<Stats, SnapshotError> {
        Ok(self.describe(&self.shared.controls.snapshot()?, true))
    }

    fn describe(&self, workers: &[Totals], exact: bool) -> Stats {
        let controls = &self.shared.controls;
        let mut probes: BTreeMap<String, u64> =
            self.shared.probes.iter().map(|(name, probe)| (name.clone(), probe())).collect();
        probes.insert(ACTIVE_CLIENTS.to_owned(), self.active_clients());
        let mut totals = Totals::default();
        workers.iter().for_each(|worker| totals.merge(worker));
        Stats {
            state: self.state(),
            exact,
            version: env!("CARGO_PKG_VERSION"),
            datapath: self.shared.datapath,
            uptime_s: self.shared.started.elapsed().as_secs(),
            probes,
            totals: named(&totals),
            workers: workers.iter().map(named).collect(),
            publish_to_write: LatencyStats::new(&self.latencies()),
            session_shards: controls.registry().shard_lens(),
        }
    }

    /// The sum of all workers' counters.
    pub fn totals(&self) -> Totals {
        self.shared.controls.totals()
    }

    /// How long deliveries took, from the publication of the message to the transport having taken
    /// its last byte.
    pub fn latencies(&self) -> Latencies {
        self.shared.controls.latencies()
    }

    /// Sessions that are open.
    pub fn active_clients(&self) -> u64 {
        self.shared.controls.registry().len() as u64
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Longest message in bytes that is taken from a client, or by the admin interface. What is
    /// published here may be longer.
    pub fn message_bytes_max(&self) -> usize {
        self.shared.message_bytes_max
    }

    pub(crate) fn datapath(&self) -> &'static str {
        self.shared.datapath
    }

    pub(crate) fn set_stopped(&self) {
        self.shared.state.store(STOPPED, Ordering::Relaxed);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// The probe that every appliance has.
pub(crate) const ACTIVE_CLIENTS: &str = "active_clients";

fn named(totals: &Totals) -> BTreeMap<&'static str, u64> {
    totals.metrics().iter().map(|metric| (metric.name, metric.value)).collect()
}
