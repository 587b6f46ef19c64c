//! Two ports that are each other's wire, within one process.

use std::ffi::CString;
use std::ptr::NonNull;

use dpdk_sys::rte_ring;

use super::Port;
use super::error::{PortError, PortProblem};
use crate::eal::Eal;
use crate::errno::Errno;

/// Frames that each direction holds.
const RING_FRAMES: u32 = 1024;

/// Makes two ports of one queue pair each, `NAME0` and `NAME1` behind DPDK's prefix: what is sent
/// through one is received through the other, in the same mbuf. For tests and measurements.
///
/// # Errors
/// When DPDK refuses, as for a name that is taken or too long (16 bytes are not).
pub fn ring_pair(eal: &Eal, name: &str) -> Result<(Port, Port), PortError> {
    let names = [format!("{name}0"), format!("{name}1")];
    let forth = ring(&names[0])?;
    let back = ring(&names[1])?;
    let first = port(eal, &names[0], back, forth)?;
    let second = port(eal, &names[1], forth, back)?;
    Ok((first, second))
}

/// A ring, which stays for as long as the EAL: the driver has no word for when it is done with it.
fn ring(name: &str) -> Result<NonNull<rte_ring>, PortError> {
    let c_name = c_name(name)?;
    const ONE_PRODUCER_ONE_CONSUMER: u32 = 1 | 2;
    // SAFETY: a string that ends in a zero.
    let ring = unsafe {
        dpdk_sys::rte_ring_create(
            c_name.as_ptr(),
            RING_FRAMES,
            dpdk_sys::SHIM_SOCKET_ID_ANY,
            ONE_PRODUCER_ONE_CONSUMER,
        )
    };
    NonNull::new(ring).ok_or_else(|| refused(name, "making a ring", Errno::last()))
}

fn port(
    eal: &Eal,
    name: &str,
    rx: NonNull<rte_ring>,
    tx: NonNull<rte_ring>,
) -> Result<Port, PortError> {
    let c_name = c_name(name)?;
    let (mut rx, mut tx) = (rx.as_ptr(), tx.as_ptr());
    let control = eal.control();
    // SAFETY: one ring either way, which stay; the lists of them are copied.
    let made =
        unsafe { dpdk_sys::rte_eth_from_rings(c_name.as_ptr(), &raw mut rx, 1, &raw mut tx, 1, 0) };
    drop(control);
    if made < 0 {
        return Err(refused(name, "making a port of rings", Errno::last()));
    }
    Port::find(eal, &format!("net_ring_{name}"))
}

fn c_name(name: &str) -> Result<CString, PortError> {
    const EINVAL: i32 = 22;
    CString::new(name).map_err(|_| refused(name, "naming a ring", Errno::of(EINVAL)))
}

fn refused(name: &str, call: &'static str, errno: Errno) -> PortError {
    PortError { port: name.to_owned(), problem: PortProblem::Refused { call, errno } }
}
