//! One thread that accepts for all workers and deals the connections out in turn.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use mio::net::TcpStream;

use super::ACCEPTS_PER_POLL;
use super::accept::{AcceptCounts, Listeners};
use super::poller::{KernelWaker, Poller};
use crate::Wake;

/// Connections that may wait for a worker to take them; the others wait in the kernel's backlog.
const LANE_LEN_MAX: usize = 256;

/// How long the dealer waits when no worker has room.
const FULL_RETRY: Duration = Duration::from_millis(10);

/// Starts the thread and returns a lane per worker, in the order of their wakers.
pub(super) fn start(
    poller: Poller,
    listeners: Listeners,
    wakers: &[Arc<KernelWaker>],
) -> io::Result<Vec<Lane>> {
    let shared = Arc::new(Shared {
        listeners: Mutex::new(listeners),
        exhausted: AtomicBool::new(false),
        descriptor_freed: AtomicBool::new(false),
        pauses: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        waker: Arc::clone(poller.waker()),
    });
    let (ends, receivers): (Vec<LaneEnd>, Vec<_>) = wakers
        .iter()
        .map(|waker| {
            let (sender, receiver) = bounded(LANE_LEN_MAX);
            (LaneEnd { sender, waker: Arc::clone(waker) }, receiver)
        })
        .unzip();
    let dealer = Dealer { shared: Arc::clone(&shared), lanes: ends, turn: 0 };
    let thread =
        thread::Builder::new().name("acceptor".to_owned()).spawn(move || dealer.run(poller))?;
    let handle = Arc::new(Handle { shared, thread: Some(thread) });
    let lane = |(number, receiver)| Lane { receiver, handle: Arc::clone(&handle), number };
    Ok(receivers.into_iter().enumerate().map(lane).collect())
}

type Dealt = (TcpStream, SocketAddr);

/// A worker's end of the deal.
pub(super) struct Lane {
    receiver: Receiver<Dealt>,
    handle: Arc<Handle>,
    number: usize,
}

impl Lane {
    /// Takes up to `budget` connections.
    pub(super) fn take(&self, budget: usize, mut sink: impl FnMut(TcpStream, SocketAddr)) {
        for (stream, peer) in self.receiver.try_iter().take(budget) {
            sink(stream, peer);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// A descriptor has become free: the dealer tries again, if it had none.
    pub(super) fn resume(&self) {
        let shared = &self.handle.shared;
        if shared.exhausted.load(Ordering::Acquire) {
            shared.descriptor_freed.store(true, Ordering::Release);
            shared.waker.wake();
        }
    }

    /// Ends accepting for all workers, and closes what was dealt to this one and not yet taken.
    pub(super) fn stop(&self) {
        self.handle.shared.stop();
        self.receiver.try_iter().for_each(drop);
    }

    /// The dealer's counts, told by one lane so that the sum over all of them is right.
    pub(super) fn counts(&self) -> AcceptCounts {
        if self.number == 0 { self.handle.shared.counts() } else { AcceptCounts::default() }
    }
}

/// Ends the thread with the last lane.
struct Handle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the acceptor panicked");
        }
    }
}

/// What the workers share with the dealer. It holds the lock while it accepts, so that after
/// [`stop`](Self::stop) nothing is accepted or dealt; nothing that workers do in every turn takes
/// it.
struct Shared {
    listeners: Mutex<Listeners>,
    exhausted: AtomicBool,
    descriptor_freed: AtomicBool,
    /// The dealer's [`AcceptCounts`].
    pauses: AtomicU64,
    errors: AtomicU64,
    waker: Arc<KernelWaker>,
}

impl Shared {
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.listeners().close();
        self.waker.wake();
    }

    fn counts(&self) -> AcceptCounts {
        AcceptCounts {
            pauses: self.pauses.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }

    fn set_counts(&self, counts: AcceptCounts) {
        self.pauses.store(counts.pauses, Ordering::Relaxed);
        self.errors.store(counts.errors, Ordering::Relaxed);
    }
}

/// The thread's own.
struct Dealer {
    shared: Arc<Shared>,
    lanes: Vec<LaneEnd>,
    turn: usize,
}

struct LaneEnd {
    sender: Sender<Dealt>,
    waker: Arc<KernelWaker>,
}

impl Dealer {
    fn run(mut self, mut poller: Poller) {
        let mut timeout = None;
        loop {
            let events = match poller.wait(timeout) {
                Ok(events) => events,
                Err(error) => {
                    tracing::error!(%error, "the acceptor ends: it cannot wait for connections");
                    self.shared.stop();
                    return;
                }
            };
            let shared = Arc::clone(&self.shared);
            let mut listeners = shared.listeners();
            events.for_each(|event| {
                listeners.note(event.token());
            });
            timeout = self.accept(&mut listeners, Instant::now());
            if listeners.is_closed() {
                return;
            }
        }
    }

    /// Accepts what there is room for, and says for how long there is then nothing to do.
    fn accept(&mut self, listeners: &mut Listeners, now: Instant) -> Option<Duration> {
        if self.shared.descriptor_freed.swap(false, Ordering::AcqRel) {
            listeners.resume();
        }
        let room = self.lanes.iter().map(|lane| LANE_LEN_MAX - lane.sender.len()).sum();
        listeners.accept(now, ACCEPTS_PER_POLL.min(room), |stream, peer| self.deal((stream, peer)));
        self.shared.set_counts(listeners.counts());
        self.shared.exhausted.store(listeners.is_exhausted(), Ordering::Release);
        let idle_for = listeners.idle_for(now);
        if room == 0 { idle_for.map(|idle| idle.max(FULL_RETRY)) } else { idle_for }
    }

    /// Gives a connection to the next worker that has room. One that has gone is passed over;
    /// the connection closes when there is no other.
    fn deal(&mut self, mut connection: Dealt) {
        for _ in 0..self.lanes.len() {
            self.turn = (self.turn + 1) % self.lanes.len();
            let lane = &self.lanes[self.turn];
            match lane.sender.try_send(connection) {
                Ok(()) => return lane.waker.wake(),
                Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                    connection = back;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_worker_asks_for_the_counts_and_closes_connections_while_the_dealer_accepts() {
        let poller = Poller::new().expect("a poller");
        let listeners = Listeners::new(Vec::new(), poller.registry()).expect("none to register");
        let worker = Poller::new().expect("a poller");
        let mut lanes = start(poller, listeners, &[Arc::clone(worker.waker())]).expect("a thread");
        let lane = lanes.remove(0);
        let shared = Arc::clone(&lane.handle.shared);
        shared.set_counts(AcceptCounts { pauses: 2, errors: 1 });

        let accepting = shared.listeners();
        let (answer, answered) = mpsc::channel();
        let asking = thread::spawn(move || {
            lane.resume();
            answer.send(lane.counts()).expect("somebody listens");
            lane
        });

        let counts = answered.recv_timeout(Duration::from_secs(10));
        drop(accepting);
        assert_eq!(counts, Ok(AcceptCounts { pauses: 2, errors: 1 }));
        drop(asking.join());
    }
}
