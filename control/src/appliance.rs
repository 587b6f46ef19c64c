//! A running appliance: its threads, its addresses, its end.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use hioload_config::{AdminAddress, Config, ConfigError, Datapath, ListenAddress};
use hioload_engine::{
    Drained, Handler, Layer, Site, SnapshotError, SystemClock, Worker, WorkerParts, assemble,
};
use hioload_net::{
    KernelOptions, KernelStreams, ListenError, ListenOptions, Listening, SocketOptions, Streams,
    listen,
};
use tracing::{error, info, warn};

use crate::admin::{self, AdminError, AdminServer};
use crate::builder::{Builder, Built};
use crate::descriptors;
use crate::handle::Handle;
use crate::placement::{self, CpusError, Place};
use crate::stats::{State, Stats};

/// Serves clients from [`Builder::start`] until it is drained.
///
/// Dropping it drains it and waits, as [`stop`](Self::stop) does.
pub struct Appliance {
    handle: Handle,
    workers: Vec<WorkerThread>,
    addresses: Vec<SocketAddr>,
    admin: Option<AdminServer>,
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

    pub(crate) fn start<H, L>(builder: Builder<H, L>) -> Result<Self, StartError>
    where
        H: Handler,
        L: Layer<H>,
    {
        builder.check()?;
        let mut config = builder.config.clone();
        if config.server.datapath == Datapath::Dpdk {
            return Err(StartError::NoDpdk);
        }
        if config.serves_on_ports() {
            warn!("this build has no DPDK data path: kernel sockets serve in place of dpdk.port");
        }
        let cpus = placement::cpus_of_workers(&config.server)?;
        let descriptors = descriptors::soft_limit();
        let sessions_max = descriptors::sessions_max(&config, descriptors);
        config.limits.sessions_max = sessions_max.value;
        let (Listening { addresses, inlets }, left_out) = bind(&config)?;
        let streams: Vec<KernelStreams> = inlets
            .into_iter()
            .map(|inlet| KernelStreams::new(inlet, KernelOptions::default()))
            .collect();
        let wakers: Vec<_> = streams.iter().map(Streams::waker).collect();
        let assembly = assemble(&config, &wakers);

        let Built { handle, handler, site } = builder.build(assembly.controls, "kernel");
        let admin = match &config.control.admin {
            AdminAddress::Off => None,
            address => {
                Some(admin::start(address, config.control.admin_token.as_ref(), handle.clone())?)
            }
        };
        let mut appliance = Self { handle, workers: Vec::new(), addresses, admin };
        let mut places = Vec::new();
        for (parts, streams) in assembly.parts.into_iter().zip(streams) {
            let crew = Crew {
                handler: Arc::clone(&handler),
                site: Arc::clone(&site),
                config: config.clone(),
                handle: appliance.handle.clone(),
                cpu: cpus.as_ref().map(|cpus| cpus[parts.index()]),
            };
            // On an error the drop of `appliance` ends the workers that run.
            let (worker, place) = crew.start(parts, streams)?;
            appliance.workers.push(worker);
            places.extend(place);
        }
        appliance.announce();
        if !places.is_empty() {
            placement::announce(&places);
        }
        for address in left_out {
            warn!(%address, "this host has no IPv6; not listening there");
        }
        sessions_max.report(descriptors);
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
    fn announce(&self) {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        info!(
            addresses = %addresses.join(","),
            datapath = %self.datapath(),
            workers = self.workers(),
            dpdk = %"no",
            admin = %self.admin_address().as_deref().unwrap_or("off"),
            "serving"
        );
    }

    fn join_workers(&mut self) -> Result<Drained, ApplianceError> {
        let mut sum = Drained::default();
        let mut failed = None;
        for (worker, thread) in self.workers.drain(..).enumerate() {
            let result = thread.join().unwrap_or_else(|panic| Err(panic_text(&*panic)));
            match result {
                Ok(drained) => {
                    sum.closed += drained.closed;
                    sum.cut_off += drained.cut_off;
                }
                Err(reason) => {
                    failed.get_or_insert(ApplianceError { worker, reason });
                }
            }
        }
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

/// Ends with how its worker was drained, or why it failed.
type WorkerThread = JoinHandle<Result<Drained, String>>;

/// What every worker thread is started with.
struct Crew<H> {
    handler: Arc<H>,
    site: Arc<Site>,
    config: Config,
    handle: Handle,
    /// Where it runs; `None` for wherever the system puts it.
    cpu: Option<usize>,
}

impl<H: Handler> Crew<H> {
    /// Starts the thread, and returns once it is in its place, if it has one.
    fn start(
        self,
        mut parts: WorkerParts,
        streams: KernelStreams,
    ) -> Result<(WorkerThread, Option<Place>), StartError> {
        let name = format!("worker-{}", parts.index());
        let (placed, is_placed) = mpsc::sync_channel(1);
        let run = move || {
            let Self { handler, site, config, handle, cpu } = self;
            let (_pin, place) = match cpu.map(|cpu| placement::take(cpu, &mut parts)).transpose() {
                Ok(taken) => taken.unzip(),
                Err(error) => {
                    // The start is there to take it; the worker does not run.
                    let _ = placed.send(Err(error));
                    return Ok(Drained::default());
                }
            };
            let _ = placed.send(Ok(place));
            // Unwind safety: after a panic nothing of the worker is used again.
            let result = catch_unwind(AssertUnwindSafe(|| {
                Worker::new(parts, streams, handler, site, &config, SystemClock).run()
            }));
            let result = match result {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(panic) => Err(panic_text(&*panic)),
            };
            if let Err(reason) = &result {
                // One worker less is no appliance: the others end in good order.
                error!(%reason, "a worker failed; the appliance drains");
                handle.drain();
            }
            result
        };
        let thread = thread::Builder::new().name(name).spawn(run).map_err(StartError::Thread)?;
        // A thread that is gone without a word has left it to `join` to say why.
        let place = is_placed.recv().unwrap_or(Ok(None))?;
        Ok((thread, place))
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

/// Binds every address of the configuration. Where this host has no IPv6, `[::1]` and `[::]` are
/// left out, as long as another address is left; the second value names them.
fn bind(config: &Config) -> Result<(Listening, Vec<SocketAddr>), StartError> {
    let mut options = ListenOptions {
        addresses: config.server.listen.iter().flat_map(ListenAddress::socket_addresses).collect(),
        backlog: config.tcp.accept_backlog,
        socket: SocketOptions {
            nodelay: config.tcp.nodelay,
            send_buffer_bytes: config.tcp.send_buffer_bytes,
            receive_buffer_bytes: config.tcp.receive_buffer_bytes,
            keepalive: config.tcp.keepalive,
        },
        ..ListenOptions::default()
    };
    let mut left_out = Vec::new();
    loop {
        let error = match listen(&options, config.server.workers) {
            Ok(listening) => return Ok((listening, left_out)),
            Err(error) => error,
        };
        let missing = error.address().filter(|address| {
            let ip = address.ip();
            ip.is_ipv6() && (ip.is_loopback() || ip.is_unspecified()) && error.unavailable()
        });
        match missing {
            Some(missing) if options.addresses.len() > 1 => {
                left_out.push(missing);
                options.addresses.retain(|address| *address != missing);
            }
            _ => return Err(error.into()),
        }
    }
}
