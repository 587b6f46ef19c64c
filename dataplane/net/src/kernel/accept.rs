//! Listening sockets of one thread: accepting within a budget, and pausing when the process has
//! no file descriptor left.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

/// After this long accepting is tried again; twice as long after each further failure.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Pauses that follow one another at the limit are logged no more often than this.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Listening sockets, and whether they may have connections to accept.
pub(super) struct Listeners {
    sockets: Vec<Listener>,
    /// Which socket has the first turn; it moves on, so that a storm on one starves no other.
    turn: usize,
    /// Accepting is paused until then.
    paused_until: Option<Instant>,
    retry_after: Duration,
    /// Descriptors had run out when accepting was last tried.
    exhausted: bool,
    logged_at: Option<Instant>,
    counts: AcceptCounts,
}

/// What went wrong on the way to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AcceptCounts {
    pub(super) pauses: u64,
    pub(super) errors: u64,
}

struct Listener {
    socket: TcpListener,
    /// Readiness is reported by edge: this stays until `accept` says that there is no more.
    ready: bool,
}

impl Listeners {
    /// Takes the sockets over and registers them.
    pub(super) fn new(sockets: Vec<TcpListener>, registry: &Registry) -> io::Result<Self> {
        let mut sockets: Vec<Listener> =
            sockets.into_iter().map(|socket| Listener { socket, ready: false }).collect();
        for (number, listener) in sockets.iter_mut().enumerate() {
            registry.register(&mut listener.socket, token(number), Interest::READABLE)?;
        }
        Ok(Self {
            sockets,
            turn: 0,
            paused_until: None,
            retry_after: RETRY_MIN,
            exhausted: false,
            logged_at: None,
            counts: AcceptCounts::default(),
        })
    }

    /// Notes an event, when it is one of a listening socket; `false` when it is not.
    pub(super) fn note(&mut self, event: Token) -> bool {
        let Some(number) = number_of(event) else { return false };
        if let Some(listener) = self.sockets.get_mut(number) {
            listener.ready = true;
        }
        true
    }

    /// How long there is nothing to accept, as far as is known; `None` until an event tells.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        let ready = self.sockets.iter().any(|listener| listener.ready);
        ready.then(|| self.paused_until.map_or(Duration::ZERO, |at| at.duration_since(now)))
    }

    /// Whether descriptors have run out.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// A descriptor has become free: accepts again, if that was paused.
    pub(super) fn resume(&mut self) {
        self.paused_until = None;
    }

    /// Accepts up to `budget` connections and hands them to `sink`.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        budget: usize,
        mut sink: impl FnMut(TcpStream, SocketAddr),
    ) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.turn = self.turn.wrapping_add(1);
        let mut left = budget;
        for nth in 0..self.sockets.len() {
            let number = self.turn.wrapping_add(nth) % self.sockets.len();
            while left > 0 && self.sockets[number].ready {
                left -= 1;
                match self.sockets[number].socket.accept() {
                    Ok((stream, peer)) => {
                        self.has_descriptors();
                        sink(stream, peer);
                    }
                    Err(error) => self.failed(number, now, &error),
                }
                if self.paused_until.is_some() {
                    return;
                }
            }
        }
    }

    /// Closes the sockets: the kernel refuses connections from here on.
    pub(super) fn close(&mut self) {
        self.sockets.clear();
        self.has_descriptors();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sockets.is_empty()
    }

    pub(super) fn counts(&self) -> AcceptCounts {
        self.counts
    }

    fn has_descriptors(&mut self) {
        self.paused_until = None;
        self.retry_after = RETRY_MIN;
        self.exhausted = false;
    }

    fn failed(&mut self, number: usize, now: Instant, error: &io::Error) {
        match Failure::of(error) {
            Failure::Drained => {
                self.has_descriptors();
                self.sockets[number].ready = false;
            }
            Failure::Interrupted => {}
            Failure::Connection => self.counts.errors += 1,
            Failure::Exhausted => {
                self.counts.pauses += u64::from(!self.exhausted);
                self.exhausted = true;
                self.pause(now);
                self.log("accepting is paused until a connection closes", now, error);
            }
            Failure::Unknown => {
                self.counts.errors += 1;
                self.pause(now);
                self.log("accepting is paused for a moment", now, error);
            }
        }
    }

    fn pause(&mut self, now: Instant) {
        self.paused_until = Some(now + self.retry_after);
        self.retry_after = (self.retry_after * 2).min(RETRY_MAX);
    }

    fn log(&mut self, what: &str, now: Instant, error: &io::Error) {
        if self.logged_at.is_none_or(|at| now.duration_since(at) >= LOG_INTERVAL) {
            self.logged_at = Some(now);
            tracing::warn!(%error, "{what}");
        }
    }
}

/// Listeners have the highest tokens but for the waker's; flows have the lowest.
fn token(number: usize) -> Token {
    Token(usize::MAX - 1 - number)
}

/// More listening sockets than anybody has addresses.
const LISTENERS_MAX: usize = 1 << 16;

fn number_of(token: Token) -> Option<usize> {
    let number = (usize::MAX - 1).checked_sub(token.0)?;
    (number < LISTENERS_MAX).then_some(number)
}

/// Why `accept` gave no connection.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// There is none.
    Drained,
    Interrupted,
    /// The connection was lost before it was accepted; there may be others.
    Connection,
    /// The process or the host has no descriptor or no memory for it.
    Exhausted,
    Unknown,
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        if error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) {
            return Self::Exhausted;
        }
        match error.kind() {
            Kind::WouldBlock => Self::Drained,
            Kind::Interrupted => Self::Interrupted,
            Kind::OutOfMemory => Self::Exhausted,
            // Linux reports what happened to the connection meanwhile, and what a firewall says
            // (accept(2), "Error handling").
            Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::TimedOut
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::PermissionDenied => Self::Connection,
            _ if error.raw_os_error() == PROTOCOL_ERROR => Self::Connection,
            _ => Self::Unknown,
        }
    }
}

#[cfg(unix)]
const EXHAUSTED: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
/// `WSAEMFILE` and `WSAENOBUFS`.
#[cfg(windows)]
const EXHAUSTED: [i32; 2] = [10024, 10055];

#[cfg(unix)]
const PROTOCOL_ERROR: Option<i32> = Some(libc::EPROTO);
#[cfg(windows)]
const PROTOCOL_ERROR: Option<i32> = None;

#[cfg(test)]
mod tests {
    use std::net::TcpStream as Client;

    use super::*;
    use crate::kernel::poller::Poller;

    fn listening(addresses: usize) -> (Poller, Listeners, Vec<SocketAddr>) {
        let poller = Poller::new().expect("a poller");
        let bind = |_| TcpListener::bind("127.0.0.1:0".parse().expect("an address"));
        let sockets: Vec<_> = (0..addresses).map(|n| bind(n).expect("a listener")).collect();
        let bound = sockets.iter().map(|s| s.local_addr().expect("an address")).collect();
        let listeners = Listeners::new(sockets, poller.registry()).expect("registered");
        (poller, listeners, bound)
    }

    fn wait(poller: &mut Poller, listeners: &mut Listeners) {
        let events = poller.wait(Some(Duration::from_secs(10))).expect("a wait");
        events.for_each(|event| assert!(listeners.note(event.token())));
    }

    fn accept(listeners: &mut Listeners, budget: usize) -> usize {
        let mut accepted = 0;
        listeners.accept(Instant::now(), budget, |_, _| accepted += 1);
        accepted
    }

    #[test]
    fn what_the_budget_leaves_is_accepted_in_the_next_turn_without_an_event() {
        let (mut poller, mut listeners, bound) = listening(1);
        let clients: Vec<_> = (0..5).map(|_| Client::connect(bound[0]).expect("one")).collect();
        wait(&mut poller, &mut listeners);
        assert_eq!(accept(&mut listeners, 3), 3);
        assert_eq!(listeners.idle_for(Instant::now()), Some(Duration::ZERO));
        assert_eq!(accept(&mut listeners, 3), 2);
        assert_eq!(listeners.idle_for(Instant::now()), None);
        drop(clients);
    }

    #[test]
    fn a_storm_on_one_address_does_not_starve_the_other() {
        let (mut poller, mut listeners, bound) = listening(2);
        let storm: Vec<_> = (0..9).map(|_| Client::connect(bound[0]).expect("one")).collect();
        let single = Client::connect(bound[1]).expect("one");
        while listeners.sockets.iter().any(|listener| !listener.ready) {
            wait(&mut poller, &mut listeners);
        }
        let single = single.local_addr().expect("an address");
        let mut peers = Vec::new();
        for _ in 0..2 {
            listeners.accept(Instant::now(), 2, |_, peer| peers.push(peer));
        }
        assert!(peers.contains(&single));
        drop(storm);
    }

    #[test]
    fn a_pause_ends_with_its_time_or_with_a_close_and_is_counted_once() {
        let (mut poller, mut listeners, bound) = listening(1);
        let client = Client::connect(bound[0]).expect("one");
        wait(&mut poller, &mut listeners);
        let now = Instant::now();
        let exhausted = io::Error::from_raw_os_error(EXHAUSTED[0]);
        listeners.failed(0, now, &exhausted);
        assert_eq!(listeners.idle_for(now), Some(RETRY_MIN));
        listeners.failed(0, now, &exhausted);
        assert_eq!(listeners.idle_for(now), Some(RETRY_MIN * 2));
        assert_eq!(listeners.counts(), AcceptCounts { pauses: 1, errors: 0 });
        listeners.accept(now, 9, |_, _| panic!("accepted during the pause"));
        listeners.resume();
        assert_eq!(listeners.idle_for(now), Some(Duration::ZERO));
        assert_eq!(accept(&mut listeners, 9), 1);
        assert!(!listeners.is_exhausted());
        drop(client);
    }

    #[test]
    fn errors_of_connections_are_told_from_those_of_the_host() {
        for code in EXHAUSTED {
            assert_eq!(Failure::of(&io::Error::from_raw_os_error(code)), Failure::Exhausted);
        }
        for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::PermissionDenied] {
            assert_eq!(Failure::of(&kind.into()), Failure::Connection);
        }
        assert_eq!(Failure::of(&io::ErrorKind::InvalidInput.into()), Failure::Unknown);
    }
}
