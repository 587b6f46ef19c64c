//! How many handles to mbufs there are in this process, counted without a shared cache line.
//!
//! Each thread counts in a place of its own what it makes and what it drops. Both numbers only
//! grow. Whoever reads all of "dropped" first and all of "made" afterwards, and finds the sums
//! equal, knows that no handle is left of those that were made before it began: a drop that was
//! seen happened after its making, which is therefore seen, too, so the difference is never less
//! than the handles that are left.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_utils::CachePadded;

/// Threads that have a place to themselves; all others share one more.
const OWN_MAX: usize = 160;
const SHARED: usize = OWN_MAX;
const UNCLAIMED: usize = usize::MAX;

#[derive(Debug)]
struct Place {
    made: AtomicU64,
    dropped: AtomicU64,
}

static PLACES: [CachePadded<Place>; OWN_MAX + 1] =
    [const { CachePadded::new(Place { made: AtomicU64::new(0), dropped: AtomicU64::new(0) }) };
        OWN_MAX + 1];

/// Places that no thread has. The lock also shows a place's new owner what the former one wrote.
static FREE: Mutex<Free> = Mutex::new(Free { returned: Vec::new(), unused: 0 });

struct Free {
    returned: Vec<usize>,
    unused: usize,
}

/// The place of this thread, returned when the thread ends.
struct Claim(Cell<usize>);

impl Drop for Claim {
    fn drop(&mut self) {
        if self.0.get() < OWN_MAX {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).returned.push(self.0.get());
        }
    }
}

thread_local! {
    static CLAIM: Claim = const { Claim(Cell::new(UNCLAIMED)) };
}

fn place() -> usize {
    let claimed = CLAIM.try_with(|claim| {
        if claim.0.get() == UNCLAIMED {
            claim.0.set(claim_place());
        }
        claim.0.get()
    });
    // Where the thread is ending, its place may have been returned already.
    claimed.unwrap_or(SHARED)
}

#[cold]
fn claim_place() -> usize {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = free.returned.pop() {
        return place;
    }
    let place = free.unused;
    if place < OWN_MAX {
        free.unused += 1;
    }
    place
}

fn add(place: usize, counter: &AtomicU64, count: u64) {
    if place == SHARED {
        counter.fetch_add(count, Ordering::Release);
    } else {
        // No other thread writes here.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Release);
    }
}

/// Counts handles that now exist. To be called before any other thread can have one of them.
pub(crate) fn made(count: usize) {
    let place = place();
    add(place, &PLACES[place].made, count as u64);
}

/// Counts handles that are gone. To be called after the last use of what they stood for.
pub(crate) fn dropped(count: usize) {
    let place = place();
    add(place, &PLACES[place].dropped, count as u64);
}

/// Whether no handle is left of those whose making happened before this call.
pub(crate) fn none() -> bool {
    let dropped = PLACES
        .iter()
        .fold(0, |sum: u64, place| sum.wrapping_add(place.dropped.load(Ordering::Acquire)));
    let made = PLACES
        .iter()
        .fold(0, |sum: u64, place| sum.wrapping_add(place.made.load(Ordering::Acquire)));
    made == dropped
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn handles_made_on_one_thread_and_dropped_on_others_are_counted_out() {
        made(3);
        assert!(!none());

        thread::spawn(|| dropped(1)).join().unwrap();
        thread::spawn(|| dropped(1)).join().unwrap();
        assert!(!none());
        dropped(1);

        assert!(none());
    }

    #[test]
    fn more_threads_than_places_are_counted_as_well() {
        let start = std::sync::Barrier::new(OWN_MAX + 20);
        thread::scope(|scope| {
            for _ in 0..OWN_MAX + 20 {
                scope.spawn(|| {
                    made(2);
                    start.wait();
                    dropped(2);
                });
            }
        });
        assert!(none());
    }
}
