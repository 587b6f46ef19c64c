//! The protocols of hioload as functions of bytes: an HTTP/1.1 request becomes an upgrade, and
//! WebSocket frames become messages and back.
//!
//! Bytes come in from whoever has read them, in any splits; events, refusals and encoded frames go
//! out to whoever will send them. Nothing in here knows a socket, reads a clock, waits, or
//! logs. What the network sends can be refused; it cannot panic, and it cannot make anything grow
//! beyond a limit that the caller set.
#![forbid(unsafe_code)]

pub mod http;
pub mod proxy;
pub mod ws;
