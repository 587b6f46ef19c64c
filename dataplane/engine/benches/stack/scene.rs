//! A whole worker over the stack.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_config::Config;
use hioload_engine::{
    Assembly, Controls, Handler, HandlerError, Message, Outbox, Session, Site, SystemClock, Worker,
    assemble,
};
use hioload_mem::Arena;
use hioload_net::{StackStreams, Streams};

use crate::clients::Clients;
use crate::wire::{Port, Wire};
use crate::{ACKS_TOGETHER, Cost, alone};

/// Hears nothing: what is broadcast is published by the control plane.
struct Deaf;

impl Handler for Deaf {
    fn on_message(
        &self,
        _session: &Session,
        _message: Message<'_>,
        _out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

pub(crate) struct Scene<'a> {
    worker: Worker<StackStreams<'a, Port>, Deaf>,
    wire: Rc<RefCell<Wire>>,
    clients: Clients,
    controls: Controls,
    delivered: u64,
}

impl<'a> Scene<'a> {
    /// A worker with `count` sessions.
    pub(crate) fn new(arena: &'a Arena, count: usize) -> Self {
        let mut config = Config::default();
        // These clients answer no ping, and no deadline is to pass at some point of a slow run.
        config.websocket.ping_interval = None;
        config.limits.handshake_timeout = Duration::from_secs(86_400);
        let wire = Rc::new(RefCell::new(Wire::default()));
        let streams = alone::streams(arena, count, &wire);
        let Assembly { controls, parts } = assemble(&config, &[streams.waker()]);
        let parts = parts.into_iter().next().expect("one worker");
        let site = Arc::new(Site::new("/ws"));
        let worker = Worker::new(parts, streams, Arc::new(Deaf), site, &config, SystemClock);
        let clients = Clients::new(count, true);
        let mut scene = Self { worker, wire, clients, controls, delivered: 0 };
        let mut answered = 0;
        for number in 0..count {
            scene.clients.connect(number, &mut scene.wire.borrow_mut());
            scene.turn();
            scene.clients.take_in(&mut scene.wire.borrow_mut(), UPGRADE);
            if scene.clients.due() >= ACKS_TOGETHER {
                answered += scene.clients.due();
                scene.acknowledge_all();
            }
        }
        while answered + scene.clients.due() < count {
            scene.turn();
            scene.clients.take_in(&mut scene.wire.borrow_mut(), UPGRADE);
        }
        scene.acknowledge_all();
        scene
    }

    /// `messages` to everybody, and everybody's acknowledgement of all of them.
    pub(crate) fn round(&mut self, message: &str, messages: usize) -> Cost {
        let deliveries = (messages * self.clients.count()) as u64;
        let mut cost = Cost { deliveries, ..Cost::default() };
        self.delivered += cost.deliveries;
        (self.clients.segments, self.clients.bytes) = (0, 0);
        for _ in 0..messages {
            self.controls.publish(message).expect("room for it");
        }
        while self.controls.totals().deliveries_sent < self.delivered {
            cost.out += self.turn();
            self.clients.take_in(&mut self.wire.borrow_mut(), &[]);
        }
        cost.segments = self.clients.segments;
        cost.acknowledged = self.acknowledge_all();
        cost
    }

    fn acknowledge_all(&mut self) -> Duration {
        let mut time = Duration::ZERO;
        let due = self.clients.due();
        for first in (0..due).step_by(ACKS_TOGETHER) {
            let last = due.min(first + ACKS_TOGETHER);
            self.clients.acknowledge(first..last, &mut self.wire.borrow_mut());
            while !self.wire.borrow().to_server.is_empty() {
                time += self.turn();
            }
        }
        self.clients.settle();
        time
    }

    fn turn(&mut self) -> Duration {
        let start = Instant::now();
        self.worker.turn().expect("nothing here fails");
        start.elapsed()
    }
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
