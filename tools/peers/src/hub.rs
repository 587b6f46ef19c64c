//! Who is connected, and what waits for each of them. One thread, so nothing is atomic.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// All clients of a server.
pub struct Hub<T> {
    members: RefCell<Vec<Rc<Queue<T>>>>,
    /// Each client hears itself alone.
    echo: bool,
    /// Messages that may wait for one client.
    queue_messages_max: usize,
}

/// A client's place in the hub, and what waits for it. It leaves when this is dropped.
pub struct Member<T> {
    hub: Rc<Hub<T>>,
    queue: Rc<Queue<T>>,
}

struct Queue<T> {
    waiting: RefCell<VecDeque<T>>,
    /// Of the task that writes, which waits for the first message.
    waker: RefCell<Option<Waker>>,
    /// Where it is in `Hub::members`; none once it has left.
    place: Cell<Option<usize>>,
}

impl<T: Clone> Hub<T> {
    /// At least one message may wait for a client.
    #[must_use]
    pub fn new(echo: bool, queue_messages_max: usize) -> Rc<Self> {
        let queue_messages_max = queue_messages_max.max(1);
        Rc::new(Self { members: RefCell::default(), echo, queue_messages_max })
    }

    /// From now on the client gets what is published.
    #[must_use]
    pub fn join(self: &Rc<Self>) -> Member<T> {
        let mut members = self.members.borrow_mut();
        let queue = Rc::new(Queue {
            waiting: RefCell::default(),
            waker: RefCell::default(),
            place: Cell::new(Some(members.len())),
        });
        members.push(Rc::clone(&queue));
        Member { hub: Rc::clone(self), queue }
    }
}

impl<T: Clone> Member<T> {
    /// Queues a clone for every client, or for this one alone where the server echoes. For a client
    /// whose queue is full the oldest message is dropped.
    pub fn publish(&self, message: &T) {
        if self.hub.echo {
            return self.queue.push(message.clone(), self.hub.queue_messages_max);
        }
        for queue in self.hub.members.borrow().iter() {
            queue.push(message.clone(), self.hub.queue_messages_max);
        }
    }

    /// Queues a message for this client.
    pub fn send(&self, message: T) {
        self.queue.push(message, self.hub.queue_messages_max);
    }
}

impl<T> Member<T> {
    /// Ready with `true` when a message waits, with `false` when none does and none will. Only one
    /// task may wait.
    pub fn poll_waiting(&self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.queue.waiting.borrow().is_empty() {
            return Poll::Ready(true);
        }
        if self.queue.place.get().is_none() {
            return Poll::Ready(false);
        }
        let mut waker = self.queue.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// As [`poll_waiting`](Self::poll_waiting).
    pub async fn waiting(&self) -> bool {
        poll_fn(|context| self.poll_waiting(context)).await
    }

    /// Takes the oldest message that waits.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.queue.waiting.borrow_mut().pop_front()
    }

    /// Leaves the hub. What waits already can still be taken.
    pub fn leave(&self) {
        let Some(place) = self.queue.place.take() else { return };
        let mut members = self.hub.members.borrow_mut();
        members.swap_remove(place);
        if let Some(moved) = members.get(place) {
            moved.place.set(Some(place));
        }
        self.queue.wake();
    }
}

impl<T> Drop for Member<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> Queue<T> {
    fn push(&self, message: T, messages_max: usize) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= messages_max {
            waiting.pop_front();
        }
        waiting.push_back(message);
        // Behind the first message the task is awake already.
        if waiting.len() == 1 {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(member: &Member<u32>) -> Vec<u32> {
        std::iter::from_fn(|| member.take()).collect()
    }

    #[test]
    fn everybody_gets_what_is_published_and_only_who_is_there() {
        let hub = Hub::new(false, 8);
        let [ada, ben, eve] = [hub.join(), hub.join(), hub.join()];
        ada.publish(&1);
        drop(ada);
        eve.publish(&2);
        let joined_late = hub.join();
        ben.publish(&3);

        assert_eq!(all(&ben), [1, 2, 3]);
        assert_eq!(all(&eve), [1, 2, 3]);
        assert_eq!(all(&joined_late), [3]);
        drop((ben, eve, joined_late));
        assert!(hub.members.borrow().is_empty());
    }

    #[test]
    fn an_echo_reaches_its_sender_alone() {
        let hub = Hub::new(true, 8);
        let [ada, ben] = [hub.join(), hub.join()];
        ada.publish(&1);
        assert_eq!(all(&ada), [1]);
        assert_eq!(all(&ben), []);
    }

    #[test]
    fn a_full_queue_drops_the_oldest() {
        let hub = Hub::new(false, 2);
        let ada = hub.join();
        (1..=5).for_each(|message| ada.publish(&message));
        assert_eq!(all(&ada), [4, 5]);
    }

    #[test]
    fn a_task_that_waits_is_woken_once_for_all_that_comes() {
        let hub = Hub::new(false, 8);
        let ada = hub.join();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);

        assert!(ada.poll_waiting(&mut context).is_pending());
        (1..=5).for_each(|message| ada.publish(&message));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(ada.poll_waiting(&mut context), Poll::Ready(true));
        assert_eq!(all(&ada).len(), 5);

        ada.leave();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert_eq!(ada.poll_waiting(&mut context), Poll::Ready(false));
    }
}
