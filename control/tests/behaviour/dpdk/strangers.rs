//! Clients that vanish: a TCP of the test's own, which goes so far and then says nothing more, not
//! even that it knows of no connection.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet,
    Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use crate::client::{FIN, PATIENCE, TEXT, frame, upgrade_request};
use crate::dpdk::packets::{Mac, PacketSocket, Reads};

/// Handshakes under way at one time.
const AT_ONCE: usize = 64;
/// What is not answered by then was lost.
const REPEAT_AFTER: Duration = Duration::from_millis(200);

/// Connections of a host, from the first port on.
const PORTS: usize = 50_000;
const PORT_FIRST: u16 = 1024;

const FRAME_BYTES_MAX: usize = 2048;

/// How far a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// It never acknowledges the server's SYN.
    Syn,
    /// It is connected and says nothing.
    Connected,
    /// The first half of a request is all that comes.
    HalfARequest,
    /// It has asked for a session, and acknowledges no answer.
    Asked,
    /// It has a session and is in the middle of a message.
    HalfAMessage,
}

/// Hosts that the kernel does not know of, at its end of the port's wire.
pub(crate) struct Strangers {
    socket: PacketSocket,
    server: SocketAddrV4,
    server_mac: Mac,
    /// Connections so far.
    begun: usize,
    /// By the number of the connection.
    under_way: HashMap<usize, Connection>,
}

struct Connection {
    until: Until,
    step: Step,
    /// Behind what it has sent.
    sequence: TcpSeqNumber,
    /// What it sent last, and when.
    frame: Vec<u8>,
    sent: Instant,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    SynAck,
    Answer,
    Acknowledgement,
}

impl Strangers {
    pub(crate) fn on(interface: &str, server: SocketAddr, server_mac: Mac) -> Self {
        let SocketAddr::V4(server) = server else { panic!("{server} is not IPv4") };
        let socket = PacketSocket::on(interface, Reads::Ipv4);
        socket.set_patience(REPEAT_AFTER);
        Self { socket, server, server_mac, begun: 0, under_way: HashMap::new() }
    }

    /// Has so many clients come and vanish, as far as `until` says of each by its number.
    pub(crate) fn come(&mut self, count: usize, until: impl Fn(usize) -> Until) {
        let start = Instant::now();
        let end = self.begun + count;
        let mut buffer = [0; FRAME_BYTES_MAX];
        while self.begun < end || !self.under_way.is_empty() {
            assert!(start.elapsed() < PATIENCE, "{} are not answered", self.under_way.len());
            while self.begun < end && self.under_way.len() < AT_ONCE {
                self.begin(until(self.begun));
            }
            match self.socket.receive(&mut buffer) {
                Some(frame) => self.take(frame),
                None => self.repeat(),
            }
        }
    }

    fn begin(&mut self, until: Until) {
        let sequence = TcpSeqNumber(1);
        let frame = self.segment(self.begun, TcpControl::Syn, sequence, None, b"");
        self.socket.send(&frame);
        let sequence = sequence + 1;
        let connection =
            Connection { until, step: Step::SynAck, sequence, frame, sent: Instant::now() };
        self.under_way.insert(self.begun, connection);
        self.begun += 1;
    }

    /// Frames get lost when the kernel has no room for them.
    fn repeat(&mut self) {
        let now = Instant::now();
        for connection in self.under_way.values_mut() {
            if now - connection.sent >= REPEAT_AFTER {
                self.socket.send(&connection.frame);
                connection.sent = now;
            }
        }
    }

    fn take(&mut self, frame: &[u8]) {
        let Some(heard) = self.heard(frame) else { return };
        let Some(mut connection) = self.under_way.remove(&heard.number) else { return };
        assert!(!heard.is_reset, "refused in the end: {:?}", connection.until);
        let is_heard = heard.acknowledged == Some(connection.sequence);
        let words = match (connection.step, connection.until) {
            (Step::SynAck, _) if !heard.is_syn || !is_heard => None,
            (Step::SynAck, Until::Syn) => return,
            (Step::SynAck, Until::Connected) => {
                self.say(&mut connection, &heard, b"");
                return;
            }
            (Step::SynAck, Until::HalfARequest) => {
                connection.step = Step::Acknowledgement;
                Some(upgrade_request("").into_bytes()[..60].to_vec())
            }
            (Step::SynAck, Until::Asked | Until::HalfAMessage) => {
                connection.step = Step::Answer;
                Some(upgrade_request("").into_bytes())
            }
            (Step::Answer, _) if heard.payload_bytes == 0 || heard.is_syn => None,
            (Step::Answer, Until::HalfAMessage) => {
                connection.step = Step::Acknowledgement;
                Some(frame_of_a_message()[..20].to_vec())
            }
            (Step::Answer, _) => return,
            (Step::Acknowledgement, _) if is_heard => return,
            (Step::Acknowledgement, _) => None,
        };
        if let Some(words) = words {
            self.say(&mut connection, &heard, &words);
        }
        self.under_way.insert(heard.number, connection);
    }

    /// Answers what was heard.
    fn say(&self, connection: &mut Connection, heard: &Heard, words: &[u8]) {
        let (sequence, until) = (connection.sequence, Some(heard.sent_until));
        let control = if words.is_empty() { TcpControl::None } else { TcpControl::Psh };
        connection.frame = self.segment(heard.number, control, sequence, until, words);
        connection.sequence = sequence + words.len();
        connection.sent = Instant::now();
        self.socket.send(&connection.frame);
    }

    fn segment(
        &self,
        number: usize,
        control: TcpControl,
        sequence: TcpSeqNumber,
        acknowledged: Option<TcpSeqNumber>,
        payload: &[u8],
    ) -> Vec<u8> {
        let client = client(number);
        let tcp = TcpRepr {
            src_port: client.port(),
            dst_port: self.server.port(),
            control,
            seq_number: sequence,
            ack_number: acknowledged,
            window_len: u16::MAX,
            window_scale: None,
            max_seg_size: (control == TcpControl::Syn).then_some(1460),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let ip = Ipv4Repr {
            src_addr: *client.ip(),
            dst_addr: *self.server.ip(),
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let ethernet = EthernetRepr {
            src_addr: EthernetAddress(HOST),
            dst_addr: EthernetAddress(self.server_mac),
            ethertype: EthernetProtocol::Ipv4,
        };
        let (tcp_at, checksums) = (14 + ip.buffer_len(), ChecksumCapabilities::default());
        let mut frame = vec![0; tcp_at + tcp.buffer_len()];
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &checksums);
        let packet = &mut TcpPacket::new_unchecked(&mut frame[tcp_at..]);
        tcp.emit(packet, &ip.src_addr.into(), &ip.dst_addr.into(), &checksums);
        frame
    }

    /// What a frame tells a stranger; `None` when it is for somebody else.
    fn heard(&self, frame: &[u8]) -> Option<Heard> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.dst_addr() != EthernetAddress(HOST) {
            return None;
        }
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
        let payload_bytes = tcp.payload().len();
        Some(Heard {
            number: number(SocketAddrV4::new(ip.dst_addr(), tcp.dst_port())),
            is_syn: tcp.syn(),
            is_reset: tcp.rst(),
            acknowledged: tcp.ack().then(|| tcp.ack_number()),
            sent_until: tcp.seq_number() + payload_bytes + usize::from(tcp.syn()),
            payload_bytes,
        })
    }
}

/// What the server says in a segment.
struct Heard {
    number: usize,
    is_syn: bool,
    is_reset: bool,
    acknowledged: Option<TcpSeqNumber>,
    /// Behind its last byte.
    sent_until: TcpSeqNumber,
    payload_bytes: usize,
}

/// All of them come through one machine.
const HOST: Mac = [0x02, 0, 0, 0, 0, 0x77];

fn frame_of_a_message() -> Vec<u8> {
    frame(FIN | TEXT, "nobody will ever hear this".as_bytes())
}

/// Where a connection comes from.
fn client(number: usize) -> SocketAddrV4 {
    let host = u8::try_from(number / PORTS).expect("fewer connections");
    let port = u16::try_from(number % PORTS).expect("below the count of ports");
    SocketAddrV4::new(Ipv4Addr::new(172, 31, 16, host), PORT_FIRST + port)
}

fn number(client: SocketAddrV4) -> usize {
    let [.., host] = client.ip().octets();
    usize::from(host) * PORTS + usize::from(client.port() - PORT_FIRST)
}
