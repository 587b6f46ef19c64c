//! What there is to say of DPDK alone, and the wires that all stories use.

mod addresses;
mod churn;
mod endings;
mod messages;
mod queues;
mod router;
pub(crate) mod wire;
