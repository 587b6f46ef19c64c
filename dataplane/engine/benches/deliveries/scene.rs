//! A worker with sessions over a network that only counts.

use std::sync::Arc;
use std::time::Duration;

use hioload_config::Config;
use hioload_engine::{
    Assembly, Controls, Handler, HandlerError, Message, Outbox, Session, Site, SystemClock, Worker,
    assemble,
};
use hioload_net::{CountingPeers, CountingStreams, FlowId, Streams};

use crate::shuffle::shuffled;

/// Says to everybody what one says.
struct Broadcast;

impl Handler for Broadcast {
    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        out.broadcast(message);
        Ok(())
    }
}

pub(crate) struct Scene {
    worker: Worker<CountingStreams, Broadcast>,
    peers: CountingPeers,
    controls: Controls,
    sessions: u64,
    delivered: u64,
    burst: Vec<u8>,
}

impl Scene {
    /// `sessions` of which each gets what the first one says; each time it says `in_flight`
    /// messages of 64 bytes at once.
    pub(crate) fn new(sessions: u32, in_flight: usize) -> Self {
        let mut config = Config::default();
        // These peers answer no ping, and no deadline is to pass at some point of a slow run.
        config.websocket.ping_interval = None;
        config.limits.handshake_timeout = Duration::from_secs(86_400);
        let (streams, peers) = CountingStreams::new();
        let Assembly { controls, parts } = assemble(&config, &[streams.waker()]);
        let parts = parts.into_iter().next().expect("one worker");
        let (handler, site) = (Arc::new(Broadcast), Arc::new(Site::new("/ws")));
        let mut worker = Worker::new(parts, streams, handler, site, &config, SystemClock);
        for _ in 0..sessions {
            peers.connect();
        }
        worker.turn().expect("nothing here fails");
        // Sessions that come and go leave the topic in no order.
        for index in shuffled(sessions) {
            peers.send(FlowId { index, generation: 0 }, UPGRADE);
        }
        while controls.totals().sessions_opened < u64::from(sessions) {
            worker.turn().expect("nothing here fails");
        }
        let burst = message().repeat(in_flight);
        let mut scene =
            Self { worker, peers, controls, sessions: sessions.into(), delivered: 0, burst };
        scene.round(in_flight);
        scene
    }

    /// One burst to everybody, until the last of it is sent. Returns the number of deliveries.
    pub(crate) fn round(&mut self, in_flight: usize) -> u64 {
        let deliveries = self.sessions * in_flight as u64;
        self.delivered += deliveries;
        self.peers.send(FlowId { index: 0, generation: 0 }, &self.burst);
        while self.controls.totals().deliveries_sent < self.delivered {
            self.worker.turn().expect("nothing here fails");
        }
        deliveries
    }
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A text of 64 bytes as a client sends it; its mask is zero.
pub(crate) fn message() -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 64, 0, 0, 0, 0];
    frame.resize(frame.len() + 64, b'a');
    frame
}
