//! What hioload needs of unsafe code on every platform.
#![deny(unsafe_op_in_unsafe_fn)]

mod unmask;

pub use unmask::{unmask, unmask_portable};
