//! A client that tests play.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use hioload_engine::{Kind, Message};

use super::Response;
use super::harness::Net;
use super::peer::Peer;
use super::wire::{BINARY, PING, Received, TEXT, frame};

/// A client with an open session.
///
/// It behaves well by itself: it reads what comes, answers pings, and answers a Close and the end of
/// the stream with its own. After each call the workers have done all there is to do. To drop it
/// changes nothing: its session stays open.
pub struct Client {
    net: Rc<RefCell<Net>>,
    peer: usize,
    response: Response,
}

impl Client {
    pub(super) fn new(net: Rc<RefCell<Net>>, peer: usize, response: Response) -> Self {
        Self { net, peer, response }
    }

    /// The answer to the upgrade, status 101: its header fields name the subprotocol, for one.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Sends a message: a `&str` as text, a `&[u8]` as binary.
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) {
        let message = message.into();
        let opcode = match message.kind() {
            Kind::Text => TEXT,
            Kind::Binary => BINARY,
        };
        self.send_raw(&frame(opcode, message.payload()));
    }

    /// Sends a ping, which comes back as [`Received::Pong`]; at most 125 bytes.
    pub fn ping(&self, payload: &[u8]) {
        self.send_raw(&frame(PING, payload));
    }

    /// Sends bytes as they are: frames that are wrong, or a part of one.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.act(|peer| peer.send(bytes));
    }

    /// Sends a Close; the server answers it and ends the connection. Whether `code` is one that may
    /// be sent is for the server to say.
    pub fn close(&self, code: u16, reason: &str) {
        self.act(|peer| peer.send_close(Some(code), reason));
    }

    /// Ends the stream without a Close, as a process does that is killed.
    pub fn end(&self) {
        self.act(|peer| peer.end());
    }

    /// Loses the connection, as when a network cable is pulled and somebody notices.
    pub fn reset(&self) {
        self.act(|peer| peer.reset());
    }

    /// Takes so many bytes more and then reads no further: what is sent to the session waits in its
    /// backlog.
    pub fn stop_reading_after(&self, bytes: usize) {
        self.act(|peer| peer.set_window(Some(bytes)));
    }

    /// Reads again.
    pub fn read_on(&self) {
        self.act(|peer| peer.set_window(None));
    }

    /// Answers no ping, no Close and no end of the stream from here on, as a client that hangs.
    pub fn fall_silent(&self) {
        self.act(|peer| peer.answers = false);
    }

    /// The next of what the client got, if there is something.
    pub fn next(&self) -> Option<Received> {
        self.settled().next()
    }

    /// All that the client got since it was last asked.
    pub fn received(&self) -> Vec<Received> {
        self.settled().inbox().drain(..).collect()
    }

    /// The texts that the client got since it was last asked; what else has come stays.
    pub fn texts(&self) -> Vec<String> {
        let mut peer = self.settled();
        let mut texts = Vec::new();
        for received in mem::take(peer.inbox()) {
            match received {
                Received::Text(text) => texts.push(text),
                other => peer.inbox().push_back(other),
            }
        }
        texts
    }

    /// The next of what the client got, when it comes within `limit` of real time: what another
    /// thread sends through a [`Handle`](crate::Handle).
    pub fn wait(&self, limit: Duration) -> Option<Received> {
        let start = Instant::now();
        loop {
            let next = self.next();
            if next.is_some() || start.elapsed() >= limit {
                return next;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Code and reason of the Close that the server sent, if it has; asking does not take it away.
    pub fn closed(&self) -> Option<(Option<u16>, String)> {
        self.settled().closed.clone()
    }

    /// Whether the server has neither ended the stream nor lost the connection.
    pub fn is_open(&self) -> bool {
        self.settled().is_open()
    }

    fn act(&self, act: impl FnOnce(&mut Peer)) {
        let mut net = self.net.borrow_mut();
        act(net.peer(self.peer));
        net.settle();
    }

    /// The peer, after the workers have done all there is to do.
    fn settled(&self) -> RefMut<'_, Peer> {
        let mut net = self.net.borrow_mut();
        net.settle();
        RefMut::map(net, |net| net.peer(self.peer))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("number", &self.peer).finish_non_exhaustive()
    }
}
