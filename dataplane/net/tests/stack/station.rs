//! Another station on the wire: `smoltcp` as it comes, with Ethernet.

use std::time::Instant;

use hioload_net::{FramePort, MemoryFrame, MemoryPort, PortFrame};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint};

pub(crate) struct Station {
    pub(crate) wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    next_port: u16,
}

/// The device that `smoltcp` sees, and what it has seen.
pub(crate) struct Wire {
    pub(crate) port: MemoryPort,
    pub(crate) now: Instant,
    arrived: Vec<MemoryFrame>,
    /// The VLAN that it is in.
    pub(crate) vlan: Option<u16>,
    /// Another port of the station, and whether frames leave there.
    pub(crate) spare: Option<MemoryPort>,
    leaves_by_spare: bool,
    /// Every frame that came, when somebody wants to know.
    pub(crate) seen: Option<Vec<Vec<u8>>>,
    /// Every frame that went, likewise.
    pub(crate) sent: Option<Vec<Vec<u8>>>,
}

impl Station {
    pub(crate) fn new(port: MemoryPort, address: &str, now: Instant) -> Self {
        let mac = port.capabilities().mac;
        let mut wire = Wire {
            port,
            now,
            arrived: Vec::new(),
            vlan: None,
            spare: None,
            leaves_by_spare: false,
            seen: None,
            sent: None,
        };
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        config.random_seed = 1;
        let mut interface = Interface::new(config, &mut wire, StackInstant::ZERO);
        let address: IpCidr = address.parse().expect("an address");
        interface.update_ip_addrs(|list| list.push(address).expect("room"));
        Self { wire, interface, sockets: SocketSet::new(Vec::new()), next_port: 40_000 }
    }

    pub(crate) fn add_address(&mut self, address: &str) {
        let address: IpCidr = address.parse().expect("an address");
        self.interface.update_ip_addrs(|list| list.push(address).expect("room"));
    }

    pub(crate) fn set_addresses(&mut self, addresses: &[&str]) {
        self.interface.update_ip_addrs(|list| while list.pop().is_some() {});
        addresses.iter().for_each(|address| self.add_address(address));
    }

    /// It is another station from here on, with the same connections.
    pub(crate) fn set_mac(&mut self, mac: [u8; 6]) {
        self.wire.port.set_mac(mac);
        self.interface.set_hardware_addr(HardwareAddress::Ethernet(EthernetAddress(mac)));
    }

    /// Begins to connect.
    pub(crate) fn connect(&mut self, to: &str) -> SocketHandle {
        self.next_port += 1;
        self.connect_from(to, self.next_port)
    }

    pub(crate) fn connect_from(&mut self, to: &str, port: u16) -> SocketHandle {
        let to: std::net::SocketAddr = to.parse().expect("an address");
        let buffer = || SocketBuffer::new(vec![0; 8192]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let to = IpEndpoint::new(IpAddress::from(to.ip()), to.port());
        socket.connect(self.interface.context(), to, port).expect("it can be asked for");
        self.sockets.add(socket)
    }

    pub(crate) fn turn(&mut self, now: Instant, at: StackInstant) {
        self.wire.now = now;
        self.interface.poll(at, &mut self.wire, &mut self.sockets);
        self.wire.port.flush(now);
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(crate) fn state(&mut self, handle: SocketHandle) -> State {
        self.socket(handle).state()
    }

    /// Takes the socket away without a word to the other side.
    pub(crate) fn vanish(&mut self, handle: SocketHandle) {
        drop(self.sockets.remove(handle));
    }

    pub(crate) fn send(&mut self, handle: SocketHandle, bytes: &[u8]) {
        let sent = self.socket(handle).send_slice(bytes).expect("it is open");
        assert_eq!(sent, bytes.len(), "the client's ring is large enough");
    }

    pub(crate) fn received(&mut self, handle: SocketHandle) -> Vec<u8> {
        let mut bytes = vec![0; 8192];
        let len = self.socket(handle).recv_slice(&mut bytes).unwrap_or(0);
        bytes.truncate(len);
        bytes
    }
}

impl Device for Wire {
    type RxToken<'t> = Arrived;
    type TxToken<'t> = Leaving<'t>;

    fn receive(&mut self, _: StackInstant) -> Option<(Arrived, Leaving<'_>)> {
        if self.arrived.is_empty() {
            self.port.receive(self.now, &mut self.arrived);
        }
        if self.arrived.is_empty() {
            return None;
        }
        let frame = self.arrived.remove(0);
        self.seen.iter_mut().for_each(|seen| seen.push(frame.to_vec()));
        let mut frame = frame.to_vec();
        if let Some(vlan) = self.vlan
            && frame[12..16] == [&[0x81, 0x00][..], &vlan.to_be_bytes()].concat()
        {
            frame.drain(12..16);
        }
        Some((Arrived(frame), Leaving(self)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Leaving<'_>> {
        Some(Leaving(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.port.capabilities().mtu + 14;
        capabilities
    }
}

pub(crate) struct Arrived(Vec<u8>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(crate) struct Leaving<'t>(&'t mut Wire);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        if let Some(vlan) = self.0.vlan {
            let tag = [[0x81, 0x00], vlan.to_be_bytes()].concat();
            bytes.splice(12..12, tag);
        }
        self.0.send(&bytes);
        result
    }
}

impl Wire {
    /// Frames leave by the other port from here on.
    pub(crate) fn change_way_out(&mut self) {
        self.leaves_by_spare = !self.leaves_by_spare;
    }

    /// Sends a frame as it is.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.sent.iter_mut().for_each(|sent| sent.push(bytes.to_vec()));
        let port = match &mut self.spare {
            Some(spare) if self.leaves_by_spare => spare,
            _ => &mut self.port,
        };
        let mut frame = port.frame().expect("memory");
        assert!(frame.resize(bytes.len()));
        frame.copy_from_slice(bytes);
        port.send(self.now, frame, None);
    }
}
