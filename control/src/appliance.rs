//! A running appliance: its threads, its addresses, its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hioload_config::{AdminAddress, ConfigError};
use hioload_engine::{Drained, Handler, Layer, SnapshotError, assemble};
use hioload_net::ListenError;
use tracing::{error, info};

use crate::admin::{self, AdminError, AdminServer};
use crate::builder::{Builder, Built};
use crate::datapath::{Datapath, Duty, Kept, Running};
use crate::handle::Handle;
use crate::placement::CpusError;
use crate::stats::{State, Stats};

/// Serves clients from [`Builder::start`] until it is drained.
///
/// Dropping it drains it and waits, as [`stop`](Self::stop) does.
pub struct Appliance {
    handle: Handle,
    workers: Vec<Running>,
    addresses: Vec<SocketAddr>,
    admin: Option<AdminServer>,
    /// Dropped once the workers have ended.
    kept: Kept,
}

/// Why an appliance did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data path that was asked for is not there.
    #[error(
        "this build has no DPDK data path; set server.datapath to \"auto\" or \"kernel\" \
         (or leave --dpdk out) to serve over kernel sockets"
    )]
    NoDpdk,
    /// DPDK does not serve.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Dpdk(#[from] crate::datapath::dpdk::DpdkError),
    /// A path cannot have the handler it was given by [`Builder::route`].
    #[error("the handler at \"{path}\" would never be asked: {reason}")]
    Route {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The workers cannot run on the CPUs that they are to run on.
    #[error(transparent)]
    Cpus(#[from] CpusError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The admin server cannot run.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A worker's thread cannot be started.
    #[error("cannot start a worker thread: {0}")]
    Thread(#[source] io::Error),
}

/// Why a running appliance ended otherwise than by a drain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("worker {worker} failed: {reason}")]
pub struct ApplianceError {
    /// The worker, from zero.
    pub worker: usize,
    /// What happened to it.
    pub reason: String,
}

impl Appliance {
    /// What an appliance is made of, to be filled in.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start<H, L>(mut builder: Builder<H, L>) -> Result<Self, StartError>
    where
        H: Handler,
        L: Layer<H>,
    {
        builder.check()?;
        let mut config = builder.config.clone();
        let mut datapath = Datapath::open(&mut config)?;
        let assembly = assemble(&config, &datapath.wakers());
        // What holds here, and not what was asked for, is what is told of it.
        builder.config = config.clone();
        let Built { handle, handler, site } =
            builder.build(assembly.controls, datapath.name(), datapath.monitor());
        let admin = match &config.control.admin {
            AdminAddress::Off => None,
            address => {
                Some(admin::start(address, config.control.admin_token.as_ref(), handle.clone())?)
            }
        };
        let addresses = datapath.addresses().to_vec();
        let mut appliance =
            Self { handle, workers: Vec::new(), addresses, admin, kept: Kept::default() };
        for parts in assembly.parts {
            let duty = Duty {
                handler: Arc::clone(&handler),
                site: Arc::clone(&site),
                config: config.clone(),
                handle: appliance.handle.clone(),
            };
            // On an error the drop of `appliance` ends the workers that run.
            appliance.workers.push(datapath.start(parts, duty)?);
        }
        appliance.announce(&datapath.dpdk_version());
        appliance.kept = datapath.report();
        Ok(appliance)
    }

    /// Addresses that are listened on, with their actual ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What carries the connections.
    pub fn datapath(&self) -> &'static str {
        self.handle.datapath()
    }

    /// Workers that run.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Where the admin server listens, if there is one.
    pub fn admin_address(&self) -> Option<String> {
        self.admin.as_ref().map(AdminServer::address)
    }

    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Statistics of this moment.
    pub fn stats(&self) -> Stats {
        self.handle.stats()
    }

    /// Statistics of this moment in which the counts fit together; see [`Handle::snapshot`].
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn snapshot(&self) -> Result<Stats, SnapshotError> {
        self.handle.snapshot()
    }

    /// Drains and waits for the end, which comes within the configured time unless a handler does
    /// not return.
    ///
    /// # Errors
    /// See [`join`](Self::join).
    pub fn stop(self) -> Result<Drained, ApplianceError> {
        self.handle.drain();
        self.join()
    }

    /// Waits until somebody has drained the appliance and the drain has ended.
    ///
    /// # Errors
    /// When a worker failed; the others were drained then.
    pub fn join(mut self) -> Result<Drained, ApplianceError> {
        self.join_workers()
    }

    /// The first line of the log: whatever else is to be said of the start comes behind it.
    fn announce(&self, dpdk: &str) {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        info!(
            addresses = %addresses.join(","),
            datapath = %self.datapath(),
            workers = self.workers(),
            %dpdk,
            admin = %self.admin_address().as_deref().unwrap_or("off"),
            "serving"
        );
    }

    fn join_workers(&mut self) -> Result<Drained, ApplianceError> {
        let mut sum = Drained::default();
        let mut failed = None;
        for (worker, thread) in self.workers.drain(..).enumerate() {
            match thread.join() {
                Ok(drained) => {
                    sum.closed += drained.closed;
                    sum.cut_off += drained.cut_off;
                }
                Err(reason) => {
                    failed.get_or_insert(ApplianceError { worker, reason });
                }
            }
        }
        self.kept = Kept::default();
        self.handle.set_stopped();
        if let Some(admin) = self.admin.take() {
            admin.stop();
        }
        failed.map_or(Ok(sum), Err)
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        if self.handle.state() != State::Stopped {
            self.handle.drain();
            if let Err(error) = self.join_workers() {
                error!(%error, "the appliance did not end well");
            }
        }
    }
}

impl fmt::Debug for Appliance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appliance")
            .field("state", &self.handle.state())
            .field("addresses", &self.addresses)
            .field("admin_address", &self.admin_address())
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}
