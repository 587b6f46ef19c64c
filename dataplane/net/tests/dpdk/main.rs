//! Ports over DPDK's virtual devices. Each test is to have a process of its own (`cargo nextest`),
//! since DPDK starts once in one.

mod rings;
mod scene;
mod tap;
mod tcp;
