//! The stack, over a wire in memory, against a client with a TCP that is not ours.

mod connections;
mod counters;
mod edges;
mod faults;
mod full_port;
mod handover;
mod link;
mod neighbours;
mod scene;
mod station;
