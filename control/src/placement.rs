//! Which worker runs on which CPU, and has its messages on which NUMA node.

use std::io;

use hioload_buffer::{NodeError, Pool, PoolOptions};
use hioload_config::{Cpus, Server};
use hioload_engine::WorkerParts;
use hioload_mem::affinity::{PinnedThread, allowed_cpus};
use hioload_mem::numa;
use tracing::{info, warn};

/// Why workers cannot run on the CPUs of `server.cpus`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpusError {
    /// A CPU that is not there, or that this process may not use.
    #[error(
        "server.cpus: expected CPUs that this process may use (\"{}\"), got {cpu}",
        Cpus::List(allowed.clone())
    )]
    NotAllowed {
        /// The first such CPU of the list.
        cpu: usize,
        /// Those that it may use.
        allowed: Vec<usize>,
    },
    /// `"auto"`, and more workers than there are CPUs for them.
    #[error(
        "server.cpus: \"auto\" gives each worker a CPU of its own: expected at most {} \
         server.workers, since this process may use the CPUs \"{}\", got {workers}",
        allowed.len(),
        Cpus::List(allowed.clone())
    )]
    TooFew {
        /// Workers that are to run.
        workers: usize,
        /// The CPUs that this process may use.
        allowed: Vec<usize>,
    },
    /// The system does not say which CPUs there are, or does not keep a thread on one.
    #[error("server.cpus: cannot keep a worker on a CPU: {0}; \"off\" leaves them to the system")]
    System(#[from] io::Error),
}

/// The CPU of each worker, or `None` where they are not pinned.
///
/// # Errors
/// Where the configuration, which is valid by itself, asks for what this process may not do.
pub(crate) fn cpus_of_workers(server: &Server) -> Result<Option<Vec<usize>>, CpusError> {
    let mut cpus = match &server.cpus {
        Cpus::Off => return Ok(None),
        Cpus::Auto => allowed_for(server.workers)?,
        Cpus::List(cpus) => {
            let allowed = allowed_cpus()?;
            if let Some(&cpu) = cpus.iter().find(|cpu| !allowed.contains(cpu)) {
                return Err(CpusError::NotAllowed { cpu, allowed });
            }
            cpus.clone()
        }
    };
    cpus.truncate(server.workers);
    Ok(Some(cpus))
}

fn allowed_for(workers: usize) -> Result<Vec<usize>, CpusError> {
    let allowed = allowed_cpus()?;
    if allowed.len() < workers {
        return Err(CpusError::TooFew { workers, allowed });
    }
    Ok(allowed)
}

/// Where a worker runs and has its messages.
pub(crate) struct Place {
    cpu: usize,
    node: Option<usize>,
    /// Why its messages do not lie on the node.
    refused: Option<NodeError>,
}

/// Moves the calling thread to the CPU of its worker, until the result is dropped, and the worker's
/// pool of messages to the CPU's node, where that is known.
///
/// # Errors
/// When the thread cannot be kept there. A node that gives no memory is no error: the memory is
/// that which is touched first on this CPU, which the system takes from the same node as a rule.
pub(crate) fn take(
    cpu: usize,
    parts: &mut WorkerParts,
) -> Result<(PinnedThread, Place), CpusError> {
    let pin = PinnedThread::pin(cpu)?;
    let node = numa::node_of_cpu(cpu);
    let pool = node.map(|node| Pool::on_node(node, PoolOptions::default()));
    let refused = match pool {
        Some(Ok(pool)) => {
            parts.set_pool(pool);
            None
        }
        Some(Err(refused)) => Some(refused),
        None => None,
    };
    Ok((pin, Place { cpu, node, refused }))
}

/// Tells the log where the workers are.
pub(crate) fn announce(places: &[Place]) {
    let all: Vec<String> = places.iter().enumerate().map(describe).collect();
    info!(cpus = %all.join(", "), "workers are pinned");
    let refused = places.iter().find_map(|place| Some((place.node?, place.refused.as_ref()?)));
    if let Some((node, error)) = refused {
        warn!(node, %error, "messages lie where they are touched first, not surely on the worker's node");
    }
}

fn describe((worker, place): (usize, &Place)) -> String {
    let Place { cpu, node, .. } = place;
    let node = node.map_or_else(String::new, |node| format!(" of NUMA node {node}"));
    format!("worker-{worker} on CPU {cpu}{node}")
}
