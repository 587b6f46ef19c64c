//! Broadcast servers on other WebSocket libraries, as `ci/bench` runs them beside hioload.
//!
//! What a client sends goes to all clients, its sender included, at any path. Each server is
//! written as its library's users would write it if they cared for speed: one thread, a task and a
//! queue per connection, the payload shared as far as the library lets it be, everything queued
//! written into one buffer and flushed once. Here is what the servers share; the binaries are
//! what differs.
//!
//! Comes in: a TCP connection. Goes out: calls of the binary's own function for connections.
//! Never happens here: anything of WebSocket.
#![forbid(unsafe_code)]

mod hub;
mod server;

pub use hub::{Hub, Member};
pub use server::{Flags, serve};
