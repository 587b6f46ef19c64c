//! What there is to say of DPDK alone, and the wires that all stories use.

pub(crate) mod wire;
