//! Sockets of the kernel, and a thread for each worker.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread;

use hioload_config::{Config, ListenAddress};
use hioload_engine::{Drained, Handler, WorkerParts};
use hioload_net::{
    KernelOptions, KernelStreams, ListenOptions, Listening, SocketOptions, Streams, Wake, listen,
};
use tracing::warn;

use super::{Duty, Running, panic_text};
use crate::appliance::StartError;
use crate::descriptors::{self, Holding};
use crate::placement::{self, Place};

pub(crate) struct KernelPath {
    addresses: Vec<SocketAddr>,
    /// Addresses that this host does not have.
    left_out: Vec<SocketAddr>,
    /// Of the workers that do not run yet.
    streams: VecDeque<KernelStreams>,
    /// Where the workers run; `None` for wherever the system puts them.
    cpus: Option<Vec<usize>>,
    places: Vec<Place>,
    descriptors: Option<usize>,
    sessions_max: Holding,
}

impl KernelPath {
    pub(super) fn open(config: &mut Config) -> Result<Self, StartError> {
        let cpus = placement::cpus_of_workers(&config.server)?;
        let descriptors = descriptors::soft_limit();
        let sessions_max = descriptors::sessions_max(config, descriptors);
        config.limits.sessions_max = sessions_max.value;
        let (Listening { addresses, inlets }, left_out) = bind(config)?;
        let open = |inlet| KernelStreams::new(inlet, KernelOptions::default());
        let streams = inlets.into_iter().map(open).collect();
        let places = Vec::new();
        Ok(Self { addresses, left_out, streams, cpus, places, descriptors, sessions_max })
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn wakers(&self) -> Vec<Arc<dyn Wake>> {
        self.streams.iter().map(Streams::waker).collect()
    }

    /// Starts the thread of a worker, and returns once it is in its place, if it has one.
    pub(super) fn start<H: Handler>(
        &mut self,
        mut parts: WorkerParts,
        duty: Duty<H>,
    ) -> Result<Running, StartError> {
        let streams = self.streams.pop_front().expect("as many as there are workers");
        let cpu = self.cpus.as_ref().map(|cpus| cpus[parts.index()]);
        let name = format!("worker-{}", parts.index());
        let (placed, is_placed) = mpsc::sync_channel(1);
        let run = move || {
            let (_pin, place) = match cpu.map(|cpu| placement::take(cpu, &mut parts)).transpose() {
                Ok(taken) => taken.unzip(),
                Err(error) => {
                    // The start is there to take it; the worker does not run.
                    let _ = placed.send(Err(error));
                    return Ok(Drained::default());
                }
            };
            let _ = placed.send(Ok(place));
            duty.fulfil(parts, streams)
        };
        let thread = thread::Builder::new().name(name).spawn(run).map_err(StartError::Thread)?;
        // A thread that is gone without a word has left it to `join` to say why.
        self.places.extend(is_placed.recv().unwrap_or(Ok(None))?);
        Ok(Running::new(|| thread.join().unwrap_or_else(|panic| Err(panic_text(&*panic)))))
    }

    pub(super) fn report(self) {
        if !self.places.is_empty() {
            placement::announce(&self.places);
        }
        for address in self.left_out {
            warn!(%address, "this host has no IPv6; not listening there");
        }
        self.sessions_max.report(self.descriptors);
    }
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
