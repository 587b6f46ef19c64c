//! Raw bindings to the installed libdpdk (22.11 or later), as far as hioload needs them: Linux
//! only. `hioload-dpdk` makes them safe.
//!
//! What is bound is named in `build.rs`. Functions whose names begin with `shim_` are those that
//! DPDK has inline only; constants with `SHIM_` are macros that the generator cannot read. They
//! are in `c/shim.h`.

#[expect(
    missing_docs,
    non_camel_case_types,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::cast_possible_truncation,
    clippy::multiple_unsafe_ops_per_block,
    clippy::semicolon_if_nothing_returned,
    clippy::undocumented_unsafe_blocks,
    reason = "generated, with the names of the C headers, where they are explained"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;

/// What `hioload-dpdk` takes for granted where it reads an mbuf without a call. The generated code
/// asserts that each field lies where the C compiler puts it; these are about what that means.
const _: () = {
    use std::mem::{align_of, offset_of, size_of};

    const CACHE_LINE: usize = 64;

    // What is read of a received frame lies in one cache line.
    assert!(offset_of!(rte_mbuf, buf_addr) == 0);
    assert!(offset_of!(rte_mbuf, data_off) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, refcnt) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, nb_segs) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, ol_flags) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, pkt_len) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, data_len) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, vlan_tci) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, buf_len) < CACHE_LINE);
    assert!(offset_of!(rte_mbuf, pool) < CACHE_LINE);
    assert!(size_of::<rte_mbuf>() == 2 * CACHE_LINE && align_of::<rte_mbuf>() == CACHE_LINE);

    // `tx_offload` as one number: seven bits of link header, nine of IP header above them.
    assert!(size_of::<rte_mbuf__bindgen_ty_3>() == size_of::<u64>());
    assert!(SHIM_MBUF_L2_LEN_BITS == 7 && SHIM_MBUF_L3_LEN_BITS == 9);
    assert!(cfg!(target_endian = "little"));
};
