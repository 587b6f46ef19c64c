//! Looks whether ports have a link, and how fast it is: some drivers say that they tell, and do not.

use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hioload_dpdk::StartedPort;
use tracing::{info, warn};

use super::DpdkError;
use super::idle::IdleSteps;

const INTERVAL: Duration = Duration::from_millis(500);

/// A thread that watches until this is dropped.
pub(crate) struct LinkWatch {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LinkWatch {
    /// Watches `ports`, and keeps what their workers sleep to what the links are like.
    pub(super) fn start(ports: Vec<StartedPort>, idle_steps: IdleSteps) -> Result<Self, DpdkError> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let watch = move || {
            let mut up: Vec<bool> = ports.iter().map(|port| port.link().is_up()).collect();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                for (port, was_up) in ports.iter().zip(&mut up) {
                    if let Err(error) = port.refresh_link() {
                        warn!(port = port.name(), %error, "the link cannot be looked at");
                    }
                    let is_up = port.link().is_up();
                    if is_up != *was_up {
                        let link = if is_up { "up" } else { "down" };
                        info!(port = port.name(), link, "the link has changed");
                        *was_up = is_up;
                    }
                }
                idle_steps.adapt(&ports);
            }
        };
        let thread = thread::Builder::new().name("link-watch".to_owned()).spawn(watch);
        Ok(Self { stop: Some(stop), thread: Some(thread.map_err(DpdkError::Thread)?) })
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It holds ports: who comes next is to find them closed.
            let _ = thread.join();
        }
    }
}
