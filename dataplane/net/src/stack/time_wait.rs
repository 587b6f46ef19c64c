//! Connections that have ended in order, without their sockets (RFC 9293 section 3.6.1).

use std::collections::VecDeque;

use smoltcp::time::{Duration, Instant};

use super::table::FlowKey;

/// How long a segment of the connection may still be on its way: as long as Linux takes it to be.
const TIME_WAIT: Duration = Duration::from_secs(60);

/// What is left of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    pub(crate) key: FlowKey,
    /// Behind our FIN.
    pub(crate) sent_until: u32,
    /// Behind the peer's.
    pub(crate) received_until: u32,
}

impl Remains {
    /// Whether a SYN with this sequence number can only be of a new connection (RFC 9293
    /// section 3.10.7.4, RFC 6191).
    pub(crate) fn gives_way_to(&self, sequence: u32) -> bool {
        let ahead = sequence.wrapping_sub(self.received_until);
        (1..1 << 31).contains(&ahead)
    }
}

/// All of a worker, at most so many: the oldest makes room.
pub(crate) struct TimeWaits {
    places: Vec<Place>,
    free: Vec<u32>,
    /// In the order in which they end. One that has ended before may still stand here.
    queue: VecDeque<Due>,
    max: usize,
    len: usize,
}

struct Place {
    generation: u32,
    remains: Option<Remains>,
}

struct Due {
    at: Instant,
    place: u32,
    generation: u32,
}

impl TimeWaits {
    pub(crate) fn new(max: usize) -> Self {
        Self { places: Vec::new(), free: Vec::new(), queue: VecDeque::new(), max, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes `remains` in and returns their place; `gone` hears of those that have to go for it, and
    /// their place.
    pub(crate) fn insert(
        &mut self,
        remains: Remains,
        now: Instant,
        mut gone: impl FnMut(u32, Remains),
    ) -> u32 {
        // Those that ended before their time must not pile up in the queue either.
        while self.len >= self.max.max(1) || self.queue.len() >= self.max.saturating_mul(2).max(2) {
            match self.queue.pop_front() {
                Some(due) => {
                    if let Some(remains) = self.remove_due(&due) {
                        gone(due.place, remains);
                    }
                }
                None => break,
            }
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, remains: None });
            u32::try_from(self.places.len() - 1).expect("bounded by the configuration")
        });
        let slot = &mut self.places[place as usize];
        slot.remains = Some(remains);
        self.queue.push_back(Due { at: now + TIME_WAIT, place, generation: slot.generation });
        self.len += 1;
        place
    }

    pub(crate) fn get(&self, place: u32) -> Option<&Remains> {
        self.places.get(place as usize)?.remains.as_ref()
    }

    pub(crate) fn remove(&mut self, place: u32) -> Option<Remains> {
        let slot = self.places.get_mut(place as usize)?;
        let remains = slot.remains.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(place);
        self.len -= 1;
        Some(remains)
    }

    /// One that has waited long enough, and its place.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(u32, Remains)> {
        while self.queue.front().is_some_and(|due| due.at <= now) {
            let due = self.queue.pop_front()?;
            if let Some(remains) = self.remove_due(&due) {
                return Some((due.place, remains));
            }
        }
        None
    }

    fn remove_due(&mut self, due: &Due) -> Option<Remains> {
        let is_there = self.places[due.place as usize].generation == due.generation;
        if is_there { self.remove(due.place) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains(port: u16) -> Remains {
        let key = FlowKey::new(std::net::IpAddr::from([192, 0, 2, 1]).into(), port, 80, 0, 0);
        Remains { key, sent_until: 1, received_until: 100 }
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(seconds)
    }

    #[test]
    fn what_is_left_is_forgotten_after_a_minute() {
        let mut waits = TimeWaits::new(10);
        let place = waits.insert(remains(1), at(0), |_, gone| panic!("{gone:?}"));
        assert_eq!(waits.get(place), Some(&remains(1)));
        waits.insert(remains(2), at(1), |_, gone| panic!("{gone:?}"));
        assert_eq!(waits.expire(at(59)), None);
        assert_eq!(waits.expire(at(60)), Some((place, remains(1))));
        assert_eq!(waits.expire(at(60)), None);
        assert_eq!(waits.len(), 1);
    }

    #[test]
    fn the_oldest_makes_room_and_one_that_is_gone_already_does_not_count() {
        let mut waits = TimeWaits::new(2);
        let mut gone = Vec::new();
        let first = waits.insert(remains(1), at(0), |_, it| gone.push(it));
        waits.insert(remains(2), at(0), |_, it| gone.push(it));
        assert_eq!(waits.remove(first), Some(remains(1)));
        waits.insert(remains(3), at(0), |_, it| gone.push(it));
        assert_eq!(gone, []);
        waits.insert(remains(4), at(0), |_, it| gone.push(it));
        assert_eq!((gone, waits.len()), (vec![remains(2)], 2));
    }

    #[test]
    fn connections_that_come_back_at_once_leave_nothing_behind() {
        let mut waits = TimeWaits::new(4);
        for _ in 0..1000 {
            let place = waits.insert(remains(1), at(0), |_, gone| panic!("{gone:?}"));
            assert_eq!(waits.remove(place), Some(remains(1)));
        }
        assert!(waits.queue.len() <= 8 && waits.places.len() <= 4);
    }

    #[test]
    fn only_a_later_syn_begins_a_new_connection() {
        let remains = remains(1);
        assert!(remains.gives_way_to(101) && remains.gives_way_to(1 << 30));
        assert!(!remains.gives_way_to(100) && !remains.gives_way_to(99));
        assert!(!remains.gives_way_to(100_u32.wrapping_sub(1 << 30)));
    }
}
