//! What carries the connections, and the workers that run over it.

#[cfg(feature = "dpdk")]
pub(crate) mod dpdk;
mod kernel;

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hioload_config::Config;
use hioload_engine::{Drained, Handler, Site, SystemClock, Totals, Worker, WorkerParts};
use hioload_net::{Streams, Wake};
use tracing::{error, warn};

use crate::appliance::StartError;
use crate::handle::Handle;
use crate::stats::Stats;

#[cfg(feature = "dpdk")]
use self::dpdk::{DpdkPath, PortsKept};
use self::kernel::KernelPath;

/// What carries the connections of an appliance, until its workers run.
pub(crate) struct Datapath {
    path: Path,
    /// Why it is not the one that the configuration would rather have.
    fallen_back: Option<String>,
}

enum Path {
    Kernel(KernelPath),
    #[cfg(feature = "dpdk")]
    Dpdk(DpdkPath),
}

/// What has to live as long as the workers do.
#[derive(Default)]
pub(crate) struct Kept {
    #[cfg(feature = "dpdk")]
    _ports: Option<PortsKept>,
}

/// Reads what a data path counts beside its workers, for as long as it is there.
#[derive(Clone, Default)]
pub(crate) struct Monitor {
    #[cfg(feature = "dpdk")]
    dpdk: Option<dpdk::Monitor>,
}

impl Monitor {
    /// Adds to `stats` what the engine, which counts `workers`, does not know. May wait for a
    /// device.
    #[cfg(feature = "dpdk")]
    pub(crate) fn complete(&self, stats: &mut Stats, workers: &[Totals], uptime: Duration) {
        stats.dpdk = self.dpdk.as_ref().and_then(|dpdk| dpdk.read(workers, uptime));
    }

    /// The kernel has statistics of its own.
    #[cfg(not(feature = "dpdk"))]
    pub(crate) fn complete(&self, _: &mut Stats, _: &[Totals], _: Duration) {}
}

impl Datapath {
    /// Takes hold of what the configuration names: addresses, ports. Changes it to what holds
    /// here: the number of workers, the limit of sessions.
    pub(crate) fn open(config: &mut Config) -> Result<Self, StartError> {
        let wanted = config.server.datapath;
        let fallen_back = if config.serves_on_ports() {
            match Path::over_dpdk(config) {
                Ok(path) => return Ok(Self { path, fallen_back: None }),
                Err(error) if wanted == hioload_config::Datapath::Dpdk => return Err(error),
                Err(error) => Some(error.to_string()),
            }
        } else {
            None
        };
        Ok(Self { path: Path::Kernel(KernelPath::open(config)?), fallen_back })
    }

    /// As it is named to users.
    pub(crate) fn name(&self) -> &'static str {
        match &self.path {
            Path::Kernel(_) => "kernel",
            #[cfg(feature = "dpdk")]
            Path::Dpdk(_) => "dpdk",
        }
    }

    /// The version of DPDK that carries the connections, or `no`.
    pub(crate) fn dpdk_version(&self) -> String {
        match &self.path {
            Path::Kernel(_) => "no".to_owned(),
            #[cfg(feature = "dpdk")]
            Path::Dpdk(_) => DpdkPath::version(),
        }
    }

    /// What tells of it until [`Kept`] is dropped.
    pub(crate) fn monitor(&self) -> Monitor {
        match &self.path {
            Path::Kernel(_) => Monitor::default(),
            #[cfg(feature = "dpdk")]
            Path::Dpdk(path) => Monitor { dpdk: Some(path.monitor()) },
        }
    }

    /// Addresses that are listened on, with their actual ports.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        match &self.path {
            Path::Kernel(path) => path.addresses(),
            #[cfg(feature = "dpdk")]
            Path::Dpdk(path) => path.addresses(),
        }
    }

    /// Of each worker, what wakes it.
    pub(crate) fn wakers(&self) -> Vec<Arc<dyn Wake>> {
        match &self.path {
            Path::Kernel(path) => path.wakers(),
            #[cfg(feature = "dpdk")]
            Path::Dpdk(path) => path.wakers(),
        }
    }

    /// Starts a worker, and returns once it is in its place. They are started in their order.
    pub(crate) fn start<H: Handler>(
        &mut self,
        parts: WorkerParts,
        duty: Duty<H>,
    ) -> Result<Running, StartError> {
        match &mut self.path {
            Path::Kernel(path) => path.start(parts, duty),
            #[cfg(feature = "dpdk")]
            Path::Dpdk(path) => path.start(parts, duty),
        }
    }

    /// Tells the log what there is to know of the start. What comes back is to be kept until the
    /// workers have ended.
    pub(crate) fn report(self) -> Kept {
        if let Some(reason) = self.fallen_back {
            warn!(%reason, "kernel sockets serve in place of dpdk.port");
        }
        match self.path {
            Path::Kernel(path) => {
                path.report();
                Kept::default()
            }
            #[cfg(feature = "dpdk")]
            Path::Dpdk(path) => Kept { _ports: Some(path.report()) },
        }
    }
}

impl Path {
    #[cfg(feature = "dpdk")]
    fn over_dpdk(config: &mut Config) -> Result<Self, StartError> {
        // What was changed before an error is to hold for no other path.
        let mut changed = config.clone();
        let path = DpdkPath::open(&mut changed)?;
        *config = changed;
        Ok(Self::Dpdk(path))
    }

    #[cfg(not(feature = "dpdk"))]
    fn over_dpdk(_config: &mut Config) -> Result<Self, StartError> {
        Err(StartError::NoDpdk)
    }
}

/// What every worker is to do.
pub(crate) struct Duty<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) site: Arc<Site>,
    pub(crate) config: Config,
    pub(crate) handle: Handle,
}

impl<H: Handler> Duty<H> {
    /// Runs a worker over `streams` until it is drained, and the whole appliance drains when it
    /// fails.
    pub(crate) fn fulfil<S: Streams>(
        self,
        parts: WorkerParts,
        streams: S,
    ) -> Result<Drained, String> {
        let Self { handler, site, config, handle } = self;
        // Unwind safety: after a panic nothing of the worker is used again.
        let result = catch_unwind(AssertUnwindSafe(|| {
            Worker::new(parts, streams, handler, site, &config, SystemClock).run()
        }));
        let result = match result {
            Ok(result) => result.map_err(|error: io::Error| error.to_string()),
            Err(panic) => Err(panic_text(&*panic)),
        };
        if let Err(reason) = &result {
            // One worker less is no appliance: the others end in good order.
            error!(%reason, "a worker failed; the appliance drains");
            handle.drain();
        }
        result
    }
}

/// A worker that runs. Ends with how it was drained, or why it failed.
pub(crate) struct Running(Mutex<Join>);

type Join = Box<dyn FnOnce() -> Result<Drained, String> + Send>;

impl Running {
    fn new(join: impl FnOnce() -> Result<Drained, String> + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(join)))
    }

    /// Waits for its end.
    pub(crate) fn join(self) -> Result<Drained, String> {
        let join = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        join()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}
