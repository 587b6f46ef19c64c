//! The threads of a run, on whatever carries their clients' packets.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::thread;

use hioload_net::FramePort;

use crate::driver::Driver;
use crate::hostile::Hostility;
use crate::kernel;
use crate::link::{Carrier, Link, Packets};
use crate::outcome::Outcome;
#[cfg(feature = "dpdk")]
use crate::packet::dpdk;
use crate::packet::{Addresses, Options, PacketTransport};
use crate::plan::Plan;
use crate::ring::RingServer;
use crate::shared::Shared;

pub(crate) struct Fleet {
    wake: Box<dyn Fn()>,
    /// Each waits for the end of a thread. `None` comes of one that panicked.
    joins: Vec<Box<dyn FnOnce() -> Option<Outcome>>>,
}

impl Fleet {
    /// Starts the threads, which begin to connect.
    ///
    /// # Errors
    /// What the system has not enough of, or what is wrong with the addresses or the port.
    pub(crate) fn start(shared: &Arc<Shared>, address: SocketAddr) -> Result<Self, String> {
        match (&shared.plan.link, address) {
            (Link::Kernel, _) => Self::on_sockets(shared, address),
            (Link::Packets(packets), SocketAddr::V4(address)) => {
                Self::on_packets(shared, packets, address)
            }
            (Link::Packets(_), SocketAddr::V6(address)) => {
                Err(format!("{address}: packets are of IPv4 only"))
            }
        }
    }

    fn on_sockets(shared: &Arc<Shared>, address: SocketAddr) -> Result<Self, String> {
        let plan = &shared.plan;
        let (transports, wakers) = kernel::open(plan, address)?;
        let wake = Box::new(move || {
            for waker in wakers.iter() {
                // A thread that could not be woken looks by itself before long.
                let _ = waker.wake();
            }
        });
        let mut fleet = Self { wake, joins: Vec::new() };
        for (number, transport) in transports.into_iter().enumerate() {
            let driver = Driver::new(Arc::clone(shared), transport, number);
            let thread = thread::Builder::new().name(format!("clients-{number}"));
            let thread = thread
                .spawn(move || driver.run())
                .map_err(|error| format!("cannot start {} threads: {error}", plan.threads))?;
            fleet.joins.push(Box::new(|| thread.join().ok()));
        }
        Ok(fleet)
    }

    fn on_packets(
        shared: &Arc<Shared>,
        packets: &Packets,
        server: SocketAddrV4,
    ) -> Result<Self, String> {
        let plan = &shared.plan;
        let taken = [Some(*server.ip()), packets.gateway, packets.via];
        let taken: Vec<_> = taken.into_iter().flatten().collect();
        let addresses = Addresses::new(packets.clients, plan.clients, &taken)?;
        let strays = addresses.strays().filter(|_| has_strays(plan));
        if has_strays(plan) && strays.is_none() {
            return Err(format!(
                "--clients {}: no address is left for packets that belong to no client",
                packets.clients
            ));
        }
        let options = Options {
            server,
            addresses,
            strays,
            gateway: packets.gateway,
            via: packets.via,
            acks: packets.acks,
            clients: plan.clients,
            timeout: plan.timeout,
        };
        let shared = Arc::clone(shared);
        let join: Box<dyn FnOnce() -> Option<Outcome>> = match &packets.carrier {
            Carrier::Ring { wire, handshake_timeout } => {
                let (ring, port) = RingServer::start(plan, server, wire, *handshake_timeout)?;
                let thread = thread::Builder::new().name("clients-0".to_owned());
                let thread = thread
                    .spawn(move || run(shared, port, options))
                    .map_err(|error| format!("cannot start a thread: {error}"))?;
                Box::new(move || {
                    let outcome = thread.join().ok();
                    drop(ring);
                    outcome
                })
            }
            #[cfg(feature = "dpdk")]
            Carrier::Dpdk(port) => {
                let (path, port) = dpdk::open(port, plan.timeout)?;
                let lcore = path.launch(move || run(shared, port, options))?;
                Box::new(move || {
                    let outcome = lcore.join().ok();
                    drop(path);
                    outcome
                })
            }
        };
        // It never sleeps for long.
        Ok(Self { wake: Box::new(|| {}), joins: vec![join] })
    }

    /// Lets all threads see a change.
    pub(crate) fn wake(&self) {
        (self.wake)();
    }

    /// Waits for the threads, which leave in phase End. `None` for one that panicked.
    pub(crate) fn join(self) -> Vec<Option<Outcome>> {
        self.joins.into_iter().map(|join| join()).collect()
    }
}

fn has_strays(plan: &Plan) -> bool {
    plan.hostile.is_some_and(Hostility::has_strays)
}

/// The clients of a run on one port.
fn run<P: FramePort>(shared: Arc<Shared>, port: P, options: Options) -> Outcome {
    let mut transport = PacketTransport::new(port, options);
    if let Err(reason) = transport.resolve() {
        shared.fail(|| reason);
    }
    Driver::new(shared, transport, 0).run()
}
