//! A server in this process, at the other end of a wire in memory: the engine of the appliance over
//! `smoltcp`, as over DPDK.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hioload_config::Config;
use hioload_engine::{
    Assembly, Handler, HandlerError, Message, Outbox, Session, Site, SystemClock, Worker, assemble,
};
use hioload_mem::{Arena, ArenaPages};
use hioload_net::{
    FlowLimit, FramePort, HashKey, Idle, IdleStep, MemoryFrame, MemoryPort, PortCapabilities,
    PortCounters, PortOptions, Routers, StackOptions, StackPort, StackStats, StackStreams,
    StackWaker, Streams, TxChecksum, WireOptions,
};

use crate::plan::{Plan, Scenario};

/// Rings of the size that the appliance has by default.
const RECEIVE_RING_BYTES: usize = 1024;
const SEND_RING_BYTES: usize = 2048;
/// As many as the appliance has room for by default, beside those of the clients.
const HALF_OPEN_MAX: usize = 4096;
const TIME_WAIT_MAX: usize = 100_000;
/// Nobody is to wait for long where two threads share a CPU.
const IDLE_SPINS: u32 = 200;
const IDLE_STEP: Duration = Duration::from_micros(50);

/// The server. Dropping it ends it.
pub(crate) struct RingServer {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the server does with a message, whatever the run wants.
enum Serve {
    ToAll,
    Back,
}

impl Handler for Serve {
    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        match self {
            Self::ToAll => out.broadcast(message),
            Self::Back => out.send(message),
        }
        Ok(())
    }
}

impl RingServer {
    /// Starts it; gives the clients' end of the wire.
    ///
    /// # Errors
    /// That there is no thread for it.
    pub(crate) fn start(
        plan: &Plan,
        address: SocketAddrV4,
        wire: &WireOptions,
        handshake_timeout: Duration,
    ) -> Result<(Self, MemoryPort), String> {
        let (server_port, client_port) = MemoryPort::pair(wire);
        let is_over = Arc::new(AtomicBool::new(false));
        let serve = match plan.scenario {
            Scenario::Echo { .. } => Serve::Back,
            _ => Serve::ToAll,
        };
        let mut config = Config::default();
        config.broadcast.include_sender = !plan.sender_excluded();
        config.limits.handshake_timeout = handshake_timeout;
        let site = Site::new(plan.path.clone());
        let seat =
            Seat { port: PunctualPort(server_port), address, clients: plan.clients, config, site };
        let end = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("ring-server".to_owned())
            .spawn(move || seat.run(serve, &end))
            .map_err(|error| format!("cannot start a thread for the server: {error}"))?;
        Ok((Self { is_over, thread: Some(thread) }, client_port))
    }
}

impl Drop for RingServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What it panicked with is on standard error.
            let _ = thread.join();
        }
    }
}

/// The server's end of the wire, by the clock on the wall. The stack's stands still while its worker
/// is held up, and what comes would be late by as much from then on.
struct PunctualPort(MemoryPort);

impl FramePort for PunctualPort {
    type Frame = MemoryFrame;

    fn capabilities(&self) -> PortCapabilities {
        self.0.capabilities()
    }

    fn receive(&mut self, _: Instant, frames: &mut Vec<MemoryFrame>) {
        self.0.receive(Instant::now(), frames);
    }

    fn frame(&mut self) -> Option<MemoryFrame> {
        self.0.frame()
    }

    fn send(&mut self, _: Instant, frame: MemoryFrame, checksum: Option<TxChecksum>) {
        self.0.send(Instant::now(), frame, checksum);
    }

    fn flush(&mut self, _: Instant) {
        self.0.flush(Instant::now());
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }

    fn link_ups(&self) -> u64 {
        self.0.link_ups()
    }

    fn counters(&self) -> PortCounters {
        self.0.counters()
    }
}

/// Where the server is, and what it serves.
struct Seat {
    port: PunctualPort,
    address: SocketAddrV4,
    clients: usize,
    config: Config,
    site: Site,
}

impl Seat {
    fn run(self, serve: Serve, is_over: &AtomicBool) {
        let arena = Arena::new(ArenaPages::Transparent);
        let streams = streams(&arena, self.port, self.address, self.clients);
        // A worker whose control plane is gone would stop.
        let Assembly { controls: _controls, parts } = assemble(&self.config, &[streams.waker()]);
        let Some(parts) = parts.into_iter().next() else { return };
        let (serve, site) = (Arc::new(serve), Arc::new(self.site));
        let mut worker = Worker::new(parts, streams, serve, site, &self.config, SystemClock);
        while !is_over.load(Ordering::Acquire) {
            if worker.turn().is_err() {
                return;
            }
        }
    }
}

fn streams(
    arena: &Arena,
    port: PunctualPort,
    address: SocketAddrV4,
    clients: usize,
) -> StackStreams<'_, PunctualPort> {
    let network = ipnet::Ipv4Net::new_assert(*address.ip(), 32);
    let options = PortOptions {
        addresses: vec![network.into()],
        vlan: None,
        routers: Arc::new(Routers::default()),
        speaks: true,
    };
    // A client that begins anew may overlap with the end of what it had before.
    let flows_max = clients * 2 + 1024 + HALF_OPEN_MAX;
    let stack = StackOptions {
        listen: vec![address.into()],
        receive_ring_bytes: RECEIVE_RING_BYTES,
        send_ring_bytes: SEND_RING_BYTES,
        flows_max,
        flows_in_all: Arc::new(FlowLimit::new(flows_max)),
        half_open_max: clients + HALF_OPEN_MAX,
        time_wait_max: TIME_WAIT_MAX,
        keepalive: None,
        nodelay: true,
        idle: Idle::Adaptive { spins: IDLE_SPINS, step: IdleStep::new(IDLE_STEP) },
        seed: HashKey(u64::from(std::process::id()), address.port().into()),
        admit: Box::new(|_| true),
    };
    let ports = vec![StackPort { port, options, handover: None }];
    let (waker, stats) = (Arc::new(StackWaker::default()), Arc::new(StackStats::new(1)));
    StackStreams::new(arena, ports, stack, &waker, stats, Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_there_at_once_though_the_clock_of_the_stack_is_late() {
        let (server, mut client) = MemoryPort::pair(&WireOptions::default());
        let mut server = PunctualPort(server);
        let began = Instant::now();
        let frame = client.frame().expect("there is memory");
        client.send(Instant::now(), frame, None);
        let mut frames = Vec::new();
        // It has stood still since before the frame was sent.
        server.receive(began.checked_sub(Duration::from_secs(1)).unwrap_or(began), &mut frames);
        assert_eq!(frames.len(), 1);
    }
}
