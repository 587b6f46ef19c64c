//! Which worker runs on which CPU.

use std::io;

use hioload_config::{Cpus, Server};
use hioload_mem::affinity::{PinnedThread, allowed_cpus};

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

/// Keeps the calling thread on the CPU of its worker, if it has one, until the result is dropped.
pub(crate) fn pin(cpu: Option<usize>) -> Result<Option<PinnedThread>, CpusError> {
    Ok(cpu.map(PinnedThread::pin).transpose()?)
}

/// Worker by worker, for the log.
pub(crate) fn describe(cpus: &[usize]) -> String {
    let workers =
        cpus.iter().enumerate().map(|(worker, cpu)| format!("worker-{worker} on CPU {cpu}"));
    workers.collect::<Vec<_>>().join(", ")
}
