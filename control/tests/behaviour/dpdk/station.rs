//! A host without a kernel: `smoltcp` over a port of DPDK that shares memory with the server's.

use std::cell::RefCell;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::slice;
use std::thread;
use std::time::Instant;

use hioload_dpdk::{
    Eal, EalOptions, LogLevel, Mempool, MempoolOptions, Port, PortOptions, Started, StartedPort,
};
use hioload_mem::affinity::allowed_cpus;
use hioload_net::{BURST_MAX, DpdkFrame, DpdkPort, FramePort, PortFrame};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

use super::wire::{file_prefix, memif, memif_socket};
use crate::client::{Client, PATIENCE};
use crate::scene::wait_until;

/// Enough for two small pools and what EAL has for itself.
const MEMORY_MIB: u32 = 32;
const RX_MBUFS: u32 = 2047;
const TX_MBUFS: u32 = 1023;

/// Holds what others say while a client of the same station waits.
const SOCKET_BYTES: usize = 64 << 10;

/// A host at the other end of [`Wire::Memif`](super::wire::Wire::Memif), which has to be served when
/// it starts. Clones are the same one. It does nothing unless one of its clients waits.
#[derive(Clone)]
pub(crate) struct Station(Rc<RefCell<Host>>);

struct Host {
    interface: Interface,
    sockets: SocketSet<'static>,
    cable: Cable,
    started: StartedPort,
    pools: Vec<Mempool>,
    begin: Instant,
    next_port: u16,
}

/// The device that `smoltcp` sees.
struct Cable {
    port: DpdkPort,
    arrived: Vec<DpdkFrame>,
    longest: usize,
}

/// A connection of a station: one end of a byte stream, which is waited for as on a socket of the
/// kernel's. Meanwhile the others of the station go on.
pub(crate) struct Stream {
    station: Station,
    socket: SocketHandle,
}

impl Station {
    /// Starts DPDK in this process, and waits for the link.
    pub(crate) fn start() -> Self {
        let mut options = EalOptions::new(format!("{}-station", file_prefix()), MEMORY_MIB);
        options.lcores.control_cpus = allowed_cpus().expect("the CPUs of this thread");
        options.log_level = LogLevel::Critical;
        options.virtual_devices = vec![memif("client")];
        let eal = Eal::start(&options).expect("a second DPDK");
        let pools = [("rx", RX_MBUFS), ("tx", TX_MBUFS)].map(|(name, mbufs)| {
            let name = name.to_owned();
            let options = MempoolOptions { name, mbufs, cache: 0, data_bytes: 2048, node: None };
            Mempool::new(&eal, &options).expect("memory for frames")
        });
        let port = Port::find(&eal, "net_memif0").expect("it was asked for");
        let Started { port: started, mut queues } =
            port.start(&PortOptions::default(), slice::from_ref(&pools[0])).expect("it starts");
        let port = DpdkPort::new(&started, queues.remove(0), pools[1].clone(), BURST_MAX)
            .expect("they fit");
        wait_until("a link", || {
            started.refresh_link().expect("the port says");
            started.link().is_up()
        });
        let mac = port.capabilities().mac;
        let mut cable = Cable { port, arrived: Vec::new(), longest: 0 };
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        config.random_seed = 1;
        let mut interface = Interface::new(config, &mut cable, StackInstant::ZERO);
        interface.update_ip_addrs(|list| {
            for address in ["172.31.0.2/16", "fd31::2/64"] {
                let address: IpCidr = address.parse().expect("an address");
                list.push(address).expect("room");
            }
        });
        Self(Rc::new(RefCell::new(Host {
            interface,
            sockets: SocketSet::new(Vec::new()),
            cable,
            started,
            pools: pools.into(),
            begin: Instant::now(),
            next_port: 40_000,
        })))
    }

    /// A WebSocket session of a new connection.
    pub(crate) fn client(&self, address: SocketAddr) -> Client<Stream> {
        let mut client = Client::on(self.connect(address));
        client.upgrade("");
        client
    }

    fn connect(&self, address: SocketAddr) -> Stream {
        let socket = {
            let host = &mut *self.0.borrow_mut();
            let buffer = || SocketBuffer::new(vec![0; SOCKET_BYTES]);
            let mut socket = Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            socket.set_ack_delay(None);
            host.next_port += 1;
            socket
                .connect(host.interface.context(), address, host.next_port)
                .expect("it can be asked for");
            host.sockets.add(socket)
        };
        let stream = Stream { station: self.clone(), socket };
        stream.wait(|socket| socket.may_send().then_some(Ok(()))).expect("the server accepts");
        stream
    }

    /// Bytes of the longest frame that has come.
    pub(crate) fn longest_frame(&self) -> usize {
        self.0.borrow().cable.longest
    }

    /// Ends, after the server has, and gives its pools: what is in use of them is lost.
    ///
    /// DPDK 22.11 unmaps the memory from a thread of its own as soon as the other process has ended,
    /// and neither looks whether the port is polled at this moment nor keeps others from closing it.
    /// Either could crash this process. So nobody may have waited for anything since the server began
    /// to end, and the port is closed only after that thread has done its work.
    pub(crate) fn end_after_server(self) -> Vec<Mempool> {
        wait_until("the shared memory is given back", || {
            let maps = fs::read_to_string("/proc/self/maps").expect("what is mapped");
            !maps.contains("memif_region")
        });
        wait_until("the thread that did so sleeps", interrupt_thread_sleeps);
        let host = Rc::into_inner(self.0).expect("all clients are gone").into_inner();
        let Host { cable, started, pools, .. } = host;
        drop((cable, started));
        pools
    }
}

/// Whether the thread in which EAL's drivers hear of the outside waits for news.
fn interrupt_thread_sleeps() -> bool {
    let threads = fs::read_dir("/proc/self/task").expect("the threads of this process");
    let stats = threads.filter_map(|thread| {
        let path = thread.expect("a thread").path();
        // One may have ended meanwhile.
        fs::read_to_string(path.join("stat")).ok()
    });
    // Number, name in brackets, state. Later versions call it `dpdk-intr`.
    let is_it =
        |stat: &String| ["(eal-intr-thread)", "(dpdk-intr)"].iter().any(|it| stat.contains(it));
    stats.filter(is_it).any(|stat| stat.contains(") S "))
}

impl Host {
    fn turn(&mut self) {
        let micros = self.begin.elapsed().as_micros();
        let now = StackInstant::from_micros(i64::try_from(micros).expect("tests are short"));
        self.interface.poll(now, &mut self.cable, &mut self.sockets);
        self.cable.port.flush(Instant::now());
    }
}

impl Stream {
    /// Takes turns until there is something to be said of the socket. What is there already is said
    /// without a turn.
    fn wait<T>(
        &self,
        mut fact: impl FnMut(&mut Socket<'static>) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let host = &mut *self.station.0.borrow_mut();
        let begin = Instant::now();
        loop {
            if let Some(result) = fact(host.sockets.get_mut(self.socket)) {
                return result;
            }
            if begin.elapsed() >= PATIENCE {
                return Err(ErrorKind::TimedOut.into());
            }
            host.turn();
            thread::yield_now();
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.wait(|socket| match socket.recv_slice(bytes) {
            Ok(0) => None,
            Ok(count) => Some(Ok(count)),
            Err(RecvError::Finished) => Some(Ok(0)),
            Err(RecvError::InvalidState) => Some(Err(ErrorKind::ConnectionReset.into())),
        })
    }
}

impl Write for Stream {
    /// Sends at once what the window of the server has room for.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.wait(|socket| match socket.send_slice(bytes) {
            Ok(0) => None,
            Ok(count) => Some(Ok(count)),
            Err(_) => Some(Err(ErrorKind::BrokenPipe.into())),
        })?;
        self.station.0.borrow_mut().turn();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // A server that is killed leaves it.
        let _ = fs::remove_file(memif_socket());
    }
}

impl Device for Cable {
    type RxToken<'t> = Arrived;
    type TxToken<'t> = Leaving<'t>;

    fn receive(&mut self, _: StackInstant) -> Option<(Arrived, Leaving<'_>)> {
        if self.arrived.is_empty() {
            self.port.receive(Instant::now(), &mut self.arrived);
            // Taken from the end.
            self.arrived.reverse();
        }
        let frame = self.arrived.pop()?;
        self.longest = self.longest.max(frame.len());
        Some((Arrived(frame), Leaving(&mut self.port)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Leaving<'_>> {
        Some(Leaving(&mut self.port))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.port.capabilities().mtu + 14;
        capabilities
    }
}

struct Arrived(DpdkFrame);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Leaving<'t>(&'t mut DpdkPort);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // The pool has more than can wait for the port.
        let mut frame = self.0.frame().expect("memory");
        assert!(frame.resize(len), "{len} bytes are longer than a frame");
        let result = f(&mut frame);
        self.0.send(Instant::now(), frame, None);
        result
    }
}
