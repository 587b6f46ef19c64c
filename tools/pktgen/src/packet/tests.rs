//! Clients against a server that says what a test wants, segment by segment.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::{Duration, Instant};

use hioload_net::{FramePort, MemoryFrame, MemoryPort, PortFrame, WireOptions};

use super::arp::{self, Arp, Operation};
use super::segment::{
    ACK, FIN, Frame, HEADER_BYTES, SYN, SYN_OPTIONS_BYTES, Segment, Template, Words,
    write_syn_options,
};
use super::{AckPolicy, Addresses, Options, PacketTransport};
use crate::transport::{Event, Transport};

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 8080);
/// What the server says first is one less.
const BEGIN: u32 = 1000;
const MSS: u16 = 1000;
/// The type of a frame of ARP.
const ARP: [u8; 2] = [0x08, 0x06];
/// Longer than two timeouts of a client, by far.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client, and the other end of its wire.
struct Scene {
    clients: PacketTransport<MemoryPort>,
    server: MemoryPort,
    /// What the server has of the client's bytes: the number of the next one.
    expected: u32,
    client: SocketAddrV4,
}

impl Scene {
    /// The client is connected.
    fn new() -> Self {
        let (port, server) = MemoryPort::pair(&WireOptions::default());
        let network = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 1, 0, 0), 24);
        let options = Options {
            server: SERVER,
            addresses: Addresses::new(network, 1, &[]).expect("room for one"),
            strays: None,
            gateway: None,
            via: None,
            acks: AckPolicy::Each,
            clients: 1,
            timeout: PATIENCE,
        };
        let clients = PacketTransport::new(port, options);
        let mut scene = Self { clients, server, expected: 0, client: SERVER };
        let mac = scene.server.capabilities().mac;
        scene.clients.template.set_next_hop(mac);
        scene.clients.connect(0).expect("it begins");
        let syn = scene.hear().pop().map(|(_, syn)| syn).expect("a SYN");
        assert!(syn.has(SYN));
        scene.client = SocketAddrV4::new(syn.source.into(), syn.source_port);
        scene.expected = syn.sequence.wrapping_add(1);
        scene.say(mac, BEGIN - 1, SYN | ACK, 0);
        let events = scene.turn();
        assert!(matches!(events[..], [Event::Connected(0)]), "{events:?}");
        scene.hear();
        scene
    }

    fn turn(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.clients.poll(Duration::ZERO, &mut events).expect("it goes on");
        events
    }

    /// The server sends a segment with so many bytes of payload, from a station that it names.
    fn say(&mut self, mac: [u8; 6], sequence: u32, flags: u8, payload_bytes: usize) {
        let options_bytes = if flags & SYN == 0 { 0 } else { SYN_OPTIONS_BYTES };
        let mut frame = self.server.frame().expect("memory");
        assert!(frame.resize(HEADER_BYTES + options_bytes + payload_bytes));
        if flags & SYN != 0 {
            write_syn_options(&mut frame[HEADER_BYTES..], MSS, 0);
        }
        let mut template = Template::new(mac, self.client, (false, false));
        template.set_next_hop(self.clients.port.capabilities().mac);
        let acknowledged = self.expected;
        let words = Words { source: SERVER, sequence, acknowledged, flags, window: u16::MAX };
        template.write(&mut frame, &words, options_bytes);
        self.server.send(Instant::now(), frame, None);
    }

    /// The frames that have come to the server's port, whoever they are for.
    fn frames(&mut self) -> Vec<MemoryFrame> {
        let mut frames = Vec::new();
        self.server.receive(Instant::now(), &mut frames);
        frames
    }

    /// The segments among them, and the stations that they are for.
    fn hear(&mut self) -> Vec<([u8; 6], Segment)> {
        let frames = self.frames();
        let segments =
            frames.iter().filter_map(|frame| match Segment::read(frame, frame.checksum()) {
                Frame::Tcp(segment) => Some((*frame.first_chunk().expect("a header"), segment)),
                _ => None,
            });
        segments.collect()
    }

    /// The station `mac` says where it is to those who ask. Whether a segment came to it.
    fn answers_questions_until_it_is_sent_something(&mut self, mac: [u8; 6]) -> bool {
        for frame in self.frames() {
            let asked = Arp::read(&frame).filter(|it| it.operation == Operation::Request);
            if let (Some(question), ARP) = (asked, [frame[12], frame[13]]) {
                let mut answer = self.server.frame().expect("memory");
                assert!(answer.resize(arp::FRAME_BYTES));
                question.answer(mac).write(&mut answer);
                self.server.send(Instant::now(), answer, None);
            } else if frame[..6] == mac {
                return true;
            }
        }
        false
    }
}

#[test]
fn whoever_had_to_send_again_is_told_when_all_of_it_is_acknowledged_at_once() {
    let mut scene = Scene::new();
    let bytes = usize::from(MSS) * 3;
    scene.clients.send(0, &vec![7; bytes]).expect("it is connected");
    assert!(!scene.clients.is_blocked(0), "all of it is on its way");

    let began = Instant::now();
    while !scene.clients.is_blocked(0) {
        assert!(began.elapsed() < PATIENCE, "nothing is sent again");
        scene.turn();
    }
    // The first of its segments has gone out again; the acknowledgements had only been late.
    let mac = scene.server.capabilities().mac;
    scene.expected = scene.expected.wrapping_add(u32::try_from(bytes).expect("a few"));
    scene.say(mac, BEGIN, ACK, 0);

    let events = scene.turn();
    assert!(matches!(events[..], [Event::Writable(0)]), "{events:?}");
    assert!(!scene.clients.is_blocked(0));
}

#[test]
fn who_is_not_answered_asks_for_the_next_hop_that_a_damaged_frame_was_taken_for() {
    let mut scene = Scene::new();
    let (mac, nobody) = (scene.server.capabilities().mac, [2, 0xff, 0, 0, 0, 0]);
    // No checksum covers the header of Ethernet.
    scene.say(nobody, BEGIN, ACK, 0);
    scene.turn();
    scene.clients.send(0, b"hello").expect("it is connected");
    let heard = scene.hear();
    assert!(heard.iter().all(|(station, _)| *station == nobody), "{heard:?}");

    let began = Instant::now();
    while !scene.answers_questions_until_it_is_sent_something(mac) {
        assert!(began.elapsed() < PATIENCE, "nothing comes to the server");
        scene.turn();
    }
}

#[test]
fn a_client_that_did_not_read_and_ends_has_room_again_for_what_the_server_still_has() {
    let mut scene = Scene::new();
    scene.clients.hold(0, true);
    let mac = scene.server.capabilities().mac;
    scene.say(mac, BEGIN, ACK, MSS.into());
    scene.turn();
    let windows: Vec<u16> = scene.hear().iter().map(|(_, segment)| segment.window).collect();

    assert!(!scene.clients.finish(0), "the server has to end its half");
    let heard = scene.hear();
    let fin = heard.iter().find(|(_, segment)| segment.has(FIN)).map(|(_, fin)| fin);
    let fin = fin.expect("the end of its half");
    assert!(windows.iter().all(|window| *window < fin.window), "{windows:?} {fin:?}");
}

#[test]
fn the_longest_time_in_which_nobody_looked_is_kept() {
    let mut scene = Scene::new();
    let pause = Duration::from_millis(50);
    thread::sleep(pause);
    scene.turn();
    let longest = scene.clients.longest_pause();
    assert!(longest >= Some(pause), "{longest:?}");
    scene.turn();
    assert!(scene.clients.longest_pause() >= longest);
}
