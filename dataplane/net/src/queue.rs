//! Outbound queues: references to shared frames, linked in one slab per worker.

use hioload_buffer::{Frame, FrameId, FrameTable};

use crate::{Backlog, BacklogMax, Held, Place};

/// The outbound queue of one flow. Its entries live in the worker's [`Outbound`], which every
/// operation goes through; 48 bytes, and nothing on the heap.
///
/// The order is: the frame that is partly sent, if any; then control frames; then messages, with
/// control frames queued behind them in between. The first two groups are the queue's lead.
#[derive(Debug)]
pub(crate) struct Queue {
    head: u32,
    tail: u32,
    /// An entry of the lead, the last one as far as is known; [`Outbound::lead`] moves it on.
    lead: u32,
    messages: u32,
    controls: u32,
    /// Bytes of the head that have been sent; a frame is at most 4 GiB.
    sent: u32,
    bytes: usize,
    /// Messages sent in full since the queue was made.
    messages_sent: u64,
    /// Bytes sent since then, of messages and control frames.
    bytes_sent: u64,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            lead: NONE,
            messages: 0,
            controls: 0,
            sent: 0,
            bytes: 0,
            messages_sent: 0,
            bytes_sent: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    pub(crate) fn backlog(&self) -> Backlog {
        Backlog { messages: self.messages, controls: self.controls, bytes: self.bytes }
    }

    /// Counts messages that were sent past the queue, which was empty.
    #[inline]
    pub(crate) fn count_sent(&mut self, messages: u32, bytes: usize) {
        self.messages_sent += u64::from(messages);
        self.bytes_sent += bytes as u64;
    }

    pub(crate) fn messages_sent(&self) -> u64 {
        self.messages_sent
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }
}

/// The frames of one worker and the entries of all its queues.
///
/// Entries are taken from a free list and go back to it, so that the slab grows to the largest
/// number of deliveries that ever waited at once and then allocates no more.
pub(crate) struct Outbound {
    frames: FrameTable,
    entries: Vec<Entry>,
    free: u32,
    /// Entries in use, and how many of them are messages.
    used: usize,
    messages: u64,
}

impl Outbound {
    pub(crate) fn new() -> Self {
        Self { frames: FrameTable::new(), entries: Vec::new(), free: NONE, used: 0, messages: 0 }
    }

    /// See [`Streams::hold`](crate::Streams::hold).
    pub(crate) fn hold(&mut self, frame: Frame, stamp: u64) -> FrameId {
        self.frames.insert(frame, stamp)
    }

    /// See [`Streams::take_sent`](crate::Streams::take_sent).
    #[inline]
    pub(crate) fn take_sent(&mut self, sink: impl FnMut(u64, u32)) {
        self.frames.take_sent(sink);
    }

    /// See [`Streams::release`](crate::Streams::release).
    pub(crate) fn release(&mut self, frame: FrameId) {
        self.frames.release(frame);
    }

    /// What waits in all queues.
    pub(crate) fn held(&self) -> Held {
        let bytes = self.frames.memory_bytes() + self.used * size_of::<Entry>();
        Held { messages: self.messages, bytes }
    }

    /// See [`Streams::enqueue_within`](crate::Streams::enqueue_within).
    pub(crate) fn push_within(
        &mut self,
        queue: &mut Queue,
        frame: FrameId,
        length: usize,
        limits: &BacklogMax,
    ) -> bool {
        let fits = limits.admits(queue.backlog(), length);
        if fits {
            self.push(queue, frame);
        }
        fits
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, queue: &mut Queue, frame: FrameId) {
        self.append(queue, frame, false);
    }

    /// Queues a control frame.
    pub(crate) fn push_control(&mut self, queue: &mut Queue, frame: FrameId, place: Place) {
        match place {
            Place::Behind => self.append(queue, frame, true),
            Place::Ahead => {
                let lead = self.lead(queue);
                let entry = self.take(queue, frame, true);
                self.insert_after(queue, lead, entry);
                queue.lead = entry;
            }
        }
    }

    /// Drops the oldest message of which no byte was sent and returns its length in bytes.
    pub(crate) fn drop_oldest_unsent(&mut self, queue: &mut Queue) -> Option<usize> {
        let lead = self.lead(queue);
        let oldest = self.after(queue, lead);
        if oldest == NONE {
            return None;
        }
        let Entry { frame, link } = self.entries[oldest as usize];
        if lead == NONE {
            queue.head = link.next();
        } else {
            self.entries[lead as usize].link.set_next(link.next());
        }
        if queue.tail == oldest {
            queue.tail = lead;
        }
        let len = self.frames.get(frame).len();
        queue.messages -= 1;
        queue.bytes -= len;
        self.give_back(oldest);
        self.frames.release(frame);
        Some(len)
    }

    /// The bytes that wait, in order, frame by frame; those already sent are left out.
    pub(crate) fn pending<'a>(&'a self, queue: &Queue) -> impl Iterator<Item = &'a [u8]> {
        let mut next = queue.head;
        let mut sent = queue.sent as usize;
        std::iter::from_fn(move || {
            let entry = self.entries.get(next as usize)?;
            next = entry.link.next();
            Some(&self.frames.get(entry.frame)[std::mem::take(&mut sent)..])
        })
    }

    /// Notes that the first `bytes` of what is pending were sent, and returns how many messages
    /// that completed. Frames without bytes complete with those before them.
    pub(crate) fn advance(&mut self, queue: &mut Queue, bytes: usize) -> u32 {
        if bytes >= queue.bytes {
            queue.bytes_sent += queue.bytes as u64;
            let messages = if queue.messages == 1 && queue.controls == 0 {
                self.take_only(queue);
                1
            } else {
                self.empty(queue, true).messages
            };
            queue.messages_sent += u64::from(messages);
            return messages;
        }
        let mut rest = bytes;
        let messages_before = queue.messages;
        queue.bytes -= rest;
        queue.bytes_sent += rest as u64;
        while queue.head != NONE {
            let entry = self.entries[queue.head as usize];
            let Entry { frame, link } = entry;
            let unsent = self.frames.get(frame).len() - queue.sent as usize;
            if unsent > rest {
                queue.sent += u32::try_from(rest).expect("less than a frame");
                break;
            }
            rest -= unsent;
            self.pop(queue, entry);
            if link.is_control() {
                self.frames.release(frame);
            } else {
                self.frames.release_sent(frame);
            }
        }
        let completed = messages_before - queue.messages;
        queue.messages_sent += u64::from(completed);
        completed
    }

    /// Makes the queue a new one and returns what was in it.
    pub(crate) fn clear(&mut self, queue: &mut Queue) -> Backlog {
        let backlog = self.empty(queue, false);
        *queue = Queue::new();
        backlog
    }

    /// Takes the only entry out, a message that was sent.
    #[inline]
    fn take_only(&mut self, queue: &mut Queue) {
        let head = queue.head;
        let entry = &mut self.entries[head as usize];
        let frame = entry.frame;
        entry.link.set_next(self.free);
        self.free = head;
        self.used -= 1;
        self.messages -= 1;
        (queue.head, queue.tail, queue.lead) = (NONE, NONE, NONE);
        (queue.messages, queue.sent, queue.bytes) = (0, 0, 0);
        self.frames.release_sent(frame);
    }

    /// Takes everything out, as `sent` or not, and returns what it was.
    fn empty(&mut self, queue: &mut Queue, sent: bool) -> Backlog {
        let backlog = queue.backlog();
        if queue.head != NONE {
            let mut at = queue.head;
            while at != NONE {
                let Entry { frame, link } = self.entries[at as usize];
                if sent && !link.is_control() {
                    self.frames.release_sent(frame);
                } else {
                    self.frames.release(frame);
                }
                at = link.next();
            }
            // The whole chain goes to the free list in its order, and is used again in it: what
            // waits for a session stays close together.
            self.entries[queue.tail as usize].link.set_next(self.free);
            self.free = queue.head;
            self.used -= (backlog.messages + backlog.controls) as usize;
            self.messages -= u64::from(backlog.messages);
        }
        let Queue { messages_sent, bytes_sent, .. } = *queue;
        *queue = Queue { messages_sent, bytes_sent, ..Queue::new() };
        backlog
    }

    #[inline]
    fn append(&mut self, queue: &mut Queue, frame: FrameId, control: bool) {
        let entry = self.take(queue, frame, control);
        if queue.tail == NONE {
            queue.head = entry;
        } else {
            self.entries[queue.tail as usize].link.set_next(entry);
        }
        queue.tail = entry;
    }

    /// Puts `entry` behind `before`, or first when that is `NONE`.
    fn insert_after(&mut self, queue: &mut Queue, before: u32, entry: u32) {
        let after = self.after(queue, before);
        self.entries[entry as usize].link.set_next(after);
        if before == NONE {
            queue.head = entry;
        } else {
            self.entries[before as usize].link.set_next(entry);
        }
        if queue.tail == before {
            queue.tail = entry;
        }
    }

    /// The entry behind `entry`; the head when that is `NONE`.
    fn after(&self, queue: &Queue, entry: u32) -> u32 {
        if entry == NONE { queue.head } else { self.entries[entry as usize].link.next() }
    }

    /// The last entry of the lead, `NONE` without one.
    ///
    /// Walks on from where an earlier call ended, so that an entry is passed once in its life.
    fn lead(&self, queue: &mut Queue) -> u32 {
        if queue.lead == NONE && queue.sent > 0 {
            queue.lead = queue.head;
        }
        loop {
            let next = self.after(queue, queue.lead);
            match self.entries.get(next as usize) {
                Some(entry) if entry.link.is_control() => queue.lead = next,
                _ => return queue.lead,
            }
        }
    }

    /// Takes the head, which is `entry`, off the queue; its reference to the frame is the caller's.
    fn pop(&mut self, queue: &mut Queue, entry: Entry) {
        let head = queue.head;
        let link = entry.link;
        let count = if link.is_control() { &mut queue.controls } else { &mut queue.messages };
        *count -= 1;
        queue.head = link.next();
        queue.sent = 0;
        if queue.lead == head {
            queue.lead = NONE;
        }
        if queue.tail == head {
            queue.tail = NONE;
        }
        self.give_back(head);
    }

    /// An unlinked entry with a reference to `frame`, which the queue's counts take in.
    #[inline]
    fn take(&mut self, queue: &mut Queue, frame: FrameId, control: bool) -> u32 {
        queue.bytes += self.frames.retain(frame).len();
        let count = if control { &mut queue.controls } else { &mut queue.messages };
        *count += 1;
        self.used += 1;
        self.messages += u64::from(!control);
        let entry = Entry { frame, link: Link::new(control) };
        if self.free == NONE {
            return self.add(entry);
        }
        let index = self.free;
        let place = &mut self.entries[index as usize];
        self.free = place.link.next();
        *place = entry;
        index
    }

    #[cold]
    fn add(&mut self, entry: Entry) -> u32 {
        let index = u32::try_from(self.entries.len()).unwrap_or(NONE);
        assert!(index < NONE, "2^31 deliveries wait at once");
        self.entries.push(entry);
        index
    }

    fn give_back(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        self.used -= 1;
        self.messages -= u64::from(!entry.link.is_control());
        entry.link.set_next(self.free);
        self.free = index;
    }
}

/// One delivery: a frame that waits in some queue, or a free place.
#[derive(Clone, Copy)]
struct Entry {
    frame: FrameId,
    link: Link,
}

/// No entry. The largest value that a [`Link`] holds.
const NONE: u32 = u32::MAX >> 1;

/// The index of the next entry, and in the highest bit whether this one is a control frame.
#[derive(Clone, Copy)]
struct Link(u32);

impl Link {
    const CONTROL: u32 = !NONE;

    fn new(control: bool) -> Self {
        Self(if control { NONE | Self::CONTROL } else { NONE })
    }

    fn next(self) -> u32 {
        self.0 & NONE
    }

    fn set_next(&mut self, next: u32) {
        self.0 = (self.0 & Self::CONTROL) | next;
    }

    fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }
}

#[cfg(test)]
mod tests;
