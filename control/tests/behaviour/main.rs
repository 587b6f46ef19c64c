//! What the appliance does, seen from outside, on every back-end.
//!
//! A story takes the back-end as a parameter; `on_every_backend!` makes a test of each pair. With
//! `--features dpdk` there is a module `dpdk` of them beside `kernel`.

mod answers;
mod backend;
mod chat;
mod client;
#[cfg(target_os = "linux")]
mod descriptors;
mod directed;
#[cfg(feature = "dpdk")]
mod dpdk;
mod drain;
mod garbage;
mod handlers;
mod lifecycle;
mod limits;
mod mesh;
mod pages;
mod process;
mod proxies;
mod routes;
mod scene;
#[path = "../common/signals.rs"]
mod signals;
mod slow;
mod timeouts;
mod tungstenite;

pub(crate) use backend::{Backend, on_every_backend, on_the_kernel_alone};
