//! Kernel streams over loopback.

mod accepting;
mod connections;
#[cfg(target_os = "linux")]
mod descriptors;
mod random;
mod scene;
