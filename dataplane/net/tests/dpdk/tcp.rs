//! The whole way below `Streams`: the kernel's TCP speaks with ours, over a tap of DPDK's.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hioload_buffer::{Pool, PoolOptions};
use hioload_dpdk::Port;
use hioload_mem::{Arena, ArenaPages};
use hioload_net::{
    DpdkPort, Event, FlowId, FlowLimit, FramePort, HashKey, Idle, PortOptions, Routers,
    StackOptions, StackPort, StackStats, StackStreams, StackWaker, Streams,
};

use crate::scene::{self, End};

/// Bytes that come back as they were sent.
const BYTES: usize = 300_000;

fn streams<'a>(arena: &'a Arena, port: DpdkPort) -> StackStreams<'a, DpdkPort> {
    let port_options = PortOptions {
        addresses: vec!["10.77.0.2/24".parse().unwrap()],
        vlan: None,
        routers: Arc::new(Routers::default()),
        speaks: true,
    };
    let options = StackOptions {
        listen: vec!["0.0.0.0:80".parse().unwrap()],
        receive_ring_bytes: 8192,
        send_ring_bytes: 8192,
        flows_max: 64,
        flows_in_all: Arc::new(FlowLimit::new(64)),
        half_open_max: 8,
        time_wait_max: 16,
        keepalive: None,
        nodelay: true,
        idle: Idle::Busy,
        seed: HashKey(1, 2),
        admit: Box::new(|_| true),
    };
    let waker = Arc::new(StackWaker::default());
    let stats = Arc::new(StackStats::default());
    let ports = vec![StackPort { port, options: port_options, handover: None }];
    StackStreams::new(arena, ports, options, &waker, stats, Instant::now())
}

/// Sends back what comes, until the clients are done; sixty seconds at most.
fn echo(streams: &mut StackStreams<'_, DpdkPort>, mut done: impl FnMut() -> bool) {
    let mut pool = Pool::new(PoolOptions::default());
    let end = Instant::now() + Duration::from_secs(50);
    let mut open: HashSet<FlowId> = HashSet::new();
    let mut events = Vec::new();
    while !done() {
        assert!(Instant::now() < end, "the clients are not done");
        streams.poll(Instant::now(), Some(Duration::ZERO), &mut events).unwrap();
        open.extend(events.drain(..).filter_map(|event| match event {
            Event::Opened(flow) => Some(flow.id),
            _ => None,
        }));
        for flow in &open {
            let mut bytes = Vec::new();
            streams.read(*flow, |piece| bytes.extend_from_slice(piece));
            if !bytes.is_empty() {
                let mut buffer = pool.get_empty(0, bytes.len());
                buffer.append(&bytes);
                let frame = streams.hold(buffer.freeze(), 0);
                streams.enqueue(*flow, frame);
                streams.release(frame);
            }
            streams.flush(*flow);
        }
    }
}

fn client(number: u8) {
    let mut stream =
        TcpStream::connect_timeout(&"10.77.0.2:80".parse().unwrap(), Duration::from_secs(10))
            .unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let sent: Vec<u8> = (0..=250).cycle().skip(number.into()).take(BYTES).collect();
    let mut writer = stream.try_clone().unwrap();
    let whole = sent.clone();
    let writing = thread::spawn(move || writer.write_all(&whole).unwrap());
    let mut came = vec![0; BYTES];
    stream.read_exact(&mut came).unwrap();
    writing.join().unwrap();
    assert!(came == sent, "client {number} got something else");
}

#[test]
fn the_kernels_tcp_gets_back_what_it_sent_with_checksums_left_to_the_port() {
    scene::in_namespace(
        "tcp::the_kernels_tcp_gets_back_what_it_sent_with_checksums_left_to_the_port",
        || {
            let eal = scene::eal("tcp", &["net_tap0,iface=tap0"]);
            let tap = End::start(&eal, Port::find(&eal, "net_tap0").unwrap(), 1023);
            scene::ip("address add 10.77.0.1/24 dev tap0");
            scene::ip("link set tap0 up");
            assert!(tap.port.capabilities().tx_tcp_checksum);
            let arena = Arena::new(ArenaPages::Transparent);
            let mut streams = streams(&arena, tap.port);

            let clients: Vec<_> =
                (0..3).map(|number| thread::spawn(move || client(number))).collect();
            echo(&mut streams, || clients.iter().all(thread::JoinHandle::is_finished));

            for client in clients {
                client.join().unwrap();
            }
            let port = streams.ports().next().unwrap().counters();
            assert_eq!((port.dropped_invalid, port.dropped_tx_full), (0, 0));
            assert!(port.bytes_in > 3 * BYTES as u64 && port.bytes_out > 3 * BYTES as u64);
            assert_eq!(tap.handle.stats().unwrap().no_mbuf, 0);
        },
    );
}
