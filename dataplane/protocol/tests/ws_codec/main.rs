//! The codec as a whole: splits, broken frames, buffers, and another implementation as oracle.

mod broken;
#[path = "../broken_frames/mod.rs"]
mod broken_frames;
mod client;
mod gathering;
mod oracle;
mod splits;
