//! How many sessions the file descriptors of this process allow.

use hioload_config::{AdminAddress, Config, ListenAddress, SessionsMax};
use tracing::{debug, warn};

/// Standard streams, log, signals, the pollers of control and admin threads, and what a host
/// process of the library may have open.
const DESCRIPTORS_OF_PROCESS: usize = 32;

/// Connections that the admin interface serves at once, and its listening socket.
const DESCRIPTORS_OF_ADMIN: usize = 65;

/// A worker's poller and its waker.
const DESCRIPTORS_PER_WORKER: usize = 2;

/// Connections that are no sessions: on their way in, on their way out, asking for pages. They are
/// a sixteenth of what there is, within these bounds.
const OTHER_CONNECTIONS_MIN: usize = 16;
const OTHER_CONNECTIONS_MAX: usize = 1024;

/// The limit of sessions that will hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) value: SessionsMax,
    /// The limit of the configuration, where descriptors do not allow it.
    lowered_from: Option<usize>,
}

impl Holding {
    /// Tells the log what came of the descriptors.
    pub(crate) fn report(self, descriptors: Option<usize>) {
        let (SessionsMax::Count(sessions_max), Some(descriptors)) = (self.value, descriptors)
        else {
            return;
        };
        match self.lowered_from {
            Some(configured) => warn!(
                sessions_max,
                configured,
                descriptors,
                "limits.sessions_max is lowered to what the file descriptors allow"
            ),
            None => debug!(sessions_max, descriptors, "sessions are limited"),
        }
    }
}

/// What holds for `limits.sessions_max` where this process may have so many `descriptors`; `None`
/// where the system has no such limit.
pub(crate) fn sessions_max(config: &Config, descriptors: Option<usize>) -> Holding {
    let wanted = config.limits.sessions_max;
    let possible = descriptors.map(|descriptors| sessions_possible(config, descriptors));
    let (value, lowered_from) = match (wanted, possible) {
        (SessionsMax::Auto, Some(possible)) => (SessionsMax::Count(possible), None),
        (SessionsMax::Count(configured), Some(possible)) if configured > possible => {
            (SessionsMax::Count(possible), Some(configured))
        }
        (wanted, _) => (wanted, None),
    };
    Holding { value, lowered_from }
}

/// One at least, however few descriptors there are.
fn sessions_possible(config: &Config, descriptors: usize) -> usize {
    let listeners = config.server.listen.iter().flat_map(ListenAddress::socket_addresses).count();
    let admin = match config.control.admin {
        AdminAddress::Off => 0,
        AdminAddress::Tcp(_) | AdminAddress::Unix(_) => DESCRIPTORS_OF_ADMIN,
    };
    let own = DESCRIPTORS_OF_PROCESS
        + admin
        + config.server.workers * (DESCRIPTORS_PER_WORKER + listeners);
    let others = (descriptors / 16).clamp(OTHER_CONNECTIONS_MIN, OTHER_CONNECTIONS_MAX);
    descriptors.saturating_sub(own + others).max(1)
}

/// The number of descriptors that this process may have now; `None` where the system has no such
/// limit, or does not tell.
pub(crate) fn soft_limit() -> Option<usize> {
    #[cfg(unix)]
    return rlimit::Resource::NOFILE.get_soft().ok().and_then(|limit| usize::try_from(limit).ok());
    #[cfg(not(unix))]
    return None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sessions_max: SessionsMax) -> Config {
        let mut config = Config::default();
        config.server.workers = 4;
        config.limits.sessions_max = sessions_max;
        config
    }

    fn holding(wanted: SessionsMax, descriptors: Option<usize>) -> (SessionsMax, Option<usize>) {
        let Holding { value, lowered_from } = sessions_max(&config(wanted), descriptors);
        (value, lowered_from)
    }

    #[test]
    fn by_default_descriptors_decide_and_some_are_kept_for_others() {
        // Two addresses and two more descriptors for each of four workers.
        let possible = 20_000 - 32 - 65 - 16 - 1024;
        let auto = holding(SessionsMax::Auto, Some(20_000));
        assert_eq!(auto, (SessionsMax::Count(possible), None));
        assert_eq!(holding(SessionsMax::Auto, Some(8)).0, SessionsMax::Count(1));
        assert_eq!(holding(SessionsMax::Auto, None).0, SessionsMax::Auto);
    }

    #[test]
    fn a_number_that_cannot_be_kept_is_lowered_and_any_other_stays() {
        let wanted = SessionsMax::Count(900);
        assert_eq!(holding(wanted, Some(1024)), (SessionsMax::Count(847), Some(900)));
        for descriptors in [Some(4096), None] {
            assert_eq!(holding(wanted, descriptors), (wanted, None));
        }
    }

    #[test]
    fn no_limit_stays_no_limit() {
        assert_eq!(holding(SessionsMax::Off, Some(64)), (SessionsMax::Off, None));
    }
}
