//! The configuration of hioload.
#![forbid(unsafe_code)]

mod config;
mod listen;
mod secret;

pub use config::{
    AdminAddress, Broadcast, Config, Control, Datapath, Limits, LogFormat, LogLevel, Origins,
    Server, Tcp, WebSocket,
};
pub use listen::{ListenAddress, ListenAddressError};
pub use secret::Secret;
