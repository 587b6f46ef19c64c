//! What there is to say of DPDK alone, and the wires that all stories use.

mod addresses;
mod churn;
mod crowd;
mod endings;
mod held;
mod memif;
mod messages;
mod packets;
mod queues;
mod relay;
mod router;
mod station;
mod strangers;
mod vanishing;
mod vlan;
pub(crate) mod wire;
mod xdp;
