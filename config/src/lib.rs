//! The configuration of hioload: a TOML file in, a checked [`Config`] out.
//!
//! In comes the text of a file. Out comes a [`Config`] that keeps every rule, or a [`ConfigError`]
//! that names every fault by file, line, column and key. A configuration that is built in code, or
//! changed by flags, passes the same rules through [`Config::validate`].
//!
//! ```text
//! text -> syntax -> read --(every key of schema, each of a kind)--> Config -> check -> Config
//!                                                                  print <-----'
//! ```
//!
//! - `config`, `dpdk`, `cpus`, `listen`, `secret`: the checked types, their meaning and defaults
//! - `schema`: the one list of all keys, with their bounds
//! - `kind`, `size`, `duration`: how a value of each kind is read, checked and printed
//! - `syntax`, `read`, `suggest`: from text to values, with the place of every fault
//! - `check`: the rules between keys
//! - `capacity`, `lcores`: what the ports of DPDK need, and which CPUs serve them
//! - `print`: the configuration as TOML
//! - `error`: faults and how they read
//!
//! Nothing here opens a socket, resolves a name or reads the environment; [`Config::load`] reads
//! the one file it is given. `examples/reference.toml` documents every key.
#![forbid(unsafe_code)]

pub mod capacity;
mod check;
mod config;
mod cpus;
mod dpdk;
mod duration;
mod error;
mod kind;
mod lcores;
mod listen;
mod path;
mod print;
mod read;
mod schema;
mod secret;
mod size;
mod suggest;
mod syntax;

pub use capacity::{Capacity, CapacityError};
pub use config::{
    AdminAddress, Broadcast, ClientAddress, Config, Control, Datapath, Limits, LogFormat, LogLevel,
    Origins, Publish, Server, SessionsMax, SlowConsumer, Tcp, WORKERS_MAX, WebSocket,
};
pub use cpus::Cpus;
pub use dpdk::{
    Device, Dpdk, Idle, LCORES_MAX, Lcore, Lcores, Memory, Offloads, PORTS_MAX, Port, Route,
};
pub use error::{ConfigError, Fault, Place};
pub use ipnet::IpNet;
pub use kind::AdminAddressError;
pub use lcores::{Host, place_lcores};
pub use listen::{ListenAddress, ListenAddressError};
pub use path::{PathError, check_path};
pub use secret::Secret;
