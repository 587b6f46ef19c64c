//! Frames that came to another queue than their connection lives on.
//!
//! A port that spreads frames by a hash sends all of a connection to one queue. Virtual devices
//! spread them as they like, and may change their mind. So a segment of an unknown connection goes
//! from worker to worker of its port, and is refused by the last one. So does a SYN whose connection
//! may have begun on another worker.

use std::sync::Arc;
use std::time::Instant;

use rtrb::{Consumer, Producer, RingBuffer};

use super::claims::Claims;
use super::idle::StackWaker;
use super::table::FlowKey;
use crate::Wake;

/// A worker's place among those that serve a port.
#[derive(Debug)]
pub struct Handover<F> {
    next: Producer<Stray<F>>,
    wake_next: Arc<StackWaker>,
    previous: Consumer<Stray<F>>,
    /// The workers that a frame can go on to.
    others: usize,
    /// This worker among those of the port.
    place: u8,
    claims: Arc<Claims>,
}

#[derive(Debug)]
pub(crate) struct Stray<F> {
    pub(crate) frame: F,
    /// How many workers do not know its connection.
    pub(crate) hops: usize,
}

impl<F> Handover<F> {
    /// Frames that wait for the next worker at most. It gets to them in its next turn.
    pub const SLOTS: usize = 256;

    /// A ring of the workers that these wake, 256 at most; for one alone there is none.
    pub fn ring(wakers: &[Arc<StackWaker>]) -> Vec<Option<Self>> {
        let count = wakers.len();
        if count < 2 {
            return wakers.iter().map(|_| None).collect();
        }
        let (nexts, mut previous): (Vec<_>, Vec<_>) =
            wakers.iter().map(|_| RingBuffer::new(Self::SLOTS)).unzip();
        // What goes out of one comes in at the one behind it.
        previous.rotate_right(1);
        let next_wakers = wakers.iter().cycle().skip(1);
        let places = nexts.into_iter().zip(previous).zip(next_wakers).zip(0..);
        let claims = Arc::new(Claims::new());
        places
            .map(|(((next, previous), waker), place)| {
                let (wake_next, claims) = (Arc::clone(waker), Arc::clone(&claims));
                Some(Self { next, wake_next, previous, others: count - 1, place, claims })
            })
            .collect()
    }

    /// Whether the connection that a SYN asks for may begin here; then it is this worker's for a
    /// while. Otherwise it may have begun on another one.
    pub(crate) fn claim(&self, key: &FlowKey, now: Instant) -> bool {
        self.claims.claim(key, self.place, now)
    }

    /// Passes a frame on that `hops` workers have not known, unless all have seen it or the next
    /// one does not keep up, or has ended.
    pub(crate) fn pass_on(&mut self, frame: F, hops: usize) -> Result<(), Refused<F>> {
        if hops >= self.others {
            return Err(Refused::ByAll(frame));
        }
        if self.next.is_abandoned() {
            return Err(Refused::Full);
        }
        self.next.push(Stray { frame, hops: hops + 1 }).map_err(|_| Refused::Full)?;
        self.wake_next.wake();
        Ok(())
    }

    /// A frame that the workers before have not known.
    pub(crate) fn take(&mut self) -> Option<Stray<F>> {
        self.previous.pop().ok()
    }
}

/// Why a frame was not passed on.
#[derive(Debug)]
pub(crate) enum Refused<F> {
    /// No worker knows it.
    ByAll(F),
    /// It is lost.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_visits_every_other_worker_once() {
        let wakers: Vec<_> = (0..3).map(|_| Arc::new(StackWaker::default())).collect();
        let mut ring: Vec<_> = Handover::ring(&wakers).into_iter().flatten().collect();
        ring[1].pass_on('x', 0).expect("there are others");
        let stray = ring[2].take().expect("the next one has it");
        ring[2].pass_on(stray.frame, stray.hops).expect("there is another");
        let stray = ring[0].take().expect("and the one after that");
        assert!(matches!(ring[0].pass_on(stray.frame, stray.hops), Err(Refused::ByAll('x'))));
        assert!(ring.iter_mut().all(|place| place.take().is_none()));
    }

    #[test]
    fn a_worker_that_does_not_keep_up_loses_frames_and_one_alone_has_no_others() {
        let wakers: Vec<_> = (0..2).map(|_| Arc::new(StackWaker::default())).collect();
        let mut ring: Vec<_> = Handover::ring(&wakers).into_iter().flatten().collect();
        for _ in 0..Handover::<()>::SLOTS {
            ring[0].pass_on((), 0).expect("there is room");
        }
        assert!(matches!(ring[0].pass_on((), 0), Err(Refused::Full)));
        assert!(Handover::<()>::ring(&wakers[..1])[0].is_none());
    }

    #[test]
    fn what_is_for_a_worker_that_has_ended_is_lost_at_once() {
        let wakers: Vec<_> = (0..2).map(|_| Arc::new(StackWaker::default())).collect();
        let mut ring: Vec<_> = Handover::ring(&wakers).into_iter().flatten().collect();
        ring.truncate(1);
        assert!(matches!(ring[0].pass_on((), 0), Err(Refused::Full)));
    }
}
