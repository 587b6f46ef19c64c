//! What a message costs in allocations, on two workers, counted exactly.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hioload_config::Config;
use hioload_engine::{
    Assembly, Controls, Handler, HandlerError, Message, Outbox, Session, Site, SystemClock, Worker,
    assemble,
};
use hioload_mem::CountingAllocator;
use hioload_net::{KernelOptions, KernelStreams, ListenOptions, Streams, Wake, listen};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const WORKERS: usize = 2;
const CLIENTS: usize = 20;
const MESSAGES: usize = 100_000;
/// Messages in flight at a time.
const WINDOW: usize = 50;
const PAYLOAD: &[u8; 64] = b"sixty-four bytes of chat, as they are said all day in every room";

#[test]
fn a_hundred_thousand_messages_to_twenty_clients_allocate_nothing_in_steady_state() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        scene.round();
    }

    let before = CountingAllocator::this_thread();
    for _ in 0..MESSAGES / WINDOW {
        scene.round();
    }
    let counts = CountingAllocator::this_thread() - before;

    let totals = scene.controls.totals();
    assert!(totals.deliveries_sent >= (MESSAGES * CLIENTS) as u64);
    assert!(totals.mesh_received > 0, "messages crossed the mesh");
    assert_eq!(counts.calls, 0, "{counts:?}");
}

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

/// Two workers, turned by hand on this thread, and their clients.
struct Scene {
    workers: Vec<Worker<KernelStreams, Broadcast>>,
    wakers: Vec<Arc<dyn Wake>>,
    controls: Controls,
    clients: Vec<TcpStream>,
    window: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        // No deadline passes meanwhile: the first ones make the list of those that have grow.
        let mut config = Config::default();
        config.limits.handshake_timeout = Duration::from_secs(3600);
        config.websocket.ping_interval = None;
        let addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let options = ListenOptions { addresses, ..ListenOptions::default() };
        let listening = listen(&options, WORKERS).expect("bound");
        let streams: Vec<_> = listening
            .inlets
            .into_iter()
            .map(|inlet| KernelStreams::new(inlet, KernelOptions::default()))
            .collect();
        let wakers: Vec<_> = streams.iter().map(Streams::waker).collect();
        let Assembly { controls, parts } = assemble(&config, &wakers);
        let (handler, site) = (Arc::new(Broadcast), Arc::new(Site::new("/ws")));
        let workers = parts
            .into_iter()
            .zip(streams)
            .map(|(parts, streams)| {
                let (handler, site) = (Arc::clone(&handler), Arc::clone(&site));
                Worker::new(parts, streams, handler, site, &config, SystemClock)
            })
            .collect();
        let window = masked_frame().repeat(WINDOW);
        let mut scene = Self { workers, wakers, controls, clients: Vec::new(), window };
        while scene.clients.len() < CLIENTS || !scene.is_spread() {
            scene.connect(listening.addresses[0]);
        }
        scene
    }

    /// Whether each worker has a session; the kernel spreads connections by hash.
    fn is_spread(&self) -> bool {
        self.controls.per_worker().iter().all(|worker| worker.sessions_opened > 0)
    }

    fn connect(&mut self, address: SocketAddr) {
        assert!(self.clients.len() < 200, "all connections went to one worker");
        let mut client = TcpStream::connect(address).expect("accepted");
        let request = "GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Version: 13\r\n\r\n";
        client.write_all(request.as_bytes()).expect("written");
        client.set_nonblocking(true).expect("set");
        self.clients.push(client);
        let last = self.clients.len() - 1;
        let mut head = Vec::new();
        self.turn_until(|scene| {
            let mut bytes = [0; 1024];
            let count = read(&mut scene.clients[last], &mut bytes);
            head.extend_from_slice(&bytes[..count]);
            head.ends_with(b"\r\n\r\n")
        });
    }

    /// The first client says a window of messages, and everybody hears all of them.
    fn round(&mut self) {
        self.clients[0].write_all(&self.window).expect("room in the socket");
        let expected = WINDOW * (2 + PAYLOAD.len()) * self.clients.len();
        let mut heard = 0;
        self.turn_until(|scene| {
            let mut bytes = [0; 8192];
            for client in &mut scene.clients {
                heard += read(client, &mut bytes);
            }
            heard == expected
        });
    }

    fn turn_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
            for (worker, waker) in self.workers.iter_mut().zip(&self.wakers) {
                // A turn with nothing to do would sleep.
                waker.wake();
                worker.turn().expect("the worker goes on");
            }
        }
    }
}

fn read(client: &mut TcpStream, bytes: &mut [u8]) -> usize {
    match client.read(bytes) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

/// A text message as a client sends it; its mask is zero.
fn masked_frame() -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 64, 0, 0, 0, 0];
    frame.extend_from_slice(PAYLOAD);
    frame
}
