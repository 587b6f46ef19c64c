//! Errors as DPDK returns them.

use std::error::Error;
use std::ffi::{CStr, c_int};
use std::fmt;

/// A number as in `errno.h`, or one of DPDK's own; always positive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    /// Of what a function returned: DPDK's return the negative number.
    pub(crate) fn of(returned: c_int) -> Self {
        Self(returned.saturating_abs())
    }

    /// What the last function of this thread that returned a null pointer or -1 left behind.
    pub(crate) fn last() -> Self {
        // SAFETY: reads a variable of the thread.
        Self::of(unsafe { dpdk_sys::shim_errno() })
    }

    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: takes any number, and returns a string of its own or of the thread's.
        let text = unsafe { dpdk_sys::rte_strerror(self.0) };
        if text.is_null() {
            return write!(f, "error {}", self.0);
        }
        // SAFETY: not null, ends in a zero, and stays as it is until this thread asks again.
        let text = unsafe { CStr::from_ptr(text) };
        write!(f, "{} (error {})", text.to_string_lossy(), self.0)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Errno {}

/// An error where a function returned a negative number.
pub(crate) fn check(returned: c_int) -> Result<c_int, Errno> {
    if returned < 0 { Err(Errno::of(returned)) } else { Ok(returned) }
}
