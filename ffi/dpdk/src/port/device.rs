//! One port of DPDK's, held by one owner.

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;

use dpdk_sys::{rte_eth_dev_info, rte_ether_addr};

use super::error::{PortError, PortProblem};
use crate::eal::Eal;
use crate::errno::{self, Errno};

/// A port that nobody else in this process has. Closed when dropped, if it was ever configured.
#[derive(Debug)]
pub(crate) struct Device {
    id: u16,
    name: String,
    configured: bool,
    eal: Eal,
}

impl Device {
    pub(super) fn find(eal: &Eal, name: &str) -> Result<Self, PortError> {
        let fail = |problem| PortError { port: name.to_owned(), problem };
        let _control = eal.control();
        let candidates = [name.to_owned(), format!("0000:{name}")];
        let found = candidates.into_iter().find_map(|name| Some((lookup(&name)?, name)));
        let Some((id, name)) = found else {
            return Err(fail(PortProblem::NotFound { found: names() }));
        };
        if !eal.claim_port(id) {
            return Err(fail(PortProblem::InUse));
        }
        Ok(Self { id, name, configured: false, eal: eal.clone() })
    }

    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn configured(&mut self) {
        self.configured = true;
    }

    pub(super) fn fail(&self, problem: PortProblem) -> PortError {
        PortError { port: self.name.clone(), problem }
    }

    /// Gives an error the port's name and what was asked of it.
    pub(super) fn refused(&self, call: &'static str) -> impl FnOnce(Errno) -> PortError {
        move |errno| self.fail(PortProblem::Refused { call, errno })
    }

    pub(super) fn mac(&self) -> Result<[u8; 6], PortError> {
        let mut mac = rte_ether_addr { addr_bytes: [0; 6] };
        // SAFETY: the port is ours; DPDK writes to `mac`.
        let got = unsafe { dpdk_sys::rte_eth_macaddr_get(self.id, &raw mut mac) };
        errno::check(got).map_err(self.refused("reading the address"))?;
        Ok(mac.addr_bytes)
    }

    pub(super) fn node(&self) -> Option<u32> {
        // SAFETY: takes any number.
        u32::try_from(unsafe { dpdk_sys::rte_eth_dev_socket_id(self.id) }).ok()
    }

    pub(super) fn info(&self) -> Result<rte_eth_dev_info, PortError> {
        let mut info = MaybeUninit::<rte_eth_dev_info>::zeroed();
        // SAFETY: the port is ours; DPDK writes to `info`.
        let got = unsafe { dpdk_sys::rte_eth_dev_info_get(self.id, info.as_mut_ptr()) };
        errno::check(got).map_err(self.refused("reading what it can do"))?;
        // SAFETY: numbers and pointers, all of which may be zero; and DPDK has filled them in.
        Ok(unsafe { info.assume_init() })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.configured {
            // SAFETY: stopped, as `Link` is dropped first, and without queues, which would hold the
            // port. An error has nobody to go to: the port is of no use either way.
            unsafe { dpdk_sys::rte_eth_dev_close(self.id) };
        }
        self.eal.release_port(self.id);
    }
}

fn lookup(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let mut id = 0;
    // SAFETY: a string that ends in a zero; DPDK writes to `id`.
    let found = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    (found == 0).then_some(id)
}

fn names() -> Vec<String> {
    (0..u16::try_from(dpdk_sys::RTE_MAX_ETHPORTS).unwrap_or(u16::MAX)).filter_map(name_of).collect()
}

fn name_of(id: u16) -> Option<String> {
    let mut name: [c_char; dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize] =
        [0; dpdk_sys::RTE_ETH_NAME_MAX_LEN as usize];
    // SAFETY: takes any number; names are shorter than the room for them.
    if unsafe { dpdk_sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: DPDK has written a string that ends in a zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Some(name.to_string_lossy().into_owned())
}
