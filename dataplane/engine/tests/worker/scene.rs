//! Workers turned by hand over streams in memory and a clock that stands still until it is moved.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hioload_config::Config;
use hioload_engine::testing::{HandTurned, memory_streams};
use hioload_engine::{
    Assembly, CloseCode, ClosedWith, Controls, Drained, Handler, HandlerError, Layer, Message,
    Outbox, Page, Recovery, Route, Session, SessionId, SessionPage, Site, Totals, assemble,
};
use hioload_net::{FlowId, MemoryStreams};

/// Broadcasts what is said, but for a few words that ask for something else.
pub(crate) struct Chat;

impl Handler for Chat {
    fn on_open(&self, _session: &Session, _out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        Ok(())
    }

    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        match message.payload() {
            b"bye" => out.close(CloseCode::NORMAL, "as asked"),
            b"me" => out.send(message),
            b"fail" => return Err(HandlerError::new("as asked")),
            b"panic" => panic!("as asked"),
            _ => out.broadcast(message),
        }
        Ok(())
    }

    fn on_close(&self, _session: &Session, _closed: ClosedWith, out: &mut Outbox<'_>) {
        out.broadcast("left");
        out.send("nobody hears this");
    }
}

type Handled = <Recovery as Layer<Chat>>::Handler;

pub(crate) struct Scene {
    pub(crate) streams: Vec<MemoryStreams>,
    pub(crate) controls: Arc<Controls>,
    workers: HandTurned<Handled>,
}

impl Scene {
    pub(crate) fn new(workers: usize, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let (streams, wakers) = memory_streams(workers);
        let Assembly { controls, parts } = assemble(&config, &wakers);
        let handler = Arc::new(Recovery.layer(Chat));
        let page = Page::new("text/plain", vec![b'x'; PAGE_BYTES]);
        let site = Arc::new(Site::new("/ws").route("/page", Route::Page(Arc::new(page))));
        let workers = HandTurned::new(parts, streams.clone(), &handler, &site, &config);
        Self { streams, controls: Arc::new(controls), workers }
    }

    pub(crate) fn turn(&mut self, number: usize) {
        self.workers.turn(number);
    }

    /// Gives turns to the workers that are awake, until all sleep or have ended.
    pub(crate) fn settle(&mut self) {
        self.workers.settle();
    }

    /// Gives turns to one worker until it sleeps.
    pub(crate) fn settle_one(&mut self, number: usize) {
        self.workers.settle_one(number);
    }

    pub(crate) fn drain(&mut self, timeout: Duration) {
        self.controls.drain(self.workers.now() + timeout);
    }

    /// How each worker ended, once it has.
    pub(crate) fn ended(&self) -> &[Option<Drained>] {
        self.workers.ended()
    }

    /// Ends a worker as a panic of its thread would.
    pub(crate) fn drop_worker(&mut self, number: usize) {
        self.workers.drop_worker(number);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.workers.pass(time);
    }

    /// A page of sessions. Another thread asks, and the workers get turns meanwhile.
    pub(crate) fn sessions(&mut self, after: Option<SessionId>, count: usize) -> SessionPage {
        let controls = Arc::clone(&self.controls);
        let asking = thread::spawn(move || controls.sessions(after, count));
        while !asking.is_finished() {
            self.settle();
            thread::yield_now();
        }
        asking.join().expect("no panic").expect("the workers answer")
    }

    /// The ids of all sessions, in their order.
    pub(crate) fn ids(&mut self) -> Vec<SessionId> {
        self.sessions(None, 1000).sessions.iter().map(|session| session.id).collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.controls.totals()
    }

    /// The counters of each worker between two turns. The workers turn while somebody waits for it.
    pub(crate) fn snapshot(&mut self) -> Vec<Totals> {
        thread::scope(|scope| {
            let controls = &self.controls;
            let asked = scope.spawn(move || controls.snapshot().expect("the workers answer"));
            while !asked.is_finished() {
                self.workers.turn_all();
            }
            asked.join().expect("a snapshot")
        })
    }

    pub(crate) fn open_flows(&self) -> u64 {
        self.streams.iter().map(MemoryStreams::open_flows).sum()
    }

    pub(crate) fn messages_waiting(&self) -> u64 {
        self.streams.iter().map(MemoryStreams::messages_waiting).sum()
    }

    /// A session, open.
    pub(crate) fn join(&mut self, number: usize) -> FlowId {
        let flow = self.streams[number].connect();
        self.streams[number].send(flow, UPGRADE);
        self.settle();
        flow
    }

    /// What a session got, as text; Close and pings in angle brackets.
    pub(crate) fn heard(&self, number: usize, flow: FlowId) -> Vec<String> {
        frames(&self.streams[number].output(flow))
    }
}

/// The page at `/page`.
pub(crate) const PAGE_BYTES: usize = 15_000;

pub(crate) const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

pub(crate) const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
pub(crate) const PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];
pub(crate) const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];

/// A text message of fewer than 126 bytes as a client sends it; its mask is zero.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let len = u8::try_from(text.len()).expect("a short message");
    assert!(len < 126);
    let mut frame = vec![0x81, 0x80 | len, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// What stands behind the answer to the upgrade, frame by frame.
fn frames(output: &[u8]) -> Vec<String> {
    let behind = |from: usize, what: &[u8]| {
        let at = output[from..].windows(what.len()).position(|bytes| bytes == what);
        at.map_or(output.len(), |at| from + at + what.len())
    };
    let mut rest = &output[behind(behind(0, b"HTTP/1.1 101 "), b"\r\n\r\n")..];
    let mut frames = Vec::new();
    while let [first, len, ..] = *rest {
        let end = 2 + usize::from(len);
        let Some(payload) = rest.get(2..end) else { break };
        frames.push(match first & 0xf {
            0x1 => String::from_utf8_lossy(payload).into_owned(),
            0x8 => "<close>".to_owned(),
            0x9 => "<ping>".to_owned(),
            _ => "<pong>".to_owned(),
        });
        rest = &rest[end..];
    }
    frames
}
