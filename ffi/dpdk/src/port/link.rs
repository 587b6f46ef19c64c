//! Whether there is a link, and the end of a port's run.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;

use dpdk_sys::{rte_eth_event_type, rte_eth_link};

use super::device::Device;
use super::error::{PortError, PortProblem};
use crate::errno::{self, Errno};

/// What is known of a link. One writes, anybody reads.
#[derive(Debug, Default)]
pub struct LinkState {
    up: AtomicBool,
    ups: AtomicU64,
    mbps: AtomicU32,
}

impl LinkState {
    /// Whether there is a link.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// How often it has come up, the first time included.
    pub fn ups(&self) -> u64 {
        self.ups.load(Ordering::Acquire)
    }

    /// Its speed in Mbit/s; `None` without a link and where the speed is not known.
    pub fn mbps(&self) -> Option<u32> {
        let mbps = self.mbps.load(Ordering::Acquire);
        (self.is_up() && mbps != 0 && mbps != u32::MAX).then_some(mbps)
    }

    fn set(&self, link: &rte_eth_link) {
        let up = link.link_status() != 0;
        self.mbps.store(link.link_speed, Ordering::Release);
        if !self.up.swap(up, Ordering::AcqRel) && up {
            self.ups.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// A port that has been started; stops it when dropped.
#[derive(Debug)]
pub(crate) struct Link {
    port: u16,
    started: bool,
    state: Arc<LinkState>,
    /// What DPDK was given to tell of changes; made of an `Arc`.
    watched: Option<Watched>,
}

#[derive(Debug)]
struct Watched(*const LinkState);

// SAFETY: points to what any thread may use.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Link {
    /// Starts a port, with word of its link's changes where `events` says that it has some.
    pub(super) fn start(device: &Device, events: bool) -> Result<Self, PortError> {
        let mut link =
            Self { port: device.id(), started: false, state: Arc::default(), watched: None };
        if events {
            link.watch().map_err(device.refused("asking for word of the link"))?;
        }
        // SAFETY: configured, with all its queues set up.
        let started = unsafe { dpdk_sys::rte_eth_dev_start(device.id()) };
        errno::check(started).map_err(device.refused("starting"))?;
        link.started = true;
        refresh(device, &link.state)?;
        Ok(link)
    }

    pub(super) fn state(&self) -> &Arc<LinkState> {
        &self.state
    }

    fn watch(&mut self) -> Result<(), Errno> {
        let state = Arc::into_raw(Arc::clone(&self.state));
        self.watched = Some(Watched(state));
        // SAFETY: `state` stays until the callback has been taken back.
        let registered = unsafe {
            dpdk_sys::rte_eth_dev_callback_register(
                self.port,
                dpdk_sys::RTE_ETH_EVENT_INTR_LSC,
                Some(changed),
                state.cast_mut().cast(),
            )
        };
        errno::check(registered).map(drop)
    }

    fn unwatch(&mut self) {
        const EAGAIN: i32 = 11;
        const TRIES: u32 = 10_000;
        let Some(Watched(state)) = self.watched.take() else { return };
        for _ in 0..TRIES {
            // SAFETY: takes back what `watch` gave, and nothing if that failed.
            let taken = unsafe {
                dpdk_sys::rte_eth_dev_callback_unregister(
                    self.port,
                    dpdk_sys::RTE_ETH_EVENT_INTR_LSC,
                    Some(changed),
                    state.cast_mut().cast(),
                )
            };
            if taken != -EAGAIN {
                // SAFETY: from `Arc::into_raw`; DPDK does not call with it any more.
                drop(unsafe { Arc::from_raw(state) });
                return;
            }
            // It is being called at this moment.
            thread::yield_now();
        }
        // DPDK may still use the state, so it stays.
    }

    /// Stops the port, and says whether the driver could.
    pub(super) fn stop(mut self, device: &Device) -> Result<(), PortError> {
        self.halt().map(drop).map_err(device.refused("stopping"))
    }

    fn halt(&mut self) -> Result<c_int, Errno> {
        self.unwatch();
        if !std::mem::take(&mut self.started) {
            return Ok(0);
        }
        // SAFETY: all queues of the port are gone: they hold what this is part of.
        errno::check(unsafe { dpdk_sys::rte_eth_dev_stop(self.port) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The port is closed next, which needs no success here.
        let _ = self.halt();
    }
}

/// Asks for the link and notes it down.
pub(super) fn refresh(device: &Device, state: &LinkState) -> Result<(), PortError> {
    let link = read(device.id())
        .map_err(|errno| device.fail(PortProblem::Refused { call: "reading the link", errno }))?;
    state.set(&link);
    Ok(())
}

fn read(port: u16) -> Result<rte_eth_link, Errno> {
    // SAFETY: numbers, which may all be zero.
    let mut link: rte_eth_link = unsafe { std::mem::zeroed() };
    // SAFETY: takes any number of a port; writes to `link` and does not wait.
    errno::check(unsafe { dpdk_sys::rte_eth_link_get_nowait(port, &raw mut link) })?;
    Ok(link)
}

/// Called by the EAL's interrupt thread.
unsafe extern "C" fn changed(
    port: u16,
    _: rte_eth_event_type,
    state: *mut c_void,
    _: *mut c_void,
) -> c_int {
    // SAFETY: registered with a pointer to it, which stays until the callback is taken back.
    let state = unsafe { &*state.cast::<LinkState>() };
    if let Ok(link) = read(port) {
        state.set(&link);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(status: u16, mbps: u32) -> rte_eth_link {
        // SAFETY: numbers, which may all be zero.
        let mut link: rte_eth_link = unsafe { std::mem::zeroed() };
        link.set_link_status(status);
        link.link_speed = mbps;
        link
    }

    #[test]
    fn a_link_counts_as_come_up_only_when_it_was_down() {
        let state = LinkState::default();
        for status in [0, 1, 1, 0, 1] {
            state.set(&link(status, 10_000));
        }
        assert_eq!((state.ups(), state.mbps()), (2, Some(10_000)));

        state.set(&link(0, 10_000));

        assert_eq!((state.is_up(), state.mbps()), (false, None));
    }

    #[test]
    fn what_the_driver_tells_of_a_port_that_is_not_there_changes_nothing() {
        let state = Arc::new(LinkState::default());
        let told = Arc::as_ptr(&state).cast_mut().cast();
        // SAFETY: `told` points to a state that outlives the call.
        let answer = unsafe {
            changed(u16::MAX, dpdk_sys::RTE_ETH_EVENT_INTR_LSC, told, std::ptr::null_mut())
        };
        assert_eq!((answer, state.ups()), (0, 0));
    }
}
