//! No allocation per delivery in steady state.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hioload_buffer::{Pool, PoolOptions};
use hioload_mem::CountingAllocator;
use hioload_net::{
    AcceptMode, Event, FlowId, FlushState, KernelOptions, KernelStreams, ListenOptions, Place,
    Streams, listen,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const FLOWS: usize = 20;
const ROUNDS: usize = 5_000;
const MESSAGE: &[u8] = b"a message for everybody";
const PING: &[u8] = b"<ping>";

#[test]
fn a_hundred_thousand_deliveries_allocate_nothing_once_everything_has_its_size() {
    let (mut streams, flows, mut clients) = connected();
    let mut pool = Pool::new(PoolOptions::default());
    let [message, ping] = [MESSAGE, PING].map(|bytes| {
        let mut buffer = pool.get(bytes.len());
        buffer.copy_from_slice(bytes);
        buffer.freeze()
    });
    let mut round = |streams: &mut KernelStreams, events: &mut Vec<Event>| {
        let (message, ping) = (streams.hold(message.clone(), 7), streams.hold(ping.clone(), 0));
        for &flow in &flows {
            streams.enqueue(flow, message);
            streams.enqueue(flow, message);
            streams.enqueue_control(flow, ping, Place::Ahead);
            assert_eq!(streams.drop_oldest_unsent(flow), Some(MESSAGE.len()));
            let flushed = streams.flush(flow);
            assert_eq!((flushed.messages, flushed.state), (1, FlushState::Drained));
        }
        streams.release(message);
        streams.release(ping);
        let mut sent = 0;
        streams.take_sent(|stamp, count| {
            assert_eq!(stamp, 7, "of the messages, not the pings");
            sent += count as usize;
        });
        assert_eq!(sent, FLOWS);
        for client in &mut clients {
            client.read_exact(&mut [0; MESSAGE.len() + PING.len()]).expect("both");
            client.write_all(b"thanks").expect("written");
        }
        let mut read = 0;
        while read < FLOWS * b"thanks".len() {
            streams.poll(Instant::now(), Some(Duration::from_secs(10)), events).expect("polled");
            for event in events.drain(..) {
                if let Event::Readable(flow) = event {
                    streams.read(flow, |bytes| read += bytes.len());
                }
            }
        }
    };
    let mut events = Vec::new();
    round(&mut streams, &mut events);
    let before = CountingAllocator::this_thread();
    for _ in 0..ROUNDS {
        round(&mut streams, &mut events);
    }
    let counts = CountingAllocator::this_thread() - before;
    assert_eq!(counts.calls, 0, "{counts:?}");
}

fn connected() -> (KernelStreams, Vec<FlowId>, Vec<TcpStream>) {
    let addresses = vec!["127.0.0.1:0".parse().expect("an address")];
    let options =
        ListenOptions { addresses, mode: AcceptMode::PerWorker, ..ListenOptions::default() };
    let mut listening = listen(&options, 1).expect("bound");
    let mut streams = KernelStreams::new(listening.inlets.remove(0), KernelOptions::default());
    let connect = |_| TcpStream::connect(listening.addresses[0]).expect("connected");
    let clients: Vec<_> = (0..FLOWS).map(connect).collect();
    let (mut flows, mut events) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while flows.len() < FLOWS {
        assert!(start.elapsed() < Duration::from_secs(20));
        streams.poll(start, Some(Duration::from_secs(10)), &mut events).expect("polled");
        flows.extend(events.drain(..).filter_map(|event| match event {
            Event::Opened(flow) => Some(flow.id),
            _ => None,
        }));
    }
    (streams, flows, clients)
}
