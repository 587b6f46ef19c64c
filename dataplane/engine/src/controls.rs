//! The control plane's side of the workers: commands in, counters out.

mod sessions;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded, unbounded};
use crossbeam_utils::CachePadded;
use hioload_buffer::{Pool, PoolOptions};
use hioload_config::Config;
use hioload_net::Wake;
use hioload_protocol::ws::{Message, encode};

pub(crate) use self::sessions::{DIRECTED_MAX, Directed};
pub use self::sessions::{DirectedError, SessionInfo, SessionPage};

use crate::admission::Admission;
use crate::counters::{Counters, Totals};
use crate::latency::{Latencies, Latency, Publication};
use crate::mesh::mesh;
use crate::moment::Epoch;
use crate::registry::Registry;
use crate::worker::WorkerParts;

/// What the control plane can ask of a worker.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Stop accepting, send what was published before, close every session, give up at `deadline`.
    Drain { deadline: Instant },
    /// Say, between two turns, what was counted.
    Snapshot { reply: Sender<(usize, Totals)> },
}

/// Messages of the control plane that wait for the worker that publishes them.
const PUBLICATIONS_MAX: usize = 1024;

/// How long [`Controls::publish`] waits for room.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long [`Controls::snapshot`] waits for the workers.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(1);

/// A worker has not answered in time: a handler is blocking it, most likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} has not answered for a second")]
pub struct SnapshotError {
    /// The worker, from zero.
    pub worker: usize,
}

/// A message of the control plane was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The appliance has not started.
    #[error("the appliance has not started")]
    NotStarted,
    /// The workers did not keep up for a second.
    #[error("the workers do not keep up with what is published")]
    Busy,
    /// The appliance is draining or has stopped.
    #[error("the appliance is stopping")]
    Stopping,
}

/// The control plane's handle on all workers.
pub struct Controls {
    workers: Vec<WorkerHandle>,
    publications: Sender<Publication>,
    pool: Mutex<Pool>,
    registry: Arc<Registry>,
    epoch: Epoch,
}

struct WorkerHandle {
    commands: Sender<Command>,
    directed: Sender<Directed>,
    counters: Arc<CachePadded<Counters>>,
    latency: Arc<CachePadded<Latency>>,
    waker: Arc<dyn Wake>,
}

/// What [`assemble`] makes.
pub struct Assembly {
    /// The control plane's handle.
    pub controls: Controls,
    /// What each worker is made with, in order.
    pub parts: Vec<WorkerParts>,
}

/// Connects as many workers as there are `wakers` to each other and to the control plane.
pub fn assemble(config: &Config, wakers: &[Arc<dyn Wake>]) -> Assembly {
    let registry = Arc::new(Registry::new(config.server.session_shards, wakers.len()));
    let epoch = Epoch(Instant::now());
    let admission = Arc::new(Admission::new(&config.limits));
    let (publications, published) = bounded(PUBLICATIONS_MAX);
    // One worker publishes for the control plane, so that its messages keep their order.
    let mut published = Some(published);
    let mut workers = Vec::new();
    let mut parts = Vec::new();
    for (index, mesh) in mesh(config.broadcast.mesh_slots, wakers).into_iter().enumerate() {
        let (commands, received) = unbounded();
        let (directed, requests) = bounded(DIRECTED_MAX);
        let counters = Arc::new(CachePadded::new(Counters::default()));
        let latency = Arc::new(CachePadded::new(Latency::default()));
        workers.push(WorkerHandle {
            commands,
            directed,
            counters: Arc::clone(&counters),
            latency: Arc::clone(&latency),
            waker: Arc::clone(&wakers[index]),
        });
        parts.push(WorkerParts {
            index,
            pool: Pool::new(PoolOptions::default()),
            mesh,
            commands: received,
            directed: requests,
            publications: published.take(),
            counters,
            latency,
            registry: Arc::clone(&registry),
            epoch,
            admission: Arc::clone(&admission),
        });
    }
    let pool = Mutex::new(Pool::new(PoolOptions::default()));
    Assembly { controls: Controls { workers, publications, pool, registry, epoch }, parts }
}

impl Controls {
    /// Sends a message to every session. Waits up to a second while the workers are behind.
    ///
    /// # Errors
    /// When the workers do not keep up, or have stopped.
    pub fn publish<'a>(&self, message: impl Into<Message<'a>>) -> Result<(), PublishError> {
        let message = self.encode(message.into());
        self.publications.send_timeout(message, PUBLISH_TIMEOUT).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => PublishError::Busy,
            SendTimeoutError::Disconnected(_) => PublishError::Stopping,
        })?;
        self.workers[0].waker.wake();
        Ok(())
    }

    /// Asks every worker to drain and to give up at `deadline`. Returns at once.
    pub fn drain(&self, deadline: Instant) {
        for worker in &self.workers {
            // A worker that has ended is drained.
            let _ = worker.commands.send(Command::Drain { deadline });
            worker.waker.wake();
        }
    }

    /// The sum of all counters. Each is exact as of some moment during the call.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in &self.workers {
            totals.add(&worker.counters);
        }
        totals
    }

    /// The counters of each worker, as they stand between two of its turns, so that those of one
    /// worker fit together: deliveries due are those sent, dropped and in the backlog. Waits for
    /// every worker, so a handler does not call this.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn snapshot(&self) -> Result<Vec<Totals>, SnapshotError> {
        let (reply, replies) = bounded(self.workers.len());
        for worker in &self.workers {
            // One that has ended counts no more, and is read below.
            let _ = worker.commands.send(Command::Snapshot { reply: reply.clone() });
            worker.waker.wake();
        }
        drop(reply);
        let deadline = Instant::now() + SNAPSHOT_TIMEOUT;
        let mut answers: Vec<Option<Totals>> = vec![None; self.workers.len()];
        loop {
            match replies.recv_deadline(deadline) {
                Ok((index, totals)) => answers[index] = Some(totals),
                // All have answered, or ended.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let worker = answers.iter().position(Option::is_none).unwrap_or_default();
                    return Err(SnapshotError { worker });
                }
            }
        }
        let ended = self.per_worker();
        Ok(answers.into_iter().zip(ended).map(|(answer, ended)| answer.unwrap_or(ended)).collect())
    }

    /// How long deliveries took from the publication of the message, on all workers.
    pub fn latencies(&self) -> Latencies {
        let mut latencies = Latencies::default();
        for worker in &self.workers {
            latencies.add(&worker.latency);
        }
        latencies
    }

    /// The counters of each worker.
    pub fn per_worker(&self) -> Vec<Totals> {
        self.workers
            .iter()
            .map(|worker| {
                let mut totals = Totals::default();
                totals.add(&worker.counters);
                totals
            })
            .collect()
    }

    /// Which sessions there are.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A message that is published now.
    fn encode(&self, message: Message<'_>) -> Publication {
        let at = self.epoch.moment(Instant::now());
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        Publication { frame: encode::forward(message, &mut pool), at }
    }
}

/// A worker's end of the commands; see [`Controls`].
pub(crate) type Commands = Receiver<Command>;
