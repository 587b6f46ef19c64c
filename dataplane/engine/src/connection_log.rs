//! The log of connections: a line for each session that has ended, so many a second at most.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hioload_protocol::ws::{CloseCode, FirstClose};
use tracing::{Level, enabled, info};

use crate::counters::Counters;
use crate::moment::Moment;
use crate::session::SessionId;

/// What is known of a session when it has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedSession {
    pub(crate) id: SessionId,
    pub(crate) opened: Moment,
    pub(crate) messages_received: u64,
    pub(crate) first_close: Option<FirstClose>,
    /// Both sides have sent a Close.
    pub(crate) answered: bool,
    /// The client has not answered a ping.
    pub(crate) pong_timed_out: bool,
}

impl EndedSession {
    /// Who or what ended it.
    fn cause(&self) -> &'static str {
        match self.first_close {
            Some(FirstClose::Theirs(_)) => "client",
            Some(FirstClose::Ours(_)) => "server",
            Some(FirstClose::Failure(_)) => "protocol error",
            None if self.pong_timed_out => "pong timeout",
            None => "connection lost",
        }
    }

    /// The code of the first Close: 1005 where it had none, 1006 where there was no Close (RFC 6455
    /// section 7.1.5).
    fn code(&self) -> u16 {
        match self.first_close {
            Some(FirstClose::Theirs(code) | FirstClose::Ours(code) | FirstClose::Failure(code)) => {
                code.map_or(1005, CloseCode::get)
            }
            None => 1006,
        }
    }
}

/// What is known of its connection; its HTTP request counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedConnection {
    pub(crate) client: SocketAddr,
    /// Since the upgrade.
    pub(crate) duration: Duration,
    pub(crate) bytes_received: u64,
    pub(crate) messages_sent: u64,
    pub(crate) bytes_sent: u64,
}

/// Lines are counted in seconds that begin with the first line of each.
const SECOND: Duration = Duration::from_secs(1);

/// One worker's share of the log.
#[derive(Debug)]
pub(crate) struct ConnectionLog {
    /// Lines in a second; 0 is no log.
    lines_max: u32,
    lines: u32,
    second: Instant,
    /// Sessions without a line since the last that had one.
    left_out: u64,
}

impl ConnectionLog {
    pub(crate) fn new(lines_max: u32, now: Instant) -> Self {
        Self { lines_max, lines: 0, second: now, left_out: 0 }
    }

    /// Notes the end of a session. For one too many in this second nothing is written or put
    /// together; it is counted.
    pub(crate) fn session(
        &mut self,
        now: Instant,
        session: &EndedSession,
        connection: EndedConnection,
        counters: &Counters,
    ) {
        if self.lines_max == 0 || !enabled!(Level::INFO) {
            return;
        }
        self.report(now);
        if !self.takes(now) {
            counters.session_ends_unlogged.add(1);
            return;
        }
        info!(
            session = %session.id,
            client = %connection.client,
            duration_s = connection.duration.as_millis() as f64 / 1e3,
            messages_received = session.messages_received,
            bytes_received = connection.bytes_received,
            messages_sent = connection.messages_sent,
            bytes_sent = connection.bytes_sent,
            cause = session.cause(),
            code = session.code(),
            answered = session.answered,
            "session ended"
        );
    }

    /// When [`report`](Self::report) has something to say, if ever.
    pub(crate) fn next_report(&self) -> Option<Instant> {
        (self.left_out > 0).then(|| self.second + SECOND)
    }

    /// Says how many sessions were left out in a second that has passed.
    pub(crate) fn report(&mut self, now: Instant) {
        if self.next_report().is_some_and(|due| due <= now) {
            self.finish();
        }
    }

    /// Says how many sessions were left out.
    pub(crate) fn finish(&mut self) {
        if self.left_out > 0 {
            let sessions = std::mem::take(&mut self.left_out);
            info!(sessions, "more sessions ended than control.connection_log has lines for");
        }
    }

    fn takes(&mut self, now: Instant) -> bool {
        if now >= self.second + SECOND {
            self.second = now;
            self.lines = 0;
        }
        let takes = self.lines < self.lines_max;
        if takes {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_what_is_left_out_is_reported_after_it() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut log = ConnectionLog::new(2, start);
        let taken = [0, 10, 999, 999].map(|millis| log.takes(at(millis)));
        assert_eq!(taken, [true, true, false, false]);
        assert_eq!((log.left_out, log.next_report()), (2, Some(at(1000))));

        log.report(at(999));
        assert_eq!(log.left_out, 2, "the second is not over");
        log.report(at(1000));
        assert_eq!((log.left_out, log.next_report()), (0, None));

        let taken = [1700, 2699, 2699, 2700].map(|millis| log.takes(at(millis)));
        assert_eq!(taken, [true, true, false, true]);
        assert_eq!(log.left_out, 1);
    }
}
