//! Systems on which threads cannot be pinned, or not by us.

use std::io::{self, ErrorKind};

/// There is none.
#[derive(Debug)]
pub(super) enum Mask {}

impl Mask {
    pub(super) fn of_thread() -> io::Result<Self> {
        Err(io::Error::new(ErrorKind::Unsupported, "threads cannot be pinned on this system"))
    }

    pub(super) fn of_cpu(_: usize) -> io::Result<Self> {
        Self::of_thread()
    }

    pub(super) fn cpus(&self) -> Vec<usize> {
        match *self {}
    }

    pub(super) fn apply(&self) -> io::Result<()> {
        match *self {}
    }
}
