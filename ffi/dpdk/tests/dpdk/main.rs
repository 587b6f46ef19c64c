//! DPDK as it is installed, over virtual devices, without huge pages unless a test is about them.
//!
//! An EAL starts once per process: `cargo nextest` gives each test a process of its own, while
//! `cargo test` has them all in one, where only the first would pass.

mod eal;
mod huge_pages;
mod lcores;
mod mbufs;
mod ports;
mod scene;
