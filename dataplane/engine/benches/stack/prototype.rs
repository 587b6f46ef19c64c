//! What deliveries are compared with: `smoltcp` with a socket set per connection and nothing else
//! but rings in one arena, frames that are used again, and prefetching of what is sent next.
//!
//! No frame has a link header, no connection is looked up, no timer is kept.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hioload_mem::{Arena, Place};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{self, SocketBuffer};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Address};

use crate::clients::{Clients, SERVER, SERVER_PORT};
use crate::wire::{Frame, Wire};
use crate::{ACKS_TOGETHER, Cost, FLOWS_TOGETHER, RECEIVE_RING_BYTES, SEND_RING_BYTES};

/// Connections ahead of the one in hand whose socket is fetched, and whose ring is.
const SOCKETS_AHEAD: usize = 6;
const RINGS_AHEAD: usize = 3;

struct Flow<'a> {
    set: SocketSet<'a>,
    socket: Place,
    ring: Place,
}

pub(crate) struct Prototype<'a> {
    interface: Interface,
    flows: Vec<Flow<'a>>,
    wire: Rc<RefCell<Wire>>,
    clients: Clients,
    origin: Instant,
}

impl<'a> Prototype<'a> {
    pub(crate) fn new(arena: &'a Arena, count: usize) -> Self {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let mut device = BareDevice { wire: Rc::clone(&wire), came: None };
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut device, StackInstant::ZERO);
        interface.update_ip_addrs(|list| {
            let address = Ipv4Address::from(SERVER);
            list.push(IpCidr::new(address.into(), 8)).expect("room for one");
        });
        let flows = (0..count).map(|_| flow(arena)).collect();
        let clients = Clients::new(count, false);
        let mut this = Self { interface, flows, wire, clients, origin: Instant::now() };
        for number in 0..count {
            this.clients.connect(number, &mut this.wire.borrow_mut());
            this.receive_all();
            let mut device = BareDevice { wire: Rc::clone(&this.wire), came: None };
            let at = this.at();
            this.interface.poll_egress(at, &mut device, &mut this.flows[number].set);
            this.clients.take_in(&mut this.wire.borrow_mut(), &[]);
            this.receive_all();
            let socket: &tcp::Socket<'_> = this.flows[number].set.get(SocketHandle::default());
            assert_eq!(socket.state(), tcp::State::Established);
        }
        this
    }

    /// `message` to everybody, and everybody's acknowledgement.
    pub(crate) fn round(&mut self, message: &[u8]) -> Cost {
        let mut cost = Cost::default();
        let count = self.flows.len();
        for first in (0..count).step_by(FLOWS_TOGETHER) {
            let last = count.min(first + FLOWS_TOGETHER);
            let start = Instant::now();
            let at = self.at();
            let mut device = BareDevice { wire: Rc::clone(&self.wire), came: None };
            for number in first..last {
                if let Some(next) = self.flows.get(number + SOCKETS_AHEAD) {
                    next.socket.prefetch(size_of::<SocketStorage<'_>>());
                }
                if let Some(next) = self.flows.get(number + RINGS_AHEAD) {
                    next.ring.prefetch(message.len());
                }
                let set = &mut self.flows[number].set;
                let socket = set.get_mut::<tcp::Socket<'_>>(SocketHandle::default());
                assert_eq!(socket.send_slice(message), Ok(message.len()));
                self.interface.poll_egress(at, &mut device, set);
            }
            cost.out += start.elapsed();
            self.clients.take_in(&mut self.wire.borrow_mut(), &[]);
        }
        assert_eq!(self.clients.due(), count);
        for first in (0..count).step_by(ACKS_TOGETHER) {
            let last = count.min(first + ACKS_TOGETHER);
            self.clients.acknowledge(first..last, &mut self.wire.borrow_mut());
            cost.acknowledged += self.receive_all();
        }
        self.clients.settle();
        cost.deliveries = count as u64;
        cost
    }

    fn at(&self) -> StackInstant {
        let micros = self.origin.elapsed().as_micros();
        StackInstant::from_micros(i64::try_from(micros).expect("a short run"))
    }

    fn receive_all(&mut self) -> Duration {
        let start = Instant::now();
        let at = self.at();
        let mut device = BareDevice { wire: Rc::clone(&self.wire), came: None };
        loop {
            let came = self.wire.borrow_mut().to_server.pop_front();
            let Some(frame) = came else { break };
            let number = Clients::sender(&frame);
            device.came = Some(frame);
            self.interface.poll_ingress_single(at, &mut device, &mut self.flows[number].set);
        }
        start.elapsed()
    }
}

fn flow(arena: &Arena) -> Flow<'_> {
    let receive = arena.take(RECEIVE_RING_BYTES).expect("memory");
    let send = arena.take(SEND_RING_BYTES).expect("memory");
    let ring = Place::of(&*send);
    let (receive, send) = (SocketBuffer::new(receive), SocketBuffer::new(send));
    let mut socket = tcp::Socket::new(receive, send);
    socket.set_nagle_enabled(false);
    socket.listen(SERVER_PORT).expect("a port");
    let mut set = SocketSet::new(Vec::with_capacity(1));
    let handle = set.add(socket);
    let socket = Place::of(set.get::<tcp::Socket<'_>>(handle));
    Flow { set, socket, ring }
}

struct BareDevice {
    wire: Rc<RefCell<Wire>>,
    came: Option<Frame>,
}

struct Came(Frame);

struct Goes<'t>(&'t RefCell<Wire>);

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = Frame::take(len);
        let result = fill(&mut frame);
        self.0.borrow_mut().to_clients.push(frame);
        result
    }
}

impl Device for BareDevice {
    type RxToken<'t> = Came;
    type TxToken<'t> = Goes<'t>;

    fn receive(&mut self, _: StackInstant) -> Option<(Came, Goes<'_>)> {
        Some((Came(self.came.take()?), Goes(&self.wire)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Goes<'_>> {
        Some(Goes(&self.wire))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities.checksum.ipv4 = Checksum::None;
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}
