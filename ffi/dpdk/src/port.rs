//! Ports: network interfaces, real or virtual.
//!
//! [`Port`] is a port at rest that this value alone may start. [`Port::start`] gives its queues and
//! a [`StartedPort`]; when these are all gone, the port is stopped and closed.

mod device;
mod error;
mod link;
mod options;
mod ring;
mod start;
mod stats;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use error::{PortError, PortProblem};
pub use link::LinkState;
pub use options::{Granted, Offloads, PortLimits, PortOptions};
pub use ring::ring_pair;
pub use start::Started;
pub use stats::PortStats;

use crate::eal::Eal;
use crate::queue::{RxQueue, TxQueue};
pub(crate) use device::Device;
use link::Link;

/// A port at rest.
///
/// One that was never started is free for others when it is dropped. One that was is closed then,
/// and DPDK does not open it again in this process.
#[derive(Debug)]
pub struct Port {
    device: Device,
}

impl Port {
    /// Finds a port by the name of a virtual device (`net_tap0`) or by a PCI address
    /// (`0000:03:00.0`, or `03:00.0` in domain 0).
    ///
    /// # Errors
    /// When there is none of that name, and when somebody has it.
    pub fn find(eal: &Eal, name: &str) -> Result<Self, PortError> {
        Device::find(eal, name).map(|device| Self { device })
    }

    /// The name that DPDK has for it.
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// Its address.
    ///
    /// # Errors
    /// When DPDK does not say.
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        self.device.mac()
    }

    /// The NUMA node that it is on; `None` where that is not known, or makes no difference.
    pub fn node(&self) -> Option<u32> {
        self.device.node()
    }

    /// What it can do.
    ///
    /// # Errors
    /// When DPDK does not say.
    pub fn limits(&self) -> Result<PortLimits, PortError> {
        Ok(PortLimits::of(&self.device.info()?))
    }
}

/// A port that runs: what is asked of it beside its queues. Clones are the same one.
#[derive(Clone, Debug)]
pub struct StartedPort(pub(crate) Arc<Running>);

/// What the queues and the handles of a port share. The first field is dropped first.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) link: Link,
    pub(crate) device: Device,
    pub(crate) granted: Granted,
    /// Held while the port is asked something: drivers expect one thread to do that.
    control: Mutex<()>,
}

impl Running {
    fn new(link: Link, device: Device, granted: Granted) -> Self {
        Self { link, device, granted, control: Mutex::new(()) }
    }

    fn control(&self) -> MutexGuard<'_, ()> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StartedPort {
    /// The name that DPDK has for it.
    pub fn name(&self) -> &str {
        self.0.device.name()
    }

    /// Its address.
    ///
    /// # Errors
    /// When DPDK does not say.
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        let _control = self.0.control();
        self.0.device.mac()
    }

    /// What was granted of what was asked for.
    pub fn granted(&self) -> &Granted {
        &self.0.granted
    }

    /// What is known of the link, for whoever wants to know without asking the port. It changes with
    /// [`refresh_link`](Self::refresh_link), and by itself where the driver
    /// [tells](Granted::link_events).
    pub fn link(&self) -> Arc<LinkState> {
        Arc::clone(self.0.link.state())
    }

    /// Asks the port for the link. To be called now and then, on every port: some drivers that
    /// promise to tell of changes do not (tap, in DPDK 22.11). A link that was down for a shorter
    /// time may go unnoticed.
    ///
    /// # Errors
    /// When DPDK does not say.
    pub fn refresh_link(&self) -> Result<(), PortError> {
        let _control = self.0.control();
        link::refresh(&self.0.device, self.0.link.state())
    }

    /// Frames, bytes and losses since the start.
    ///
    /// # Errors
    /// When DPDK does not say.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let _control = self.0.control();
        stats::basic(&self.0.device)
    }

    /// All counters that the driver has, by name (`rx_good_packets`, ...).
    ///
    /// # Errors
    /// When DPDK does not say.
    pub fn extended_stats(&self) -> Result<Vec<(String, u64)>, PortError> {
        let _control = self.0.control();
        stats::extended(&self.0.device)
    }

    /// Stops the port, which can be started again.
    ///
    /// # Errors
    /// When a queue or another handle of the port is left (it goes on then), or the driver says no.
    pub fn stop(self, queues: Vec<(RxQueue, TxQueue)>) -> Result<Port, PortError> {
        drop(queues);
        let name = self.name().to_owned();
        let Some(running) = Arc::into_inner(self.0) else {
            return Err(PortError { port: name, problem: PortProblem::StillInUse });
        };
        let Running { link, device, granted: _, control: _ } = running;
        link.stop(&device)?;
        Ok(Port { device })
    }
}
