//! The mesh: one ring for each ordered pair of workers.
//!
//! A message that is published on one worker goes to every other as a handle. When a ring is full
//! the sender keeps the message in a queue of its own and says so ([`MeshPort::is_congested`]);
//! the worker then stops reading from its clients until there is room. Nothing is dropped, and
//! nobody waits in place: a worker always goes on taking from its own rings, so two workers that
//! fill each other's rings both make progress.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_utils::CachePadded;
use hioload_net::Wake;
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::latency::Publication;

/// What travels from one worker to another.
#[derive(Debug)]
enum Item {
    /// An encoded message for everybody.
    Message(Publication),
    /// The sender will publish no more: every message before this one is here.
    Last,
}

/// One worker's ends of the mesh.
pub(crate) struct MeshPort {
    links: Vec<Link>,
}

/// The two rings between this worker and a peer.
struct Link {
    producer: Producer<Item>,
    consumer: Consumer<Item>,
    /// What did not fit into the ring, oldest first.
    overflow: VecDeque<Item>,
    /// Set by this worker when its ring to the peer is full; the peer wakes it and clears this.
    waiting: Arc<CachePadded<AtomicBool>>,
    /// The peer's counterpart of `waiting`.
    peer_waiting: Arc<CachePadded<AtomicBool>>,
    peer: Arc<dyn Wake>,
    pushed: bool,
    peer_finished: bool,
}

/// Makes the rings, of `slots` messages each, between workers that `wakers` wake.
pub(crate) fn mesh(slots: usize, wakers: &[Arc<dyn Wake>]) -> Vec<MeshPort> {
    let workers = wakers.len();
    let mut ports: Vec<MeshPort> = wakers.iter().map(|_| MeshPort { links: Vec::new() }).collect();
    for left in 0..workers {
        for right in left + 1..workers {
            let (to_right, from_left) = RingBuffer::new(slots);
            let (to_left, from_right) = RingBuffer::new(slots);
            let left_waiting = Arc::new(CachePadded::new(AtomicBool::new(false)));
            let right_waiting = Arc::new(CachePadded::new(AtomicBool::new(false)));
            ports[left].links.push(Link {
                producer: to_right,
                consumer: from_right,
                overflow: VecDeque::new(),
                waiting: Arc::clone(&left_waiting),
                peer_waiting: Arc::clone(&right_waiting),
                peer: Arc::clone(&wakers[right]),
                pushed: false,
                peer_finished: false,
            });
            ports[right].links.push(Link {
                producer: to_left,
                consumer: from_left,
                overflow: VecDeque::new(),
                waiting: right_waiting,
                peer_waiting: left_waiting,
                peer: Arc::clone(&wakers[left]),
                pushed: false,
                peer_finished: false,
            });
        }
    }
    ports
}

impl MeshPort {
    /// Hands a message to every other worker. [`flush`](Self::flush) wakes them.
    pub(crate) fn publish(&mut self, message: &Publication) {
        for link in &mut self.links {
            link.send(Item::Message(message.clone()));
        }
    }

    /// Tells every other worker that no more comes from this one.
    pub(crate) fn finish(&mut self) {
        for link in &mut self.links {
            link.send(Item::Last);
        }
    }

    /// Moves what had not fitted, as far as there is room, and wakes the workers that got
    /// something. Returns how many rings were found full.
    pub(crate) fn flush(&mut self) -> usize {
        self.links.iter_mut().map(|link| usize::from(link.flush())).sum()
    }

    /// Takes about `count_max` messages, an equal share of them from each ring.
    pub(crate) fn receive(&mut self, count_max: usize, mut take: impl FnMut(Publication)) -> usize {
        let share = count_max.div_ceil(self.links.len().max(1));
        self.links.iter_mut().map(|link| link.receive(share, &mut take)).sum()
    }

    /// Whether some message waits for room in a ring.
    pub(crate) fn is_congested(&self) -> bool {
        self.links.iter().any(|link| !link.overflow.is_empty())
    }

    /// Whether there is something to receive.
    pub(crate) fn has_incoming(&self) -> bool {
        self.links.iter().any(|link| !link.consumer.is_empty())
    }

    /// Whether every other worker has finished and all that it published was received.
    pub(crate) fn all_finished(&self) -> bool {
        self.links.iter().all(Link::is_finished)
    }
}

impl Drop for MeshPort {
    /// A worker that ends, however it does, sends nothing more and takes nothing more. The others
    /// may be waiting for either.
    fn drop(&mut self) {
        for link in self.links.drain(..) {
            let peer = Arc::clone(&link.peer);
            drop(link);
            peer.wake();
        }
    }
}

impl Link {
    fn send(&mut self, item: Item) {
        if !self.overflow.is_empty() {
            self.overflow.push_back(item);
            return;
        }
        match self.producer.push(item) {
            Ok(()) => self.pushed = true,
            Err(PushError::Full(item)) => self.overflow.push_back(item),
        }
    }

    /// Returns whether the ring is full.
    fn flush(&mut self) -> bool {
        if self.producer.is_abandoned() {
            self.overflow.clear();
        }
        self.move_overflow();
        let full = !self.overflow.is_empty();
        if full {
            // Announced before the second attempt: either this attempt sees the room that the
            // peer has made, or the peer, who looks after making room, sees the announcement.
            self.waiting.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.move_overflow();
        }
        if self.pushed {
            self.pushed = false;
            self.peer.wake();
        }
        full
    }

    fn move_overflow(&mut self) {
        while let Some(item) = self.overflow.pop_front() {
            if let Err(PushError::Full(item)) = self.producer.push(item) {
                self.overflow.push_front(item);
                return;
            }
            self.pushed = true;
        }
    }

    fn receive(&mut self, count_max: usize, take: &mut impl FnMut(Publication)) -> usize {
        let mut taken = 0;
        while taken < count_max {
            match self.consumer.pop() {
                Ok(Item::Message(message)) => take(message),
                Ok(Item::Last) => self.peer_finished = true,
                Err(_) => break,
            }
            taken += 1;
        }
        if taken > 0 {
            fence(Ordering::SeqCst);
            if self.peer_waiting.load(Ordering::Relaxed) {
                self.peer_waiting.store(false, Ordering::Relaxed);
                self.peer.wake();
            }
        }
        taken
    }

    /// A peer that is gone (its end of the ring is dropped) publishes no more either.
    fn is_finished(&self) -> bool {
        self.peer_finished || (self.consumer.is_abandoned() && self.consumer.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;
    use hioload_buffer::{Pool, PoolOptions};
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ports(workers: usize, slots: usize) -> (Vec<MeshPort>, Vec<Arc<CountingWaker>>) {
        let wakers: Vec<Arc<CountingWaker>> = (0..workers).map(|_| Arc::default()).collect();
        let handles: Vec<Arc<dyn Wake>> =
            wakers.iter().map(|waker| Arc::clone(waker) as Arc<dyn Wake>).collect();
        (mesh(slots, &handles), wakers)
    }

    fn message(pool: &mut Pool, number: u32) -> Publication {
        let mut buffer = pool.get(4);
        buffer.copy_from_slice(&number.to_be_bytes());
        Publication { frame: buffer.freeze(), at: Moment::from_raw(number.into()) }
    }

    fn number(message: &Publication) -> u32 {
        u32::from_be_bytes(message.frame[..].try_into().expect("four bytes"))
    }

    #[test]
    fn a_full_ring_holds_the_sender_back_and_loses_nothing() {
        let (mut ports, wakers) = ports(2, 4);
        let mut pool = Pool::new(PoolOptions::default());
        for count in 0..10 {
            ports[0].publish(&message(&mut pool, count));
        }
        assert_eq!(ports[0].flush(), 1);
        assert!(ports[0].is_congested());

        let mut received = Vec::new();
        while ports[1].receive(3, |message| received.push(number(&message))) > 0 {
            ports[0].flush();
        }
        assert_eq!(received, (0..10).collect::<Vec<_>>());
        assert!(!ports[0].is_congested());
        assert!(wakers[0].0.load(Ordering::Relaxed) > 0, "the sender is told of the room");
    }

    #[test]
    fn the_last_item_comes_behind_every_message_even_through_a_full_ring() {
        let (mut ports, _wakers) = ports(3, 2);
        let mut pool = Pool::new(PoolOptions::default());
        for count in 0..5 {
            ports[0].publish(&message(&mut pool, count));
        }
        ports[0].finish();
        ports[1].finish();
        ports[0].flush();
        ports[1].flush();
        let mut received = 0;
        while !ports[2].all_finished() {
            received += ports[2].receive(1, |_| {});
            ports[0].flush();
        }
        assert_eq!(received, 5 + 2);
    }

    #[test]
    fn two_threads_that_fill_each_other_both_get_everything_in_order() {
        const COUNT: u32 = 2_000;
        let (ports, _wakers) = ports(2, 2);
        let threads: Vec<_> = ports
            .into_iter()
            .map(|mut port| {
                std::thread::spawn(move || {
                    let mut pool = Pool::new(PoolOptions::default());
                    let (mut sent, mut expected) = (0, 0);
                    while sent < COUNT || expected < COUNT || port.is_congested() {
                        if sent < COUNT && !port.is_congested() {
                            port.publish(&message(&mut pool, sent));
                            sent += 1;
                        }
                        port.flush();
                        let received = port.receive(8, |message| {
                            assert_eq!(number(&message), expected);
                            assert_eq!(message.at.raw(), u64::from(expected));
                            expected += 1;
                        });
                        if received == 0 {
                            // On a busy host the peer may need this CPU to make room.
                            std::thread::yield_now();
                        }
                    }
                    port
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("in order and complete");
        }
    }
}
