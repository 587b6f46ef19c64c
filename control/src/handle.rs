//! The control plane's handle on an appliance.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hioload_engine::{
    CloseCode, Controls, DirectedError, Latencies, Message, Probe, PublishError, SessionId,
    SessionPage, SnapshotError, Totals,
};

use crate::datapath::Monitor;
use crate::stats::{LatencyStats, State, Stats};

/// Reads and steers an appliance from any thread. Cheap to clone.
///
/// [`Builder::handle`](crate::Builder::handle) gives it before the start, to a handler for
/// instance, and until then it knows of no session. It outlives the appliance, and then answers
/// that it has stopped.
#[derive(Clone, Default)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    /// Set by the start.
    running: OnceLock<Running>,
}

/// What there is from the start on.
struct Running {
    controls: Controls,
    drain_deadline: OnceLock<Instant>,
    drain_timeout: Duration,
    started: Instant,
    datapath: &'static str,
    monitor: Monitor,
    message_bytes_max: usize,
    sessions_max: Option<usize>,
    probes: Vec<(String, Probe)>,
}

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;
const STOPPED: u8 = 3;

/// How long calls about single sessions wait for a worker that is behind.
const PATIENCE: Duration = Duration::from_secs(1);

/// What does not change while the appliance runs.
pub(crate) struct Facts {
    pub(crate) drain_timeout: Duration,
    pub(crate) datapath: &'static str,
    pub(crate) monitor: Monitor,
    pub(crate) message_bytes_max: usize,
    pub(crate) sessions_max: Option<usize>,
    pub(crate) probes: Vec<(String, Probe)>,
}

impl Handle {
    /// Most sessions on a page of [`sessions`](Self::sessions).
    pub const SESSIONS_PAGE_MAX: usize = 1000;

    /// From here on there is an appliance. One that was to be drained before it was there drains
    /// at once.
    pub(crate) fn set_running(&self, controls: Controls, facts: Facts) {
        self.shared.running.get_or_init(|| Running {
            controls,
            drain_deadline: OnceLock::new(),
            drain_timeout: facts.drain_timeout,
            started: Instant::now(),
            datapath: facts.datapath,
            monitor: facts.monitor,
            message_bytes_max: facts.message_bytes_max,
            sessions_max: facts.sessions_max,
            probes: facts.probes,
        });
        // Either this sees the drain that was asked for, or the drain sees the appliance.
        if self.shared.state.fetch_max(SERVING, Ordering::AcqRel) == DRAINING {
            self.drain();
        }
    }

    /// Sends a message to every session: a `&str` as text, a `&[u8]` as binary. Waits up to a
    /// second while the workers are behind, so a handler does not call this: it has its
    /// [`Outbox`](crate::Outbox).
    ///
    /// # Errors
    /// When the workers do not keep up, or the appliance is draining or has stopped.
    pub fn publish<'a>(&self, message: impl Into<Message<'a>>) -> Result<(), PublishError> {
        match (self.state(), self.running()) {
            (State::Serving, Some(running)) => running.controls.publish(message),
            (State::Starting, _) => Err(PublishError::NotStarted),
            _ => Err(PublishError::Stopping),
        }
    }

    /// Sends a message to one session, wherever its id has come from. Messages and closes of one
    /// thread to one session keep their order, and what was sent before a drain is delivered. There
    /// is no order between these and what is published.
    ///
    /// Waits up to a second while the session's worker is behind: a handler calls
    /// [`try_send`](Self::try_send), or answers with its [`Outbox`](crate::Outbox).
    ///
    /// # Errors
    /// When no such session is open, its worker does not keep up, or the appliance is draining or
    /// has stopped. A session that ends before the message has reached it gets nothing; that is no
    /// error, and counted (`directed_missed`).
    pub fn send<'a>(
        &self,
        session: SessionId,
        message: impl Into<Message<'a>>,
    ) -> Result<(), DirectedError> {
        self.directing(session)?.send(session, message, PATIENCE)
    }

    /// As [`send`](Self::send), but where that would wait it is [`DirectedError::Busy`].
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn try_send<'a>(
        &self,
        session: SessionId,
        message: impl Into<Message<'a>>,
    ) -> Result<(), DirectedError> {
        self.directing(session)?.send(session, message, Duration::ZERO)
    }

    /// Begins the close handshake with one session (RFC 6455 section 7.1.2), behind what this
    /// thread has sent to it before. A reason beyond 123 bytes is cut. One that does not answer
    /// within `websocket.close_timeout` is cut off.
    ///
    /// Waits as [`send`](Self::send) does.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn close(
        &self,
        session: SessionId,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), DirectedError> {
        self.directing(session)?.close(session, code, reason, PATIENCE)
    }

    /// As [`close`](Self::close), but where that would wait it is [`DirectedError::Busy`].
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub fn try_close(
        &self,
        session: SessionId,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), DirectedError> {
        self.directing(session)?.close(session, code, reason, Duration::ZERO)
    }

    /// Sessions with ids beyond `after`, in the order of the ids: `limit` of them at most, which
    /// is between 1 and [`SESSIONS_PAGE_MAX`](Self::SESSIONS_PAGE_MAX) or taken as the nearer of
    /// these. `after` is `None` for the first page and [`SessionPage::next`] for each further one.
    ///
    /// A session that stays open is on exactly one page. Looks through all sessions on the calling
    /// thread and waits for the workers to describe those of the page, so a handler does not call
    /// this.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<SessionPage, DirectedError> {
        let limit = limit.clamp(1, Self::SESSIONS_PAGE_MAX);
        self.running()
            .map_or_else(|| Ok(SessionPage::default()), |it| it.controls.sessions(after, limit))
    }

    /// Begins the drain: no new connections, Close 1001 to every session behind what was
    /// published before, and the end within the configured time. Returns at once; calls after
    /// the first change nothing. Before the start it lets the appliance drain as soon as it is
    /// there.
    pub fn drain(&self) {
        self.drain_from(Instant::now());
    }

    /// The same, by a clock that says it is `now`.
    pub(crate) fn drain_from(&self, now: Instant) {
        self.shared.state.fetch_max(DRAINING, Ordering::AcqRel);
        let Some(running) = self.running() else { return };
        let mut first = false;
        let deadline = *running.drain_deadline.get_or_init(|| {
            first = true;
            now + running.drain_timeout
        });
        if first {
            running.controls.drain(deadline);
        }
    }

    /// Where the appliance is in its life.
    pub fn state(&self) -> State {
        match self.shared.state.load(Ordering::Relaxed) {
            STARTING => State::Starting,
            SERVING => State::Serving,
            DRAINING => State::Draining,
            _ => State::Stopped,
        }
    }

    /// Statistics of this moment, at once.
    pub fn stats(&self) -> Stats {
        let workers = self.controls().map(Controls::per_worker).unwrap_or_default();
        self.describe(&workers, false)
    }

    /// Statistics of this moment in which the counts fit together. Every worker is asked, so a
    /// handler does not call this.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn snapshot(&self) -> Result<Stats, SnapshotError> {
        let workers = self.controls().map_or_else(|| Ok(Vec::new()), Controls::snapshot)?;
        Ok(self.describe(&workers, true))
    }

    fn describe(&self, workers: &[Totals], exact: bool) -> Stats {
        let offered = self.running().map_or(&[][..], |running| &running.probes);
        let mut probes: BTreeMap<String, u64> =
            offered.iter().map(|(name, probe)| (name.clone(), probe())).collect();
        probes.insert(ACTIVE_CLIENTS.to_owned(), self.active_clients());
        let mut totals = Totals::default();
        workers.iter().for_each(|worker| totals.merge(worker));
        let mut stats = Stats {
            state: self.state(),
            exact,
            version: env!("CARGO_PKG_VERSION"),
            datapath: self.datapath(),
            uptime_s: self.uptime().as_secs(),
            sessions_max: self.running().and_then(|running| running.sessions_max),
            probes,
            totals: named(&totals),
            workers: workers.iter().map(named).collect(),
            publish_to_write: LatencyStats::new(&self.latencies()),
            session_shards: self
                .controls()
                .map(|it| it.registry().shard_lens())
                .unwrap_or_default(),
            #[cfg(feature = "dpdk")]
            dpdk: None,
        };
        if let Some(running) = self.running() {
            running.monitor.complete(&mut stats, workers, running.started.elapsed());
        }
        stats
    }

    /// The sum of all workers' counters.
    pub fn totals(&self) -> Totals {
        self.controls().map(Controls::totals).unwrap_or_default()
    }

    /// How long deliveries took, from the publication of the message to the transport having taken
    /// its last byte.
    pub fn latencies(&self) -> Latencies {
        self.controls().map(Controls::latencies).unwrap_or_default()
    }

    /// Sessions that are open.
    pub fn active_clients(&self) -> u64 {
        self.controls().map_or(0, |controls| controls.registry().len() as u64)
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.running().map(|running| running.started.elapsed()).unwrap_or_default()
    }

    /// Longest message in bytes that is taken from a client, or by the admin interface. What is
    /// published here may be longer. Zero before the start.
    pub fn message_bytes_max(&self) -> usize {
        self.running().map_or(0, |running| running.message_bytes_max)
    }

    pub(crate) fn datapath(&self) -> &'static str {
        self.running().map_or("none", |running| running.datapath)
    }

    pub(crate) fn set_stopped(&self) {
        self.shared.state.store(STOPPED, Ordering::Release);
    }

    fn running(&self) -> Option<&Running> {
        self.shared.running.get()
    }

    fn controls(&self) -> Option<&Controls> {
        self.running().map(|running| &running.controls)
    }

    /// What calls about `session` go through.
    fn directing(&self, session: SessionId) -> Result<&Controls, DirectedError> {
        match (self.state(), self.controls()) {
            (State::Serving, Some(controls)) => Ok(controls),
            (State::Starting, _) => Err(DirectedError::NotOpen(session)),
            _ => Err(DirectedError::Stopping),
        }
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
