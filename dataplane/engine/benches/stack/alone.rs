//! The stack without anything above the seam.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_mem::Arena;
use hioload_net::{
    Event, FlowId, FlowLimit, HashKey, Idle, PortOptions, Routers, StackOptions, StackPort,
    StackStats, StackStreams, StackWaker, Streams,
};

use crate::clients::{Clients, SERVER, SERVER_PORT};
use crate::wire::{Port, Wire};
use crate::{ACKS_TOGETHER, Cost, FLOWS_TOGETHER, RECEIVE_RING_BYTES, SEND_RING_BYTES};

/// As the worker has it.
const SLOTS_AHEAD: usize = 24;
const FLUSHES_AHEAD: usize = 6;

pub(crate) fn streams<'a>(
    arena: &'a Arena,
    count: usize,
    wire: &Rc<RefCell<Wire>>,
) -> StackStreams<'a, Port> {
    let port_options = PortOptions {
        addresses: vec!["10.0.0.1/8".parse().expect("a network")],
        vlan: None,
        routers: Arc::new(Routers::default()),
        speaks: false,
    };
    let options = StackOptions {
        listen: vec![(SERVER, SERVER_PORT).into()],
        receive_ring_bytes: RECEIVE_RING_BYTES,
        send_ring_bytes: SEND_RING_BYTES,
        flows_max: count,
        flows_in_all: Arc::new(FlowLimit::new(count)),
        half_open_max: count,
        time_wait_max: 16,
        keepalive: None,
        nodelay: true,
        idle: Idle::Busy,
        seed: HashKey(1, 2),
        admit: Box::new(|_| true),
    };
    let (waker, stats) = (Arc::new(StackWaker::default()), Arc::new(StackStats::default()));
    let port = Port(Rc::clone(wire));
    let ports = vec![StackPort { port, options: port_options, handover: None }];
    StackStreams::new(arena, ports, options, &waker, stats, Instant::now())
}

pub(crate) struct Alone<'a> {
    streams: StackStreams<'a, Port>,
    flows: Vec<FlowId>,
    events: Vec<Event>,
    wire: Rc<RefCell<Wire>>,
    clients: Clients,
    message: Vec<u8>,
}

impl<'a> Alone<'a> {
    pub(crate) fn new(arena: &'a Arena, count: usize, message: &[u8]) -> Self {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let mut this = Self {
            streams: streams(arena, count, &wire),
            flows: Vec::new(),
            events: Vec::new(),
            wire,
            clients: Clients::new(count, true),
            message: message.to_vec(),
        };
        for number in 0..count {
            this.clients.connect(number, &mut this.wire.borrow_mut());
            this.poll();
            this.clients.take_in(&mut this.wire.borrow_mut(), &[]);
            this.poll();
        }
        assert_eq!(this.flows.len(), count);
        this
    }

    /// The message to everybody, and everybody's acknowledgement.
    pub(crate) fn round(&mut self) -> Cost {
        let mut cost = Cost::default();
        for first in (0..self.flows.len()).step_by(FLOWS_TOGETHER) {
            let last = self.flows.len().min(first + FLOWS_TOGETHER);
            let start = Instant::now();
            for number in first..last {
                if let Some(later) = self.flows.get(number + SLOTS_AHEAD) {
                    self.streams.prefetch(*later);
                }
                if let Some(next) = self.flows.get(number + FLUSHES_AHEAD) {
                    self.streams.prefetch_flush(*next, self.message.len());
                }
                assert!(self.streams.deliver(self.flows[number], 1, &self.message));
            }
            cost.out += start.elapsed();
            self.clients.take_in(&mut self.wire.borrow_mut(), &[]);
        }
        assert_eq!(self.clients.due(), self.flows.len());
        for first in (0..self.flows.len()).step_by(ACKS_TOGETHER) {
            let last = self.flows.len().min(first + ACKS_TOGETHER);
            self.clients.acknowledge(first..last, &mut self.wire.borrow_mut());
            cost.acknowledged += self.poll();
        }
        self.clients.settle();
        cost.deliveries = self.flows.len() as u64;
        cost
    }

    /// Until all that has come is taken in.
    fn poll(&mut self) -> Duration {
        let start = Instant::now();
        while !self.wire.borrow().to_server.is_empty() {
            let (now, events) = (Instant::now(), &mut self.events);
            self.streams.poll(now, Some(Duration::ZERO), events).expect("it goes on");
            for event in events.drain(..) {
                if let Event::Opened(flow) = event {
                    self.flows.push(flow.id);
                }
            }
        }
        start.elapsed()
    }
}
