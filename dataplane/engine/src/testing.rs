//! Workers that are turned by hand, over streams in memory and a clock that stands still until it
//! is moved. What the tests of the engine are built on, and the harness that embedders get.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_config::Config;
use hioload_net::{MemoryStreams, Streams as _, Wake};

use crate::{Clock, Drained, Handler, Site, Worker, WorkerParts};

/// Turns after which workers that have not come to rest never will.
const TURNS_MAX: usize = 1_000_000;

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct HandClock(Rc<Cell<Instant>>);

impl HandClock {
    /// A clock that stands at the present moment.
    pub fn new() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    /// Moves it on.
    pub fn advance(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }
}

impl Default for HandClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

/// The transports of workers that are to be turned by hand, and what wakes them.
pub fn memory_streams(workers: usize) -> (Vec<MemoryStreams>, Vec<Arc<dyn Wake>>) {
    let streams: Vec<MemoryStreams> = (0..workers).map(|_| MemoryStreams::default()).collect();
    let wakers = streams.iter().map(MemoryStreams::waker).collect();
    (streams, wakers)
}

/// Workers that run only while they are told to, all on the calling thread.
pub struct HandTurned<H> {
    streams: Vec<MemoryStreams>,
    workers: Vec<Option<Worker<MemoryStreams, H, HandClock>>>,
    ended: Vec<Option<Drained>>,
    clock: HandClock,
}

impl<H: Handler> HandTurned<H> {
    /// A worker over each of `streams`, before its first turn; `parts` come from
    /// [`assemble`](crate::assemble) with the wakers of the same streams.
    pub fn new(
        parts: Vec<WorkerParts>,
        streams: Vec<MemoryStreams>,
        handler: &Arc<H>,
        site: &Arc<Site>,
        config: &Config,
    ) -> Self {
        let clock = HandClock::new();
        let workers: Vec<_> = parts
            .into_iter()
            .zip(&streams)
            .map(|(parts, streams)| {
                let (handler, site) = (Arc::clone(handler), Arc::clone(site));
                Some(Worker::new(parts, streams.clone(), handler, site, config, clock.clone()))
            })
            .collect();
        let ended = workers.iter().map(|_| None).collect();
        Self { streams, workers, ended, clock }
    }

    /// The connections of each worker.
    pub fn streams(&self) -> &[MemoryStreams] {
        &self.streams
    }

    /// How each worker ended, once it has.
    pub fn ended(&self) -> &[Option<Drained>] {
        &self.ended
    }

    /// The time as the workers see it.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Gives one turn to one worker, unless it has ended.
    ///
    /// # Panics
    /// With what the handler panics with, and when frames were leaked.
    pub fn turn(&mut self, number: usize) {
        let Some(worker) = &mut self.workers[number] else { return };
        self.ended[number] = worker.turn().expect("streams in memory do not fail");
        if self.ended[number].is_some() {
            self.workers[number] = None;
        }
        // A worker that is awake may be in the midst of a delivery.
        if self.streams[number].sleeps() {
            self.streams[number].check_frames();
        }
    }

    /// Gives one turn to each worker that has not ended, whether it sleeps or not.
    ///
    /// # Panics
    /// As [`turn`](Self::turn).
    pub fn turn_all(&mut self) {
        (0..self.workers.len()).for_each(|number| self.turn(number));
    }

    /// Gives turns to the workers that are awake, until all sleep or have ended.
    ///
    /// # Panics
    /// When they do not come to rest.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut rested = true;
            for number in 0..self.workers.len() {
                if self.workers[number].is_some() && !self.streams[number].sleeps() {
                    rested = false;
                    self.turn(number);
                }
            }
            if rested {
                return;
            }
        }
        panic!("the workers spin");
    }

    /// Gives turns to one worker until it sleeps or has ended.
    ///
    /// # Panics
    /// When it does not come to rest.
    pub fn settle_one(&mut self, number: usize) {
        for _ in 0..TURNS_MAX {
            self.turn(number);
            if self.workers[number].is_none() || self.streams[number].sleeps() {
                return;
            }
        }
        panic!("the worker spins");
    }

    /// Moves the clock and wakes the workers, which find out at their next turn.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.streams.iter().for_each(MemoryStreams::wake_by_time);
    }

    /// After what time a worker that sleeps would wake by itself; `None` when none ever would.
    pub fn next_wake(&self) -> Option<Duration> {
        let alive = self.workers.iter().zip(&self.streams).filter(|(worker, _)| worker.is_some());
        alive.filter_map(|(_, streams)| streams.sleeps_for()).min()
    }

    /// Ends a worker as a panic of its thread would.
    pub fn drop_worker(&mut self, number: usize) {
        self.workers[number] = None;
    }
}
