//! File descriptors: every client takes one.

/// Raises the soft limit of file descriptors to what so many clients take.
///
/// # Errors
/// That it does not suffice, and what would.
#[cfg(unix)]
pub(crate) fn make_room(clients: usize, threads: usize) -> Result<(), String> {
    /// Standard streams, pollers and wakers, the files of `/proc`.
    const OTHERS: u64 = 32;
    const OTHERS_PER_THREAD: u64 = 4;
    let needed = clients as u64 + threads as u64 * OTHERS_PER_THREAD + OTHERS;
    let limit = rlimit::increase_nofile_limit(u64::MAX)
        .map_err(|error| format!("the limit of file descriptors cannot be raised: {error}"))?;
    if needed <= limit {
        return Ok(());
    }
    let fit = limit.saturating_sub(threads as u64 * OTHERS_PER_THREAD + OTHERS);
    Err(format!(
        "{clients} connections need {needed} file descriptors and this process may have {limit}: use \
         --connections {fit}, or raise the hard limit (ulimit -Hn)"
    ))
}

/// There is no such limit.
#[cfg(not(unix))]
pub(crate) fn make_room(_clients: usize, _threads: usize) -> Result<(), String> {
    Ok(())
}
