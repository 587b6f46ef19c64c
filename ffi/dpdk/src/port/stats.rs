//! Counters of a port.

use std::ffi::CStr;
use std::mem;
use std::ptr;

use dpdk_sys::{rte_eth_stats, rte_eth_xstat, rte_eth_xstat_name};

use super::device::Device;
use super::error::PortError;
use crate::errno;

/// Counts of all queues since the port was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames that came in.
    pub frames_in: u64,
    /// Bytes of these.
    pub bytes_in: u64,
    /// Frames that went out.
    pub frames_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
    /// Frames lost because nobody fetched them in time.
    pub missed: u64,
    /// Frames lost because they were broken.
    pub errors_in: u64,
    /// Frames that could not be sent.
    pub errors_out: u64,
    /// Times that the pool had no mbuf to receive into.
    pub no_mbuf: u64,
}

pub(super) fn basic(device: &Device) -> Result<PortStats, PortError> {
    // SAFETY: numbers, which may all be zero.
    let mut stats: rte_eth_stats = unsafe { mem::zeroed() };
    // SAFETY: the port is ours; DPDK writes to `stats`.
    let got = unsafe { dpdk_sys::rte_eth_stats_get(device.id(), &raw mut stats) };
    errno::check(got).map_err(device.refused("reading statistics"))?;
    Ok(PortStats {
        frames_in: stats.ipackets,
        bytes_in: stats.ibytes,
        frames_out: stats.opackets,
        bytes_out: stats.obytes,
        missed: stats.imissed,
        errors_in: stats.ierrors,
        errors_out: stats.oerrors,
        no_mbuf: stats.rx_nombuf,
    })
}

pub(super) fn extended(device: &Device) -> Result<Vec<(String, u64)>, PortError> {
    const CALL: &str = "reading extended statistics";
    // SAFETY: with no room, DPDK only says how many there are.
    let count = unsafe { dpdk_sys::rte_eth_xstats_get(device.id(), ptr::null_mut(), 0) };
    let count = errno::check(count).map_err(device.refused(CALL))?.cast_unsigned();

    let mut names = vec![rte_eth_xstat_name { name: [0; 64] }; count as usize];
    // SAFETY: there is room for so many names.
    let named =
        unsafe { dpdk_sys::rte_eth_xstats_get_names(device.id(), names.as_mut_ptr(), count) };
    let named = errno::check(named).map_err(device.refused(CALL))?.cast_unsigned();

    let mut values = vec![rte_eth_xstat { id: 0, value: 0 }; count as usize];
    // SAFETY: there is room for so many values.
    let valued = unsafe { dpdk_sys::rte_eth_xstats_get(device.id(), values.as_mut_ptr(), count) };
    let valued = errno::check(valued).map_err(device.refused(CALL))?.cast_unsigned();

    // More than there is room for are none at all, for DPDK; the count is fixed in every driver.
    let filled = if named > count || valued > count { 0 } else { named.min(valued) as usize };
    Ok(values[..filled]
        .iter()
        .filter_map(|stat| Some((name(names.get(usize::try_from(stat.id).ok()?)?), stat.value)))
        .collect())
}

fn name(name: &rte_eth_xstat_name) -> String {
    // SAFETY: DPDK ends a name with a zero within its 64 bytes, which were zero before.
    let name = unsafe { CStr::from_ptr(name.name.as_ptr()) };
    name.to_string_lossy().into_owned()
}
