//! Raw bindings to libnuma 2 (`numa.h`, `numaif.h`), as far as hioload needs them: Linux only, and
//! empty elsewhere. `hioload-mem` makes them safe.
//!
//! Written by hand: a handful of functions with stable symbols need no generator.
#![cfg(target_os = "linux")]

use std::ffi::{c_int, c_long, c_uint, c_ulong, c_void};

/// Policy: from this node while it has some, else from the nearest one (`numaif.h`).
pub const MPOL_PREFERRED: c_int = 1;
/// For `get_mempolicy`: of the memory at an address, not of the thread.
pub const MPOL_F_ADDR: c_uint = 1 << 1;

/// `struct bitmask`, only ever behind a pointer.
#[repr(C)]
#[derive(Debug)]
pub struct Bitmask {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    /// Whether the system has NUMA; negative when not, and no other function may be called then.
    pub fn numa_available() -> c_int;
    /// The highest number of a node.
    pub fn numa_max_node() -> c_int;
    /// The node of a CPU, or -1. Fills lists of the library's without a lock.
    pub fn numa_node_of_cpu(cpu: c_int) -> c_int;
    /// The nodes from which this process may have memory; to be freed with `numa_bitmask_free`.
    pub fn numa_get_mems_allowed() -> *mut Bitmask;
    /// 1 when bit `n` is set; 0 when not, or when there is none.
    pub fn numa_bitmask_isbitset(mask: *const Bitmask, n: c_uint) -> c_int;
    /// Frees a mask.
    pub fn numa_bitmask_free(mask: *mut Bitmask);
    /// `mbind(2)`: the policy of a range of memory. -1 and `errno` on failure.
    pub fn mbind(
        start: *mut c_void,
        bytes: c_ulong,
        mode: c_int,
        nodes: *const c_ulong,
        nodes_max: c_ulong,
        flags: c_uint,
    ) -> c_long;
    /// `get_mempolicy(2)`. -1 and `errno` on failure.
    pub fn get_mempolicy(
        mode: *mut c_int,
        nodes: *mut c_ulong,
        nodes_max: c_ulong,
        address: *mut c_void,
        flags: c_uint,
    ) -> c_long;
}
