//! The threads of a run, on whatever carries their clients' bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use crate::driver::Driver;
use crate::kernel;
use crate::outcome::Outcome;
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
    /// That the system has no more pollers or threads, or what is wrong with the addresses.
    pub(crate) fn start(shared: &Arc<Shared>, address: SocketAddr) -> Result<Self, String> {
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

    /// Lets all threads see a change.
    pub(crate) fn wake(&self) {
        (self.wake)();
    }

    /// Waits for the threads, which leave in phase End. `None` for one that panicked.
    pub(crate) fn join(self) -> Vec<Option<Outcome>> {
        self.joins.into_iter().map(|join| join()).collect()
    }
}
