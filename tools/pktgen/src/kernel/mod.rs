//! Clients over the sockets of the operating system: threads, each with a poller of its own.

mod client;
mod driver;
mod endpoint;
mod handshake;
mod inbox;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use mio::{Poll, Token, Waker};

use crate::check::Offences;
use crate::kernel::driver::Driver;
use crate::kernel::endpoint::Endpoint;
use crate::latency::Latency;
use crate::shared::Shared;

/// What a thread has to say at its end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// From when a message was due to its arrival.
    pub(crate) delivery: Latency,
    /// From the first packet to an open TCP connection.
    pub(crate) connect: Latency,
    /// From there to the end of the HTTP upgrade.
    pub(crate) upgrade: Latency,
    pub(crate) offences: Offences,
    /// Slow clients whose connection the server ended.
    pub(crate) slow_disconnected: u64,
}

/// The threads of a run.
#[derive(Debug)]
pub(crate) struct Fleet {
    wakers: Arc<Vec<Waker>>,
    threads: Vec<JoinHandle<Outcome>>,
}

/// The token of the waker; clients have theirs from 0.
const WAKER: Token = Token(usize::MAX);

impl Fleet {
    /// Starts the threads, which begin to connect.
    ///
    /// # Errors
    /// That the system has no more pollers or threads, or the target makes no URL.
    pub(crate) fn start(shared: &Arc<Shared>, address: SocketAddr) -> Result<Self, String> {
        let plan = &shared.plan;
        let endpoint = Endpoint::new(address, plan)?;
        let failed = |error: io::Error| format!("cannot start {} threads: {error}", plan.threads);
        let polls: Vec<Poll> =
            (0..plan.threads).map(|_| Poll::new()).collect::<io::Result<_>>().map_err(failed)?;
        let wakers: Vec<Waker> = polls
            .iter()
            .map(|poll| Waker::new(poll.registry(), WAKER))
            .collect::<io::Result<_>>()
            .map_err(failed)?;
        let wakers = Arc::new(wakers);
        let mut fleet = Self { wakers: Arc::clone(&wakers), threads: Vec::new() };
        for (number, poll) in polls.into_iter().enumerate() {
            let driver = Driver::new(
                Arc::clone(shared),
                Arc::clone(&wakers),
                endpoint.clone(),
                number,
                poll,
            );
            let thread = thread::Builder::new().name(format!("clients-{number}"));
            fleet.threads.push(thread.spawn(move || driver.run()).map_err(failed)?);
        }
        Ok(fleet)
    }

    /// Lets all threads see a change.
    pub(crate) fn wake(&self) {
        for waker in self.wakers.iter() {
            // A thread that could not be woken looks by itself before long.
            let _ = waker.wake();
        }
    }

    /// Waits for the threads, which leave in phase End. `None` for one that panicked.
    pub(crate) fn join(self) -> Vec<Option<Outcome>> {
        self.threads.into_iter().map(|thread| thread.join().ok()).collect()
    }
}
