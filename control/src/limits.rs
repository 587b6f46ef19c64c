//! File descriptors: every client takes one.

use std::io;

use tracing::{info, warn};

/// Below this many the limit is most likely an oversight.
const DESCRIPTORS_MIN: u64 = 1024;

/// Raises the soft limit of file descriptors to the hard one, and gives the limit that holds then.
/// `None` on systems that have no such limit.
pub(crate) fn raise_descriptors() -> Option<io::Result<u64>> {
    #[cfg(unix)]
    return Some(rlimit::increase_nofile_limit(u64::MAX));
    #[cfg(not(unix))]
    return None;
}

/// Logs the limit, which was taken before there was anything worth the first line.
pub(crate) fn report(descriptors: &Option<io::Result<u64>>) {
    match descriptors {
        None => {}
        Some(Ok(limit)) if *limit < DESCRIPTORS_MIN => warn!(
            limit,
            "few file descriptors: every client takes one; raise the hard limit (ulimit -Hn, \
             LimitNOFILE= in a systemd unit)"
        ),
        Some(Ok(limit)) => info!(limit, "file descriptors, one for each client"),
        Some(Err(error)) => warn!(%error, "the limit of file descriptors could not be raised"),
    }
}
