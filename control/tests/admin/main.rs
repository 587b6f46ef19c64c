//! The admin interface, asked over real sockets.

mod bounds;
mod client;
mod endpoints;
mod metrics;
mod protection;
mod scene;
mod sessions;
#[path = "../common/table.rs"]
mod table;
#[cfg(unix)]
mod unix_socket;
