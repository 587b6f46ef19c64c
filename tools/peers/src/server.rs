//! Flags, and one thread that accepts connections and runs a task for each.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

use crate::hub::Hub;

/// How long no connection is accepted after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Sends what a client says to all clients, over WebSocket at any path
#[derive(Debug, Parser)]
pub struct Flags {
    /// Where to listen; with port 0 the system chooses one, and the first line printed tells
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9001")]
    addr: SocketAddr,

    /// Send it back to that client alone
    #[arg(long)]
    echo: bool,

    /// Messages that wait for one client before the oldest is dropped for it
    #[arg(long, value_name = "MESSAGES", default_value_t = 1024)]
    queue: usize,

    /// Send buffer of a connection in the kernel [default: as the system does it]
    #[arg(long, value_name = "BYTES")]
    send_buffer: Option<usize>,
}

/// Serves until it is killed. `connection` is called with each connection that is accepted, and
/// what it returns is run until it ends; how it ends is the client's matter, and not reported.
///
/// The status says that it could not start, and standard error why.
pub fn serve<T, C, F, E>(flags: &Flags, connection: C) -> ExitCode
where
    T: Clone + 'static,
    C: Fn(TcpStream, Rc<Hub<T>>) -> F,
    F: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    raise_descriptor_limit();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format_args!("cannot start: {error}")),
    };
    runtime.block_on(async {
        match listen(flags.addr).await {
            Ok(listener) => accept(&listener, flags, connection).await,
            Err(error) => refuse(&format_args!("cannot listen on {}: {error}", flags.addr)),
        }
    })
}

async fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(addr).await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    Ok(listener)
}

async fn accept<T, C, F, E>(listener: &TcpListener, flags: &Flags, connection: C) -> ExitCode
where
    T: Clone + 'static,
    C: Fn(TcpStream, Rc<Hub<T>>) -> F,
    F: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    let hub = Hub::new(flags.echo, flags.queue);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Fails only for a connection that is no more, and that is found out soon.
                let _ = set_options(&stream, flags.send_buffer);
                drop(tokio::task::spawn_local(connection(stream, Rc::clone(&hub))));
            }
            Err(error) => {
                // Out of descriptors, most likely; others may leave.
                let _ = writeln!(io::stderr(), "cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn set_options(stream: &TcpStream, send_buffer: Option<usize>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    send_buffer.map_or(Ok(()), |bytes| SockRef::from(stream).set_send_buffer_size(bytes))
}

fn refuse(reason: &dyn fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "{reason}");
    ExitCode::FAILURE
}

/// As far as it goes; what is missing shows when connections are refused.
#[cfg(unix)]
fn raise_descriptor_limit() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

#[cfg(not(unix))]
fn raise_descriptor_limit() {}
