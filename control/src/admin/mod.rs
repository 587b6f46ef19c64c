//! The admin interface: what a running appliance is doing, and commands to it, over HTTP.
//!
//! It listens on kernel sockets of its own, whatever the data path, and runs on a thread of its
//! own, off the way of any message. Every request passes [`protect`] before it reaches one of the
//! [`routes`].

mod connections;
mod listener;
mod message;
mod protect;
mod routes;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;
use hioload_config::{AdminAddress, Secret};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use self::listener::Listener;
use self::protect::Protection;
use crate::Handle;

/// Threads for calls that may wait: a publication waits up to a second for its place.
const BLOCKING_THREADS_MAX: usize = 8;

/// How long calls that wait may take when the server stops.
const BLOCKING_TIME_MAX: Duration = Duration::from_millis(1000);

/// How long [`AdminServer::stop`] waits for the thread: longer than all it waits for.
const STOP_TIME_MAX: Duration = Duration::from_secs(3);

const REMEDY: &str = "set control.admin to another address, or to \"off\"";

/// The admin interface could not start.
///
/// Where another address would do, the message says how to choose one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The address cannot be listened on.
    #[error("the admin interface cannot listen on {address}: {error}; {REMEDY}")]
    Bind {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("the admin interface cannot listen on unix:{}: {error}; {REMEDY}", path.display())]
    BindUnix {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process listens on the Unix socket.
    #[error("the admin interface cannot listen on unix:{}: another process does; {REMEDY}",
        .0.display())]
    UnixInUse(PathBuf),
    /// The path of the Unix socket is taken by something that is none.
    #[error("the admin interface cannot listen on unix:{}: there is a file that is no socket; \
        {REMEDY}", .0.display())]
    NoSocket(PathBuf),
    /// This system has no Unix sockets.
    #[error("the admin interface cannot listen on unix:{}: this system has no Unix sockets; \
        {REMEDY}", .0.display())]
    NoUnixSockets(PathBuf),
    /// The configuration says that there is to be none.
    #[error("the admin interface is off")]
    Off,
    /// The thread or its event loop could not start.
    #[error("the admin interface cannot start: {0}")]
    Runtime(io::Error),
}

/// The running admin interface. Dropping it stops it without waiting.
#[derive(Debug)]
pub(crate) struct AdminServer {
    address: String,
    /// Its end ends the server.
    stop: watch::Sender<()>,
    /// Ends when the thread has.
    stopped: Receiver<()>,
}

/// Listens on `address` and serves there until the result is stopped.
///
/// # Errors
/// Where the address cannot be listened on, or is no address.
pub(crate) fn start(
    address: &AdminAddress,
    token: Option<&Secret>,
    handle: Handle,
) -> Result<AdminServer, AdminError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("admin-call")
        .build()
        .map_err(AdminError::Runtime)?;
    let listener = bind(&runtime, address)?;
    let protection = Protection::new(listener.tcp_address(), token.cloned());
    let address = listener.address();
    let router = routes::router(handle, protection);
    let (stop, stopping) = watch::channel(());
    let (ended, stopped) = crossbeam_channel::bounded::<()>(0);
    thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(connections::serve(listener, router, stopping));
            runtime.shutdown_timeout(BLOCKING_TIME_MAX);
            drop(ended);
        })
        .map_err(AdminError::Runtime)?;
    Ok(AdminServer { address, stop, stopped })
}

/// Sockets register with the event loop that is current when they are made.
fn bind(runtime: &Runtime, address: &AdminAddress) -> Result<Listener, AdminError> {
    let _current = runtime.enter();
    Listener::bind(address)
}

impl AdminServer {
    /// Where it listens, the port being the one that the system chose where it was asked to:
    /// `127.0.0.1:9090` or `unix:/run/hioload.sock`.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// Answers what was asked before, and ends. Takes at most some seconds.
    pub(crate) fn stop(self) {
        drop(self.stop);
        let _ = self.stopped.recv_timeout(STOP_TIME_MAX);
    }
}
