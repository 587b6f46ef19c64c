//! What an appliance tells of ports that DPDK drives. Each test is a process of its own, in a network
//! namespace that ends with it, and takes ordinary memory.

mod scene;
mod statistics;
#[path = "../common/table.rs"]
mod table;
