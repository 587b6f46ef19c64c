//! What the appliance does, seen from outside, on every back-end.
//!
//! A story takes the back-end as a parameter; `on_every_backend!` makes a test of each pair.

mod answers;
mod chat;
mod client;
#[cfg(target_os = "linux")]
mod descriptors;
mod directed;
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

/// What carries the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// Sockets of the kernel over loopback.
    Kernel,
}

/// Makes a test of each named story for each back-end.
macro_rules! on_every_backend {
    ($($story:ident),+ $(,)?) => {
        mod kernel {
            $(
                #[test]
                fn $story() {
                    super::$story(crate::Backend::Kernel);
                }
            )+
        }
    };
}

pub(crate) use on_every_backend;
