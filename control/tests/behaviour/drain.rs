//! The orderly end: a signal under load, a stalled client, a second signal.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::Backend;
use crate::client::{Client, FIN, PATIENCE, Received, TEXT, frame};
use crate::on_every_backend;
use crate::process::Process;
use crate::scene::wait_until;
use crate::signals::Signal;

on_every_backend!(
    all_of_a_crowd_get_the_same_last_message_and_a_close,
    a_stalled_client_is_cut_off_and_the_status_says_so,
    a_second_signal_ends_at_once,
    an_idle_server_ends_at_once,
    a_client_that_keeps_its_connection_after_its_close_does_not_hold_the_drain_up,
    a_drain_can_be_asked_for_on_the_admin_address,
);

/// Wine does not read for a thousand within the time that the drain has.
const CLIENTS: usize = if cfg!(windows) { 200 } else { 1000 };
/// Where all of them get as much as makes one of them fall behind.
const CLIENTS_OF_BULK: usize = 200;

const CONFIG: &str = r#"
    server.workers = 2
    control.drain_timeout = "8s"
    tcp.send_buffer = "64 KiB"
    broadcast.backlog_messages_max = 100000
    broadcast.backlog_max = "16 MiB"
"#;

fn all_of_a_crowd_get_the_same_last_message_and_a_close(backend: Backend) {
    let mut process = Process::start(backend, CONFIG);
    drain_under_load(&process, CLIENTS, None);
    assert_eq!(process.exit_status(), Some(0), "all closed in time");
}

fn a_stalled_client_is_cut_off_and_the_status_says_so(backend: Backend) {
    let mut process = Process::start(backend, CONFIG);
    let stalled = Client::connect(process.address);
    drain_under_load(&process, CLIENTS_OF_BULK, Some((&stalled, backend.unread_bytes())));
    assert_eq!(process.exit_status(), Some(3), "one was cut off");
    wait_until("the log says how many", || process.log().contains("cut_off=1"));
}

/// Publishes while a crowd of clients listens, sends a signal in the middle, and checks what every
/// client got.
fn drain_under_load(process: &Process, count: usize, stalled: Option<(&Client, usize)>) {
    let mut clients: Vec<Client> = (0..count).map(|_| Client::connect(process.address)).collect();
    if let Some((_, unread_bytes)) = stalled {
        // It has fallen behind when the signal comes.
        fall_behind(process, &mut clients, unread_bytes);
    }
    let heard = Arc::new(AtomicU64::new(0));
    let publishing = Publishing::start(&clients[0]);
    let readers: Vec<_> = split(clients, 8)
        .into_iter()
        .map(|clients| {
            let heard = Arc::clone(&heard);
            thread::spawn(move || read_to_the_end(clients, &heard))
        })
        .collect();

    wait_until("messages are in flight", || heard.load(Ordering::Relaxed) >= 20);
    let taken = publishing.taken();
    process.signal(Signal::Terminate);
    wait_until("new connections are refused", || is_refused(process.address));

    let last_messages: Vec<u64> =
        readers.into_iter().flat_map(|reader| reader.join().expect("clients are served")).collect();
    assert_eq!(last_messages.len(), count);
    let last = last_messages[0];
    assert!(last_messages.iter().all(|&other| other == last), "the same last message for all");
    assert!(last >= taken, "what was sent before the signal: {taken}, and {last} came");
    let sent = publishing.stop();
    assert!(last < sent, "the publisher went on after the signal");
}

/// Sends so much to everybody that a client that does not read is behind, and reads it on the
/// others.
fn fall_behind(process: &Process, clients: &mut [Client], bytes: usize) {
    let mut speaker = Client::connect(process.address);
    let bulk = "b".repeat(256 << 10);
    for round in 0..bytes / bulk.len() {
        speaker.send_text(&bulk);
        for client in clients.iter_mut() {
            assert_eq!(client.next_text().len(), bulk.len(), "round {round}");
        }
        assert_eq!(speaker.next_text().len(), bulk.len());
    }
    speaker.send_close(1000);
    speaker.until_close();
}

fn split(mut clients: Vec<Client>, parts: usize) -> Vec<Vec<Client>> {
    let size = clients.len().div_ceil(parts);
    let mut split = Vec::new();
    while !clients.is_empty() {
        split.push(clients.split_off(clients.len().saturating_sub(size)));
    }
    split
}

/// Reads each client up to its Close, answers that, and returns the last number it got. What they
/// have `heard` meanwhile can be asked for.
fn read_to_the_end(mut clients: Vec<Client>, heard: &AtomicU64) -> Vec<u64> {
    clients
        .iter_mut()
        .map(|client| {
            let mut last = 0;
            loop {
                match client.next() {
                    Received::Text(text) => {
                        let number = text.parse().expect("a number");
                        assert_eq!(number, last + 1, "nothing was lost");
                        last = number;
                        heard.fetch_max(number, Ordering::Relaxed);
                    }
                    Received::Close(code, reason) => {
                        assert_eq!(code, Some(1001));
                        assert_eq!(reason, "the server is shutting down");
                        client.send_close(1001);
                        assert_eq!(client.next(), Received::End);
                        return last;
                    }
                    other => panic!("{other:?} after message {last}"),
                }
            }
        })
        .collect()
}

/// A thread that publishes numbers until it is told to stop or the connection ends.
struct Publishing {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    stream: TcpStream,
    thread: thread::JoinHandle<()>,
}

impl Publishing {
    fn start(publisher: &Client) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut stream = publisher.stream.try_clone().expect("a second handle");
        let thread = thread::spawn({
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            move || {
                let sent: &AtomicU64 = &sent;
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.load(Ordering::Relaxed) + 1;
                    let message = frame(FIN | TEXT, number.to_string().as_bytes());
                    if stream.write_all(&message).is_err() {
                        // Counted as sent: the server did not take it.
                        sent.store(number, Ordering::Relaxed);
                        return;
                    }
                    sent.store(number, Ordering::Relaxed);
                    // As fast as a person with a very fast keyboard.
                    thread::park_timeout(std::time::Duration::from_millis(2));
                }
            }
        });
        let stream = publisher.stream.try_clone().expect("a third handle");
        Self { stop, sent, stream, thread }
    }

    /// The messages that have come to the server, at least: the others may wait on this side for
    /// its window, for all that their sender knows.
    fn taken(&self) -> u64 {
        let sent = self.sent.load(Ordering::Relaxed);
        let bytes_of = |number: &u64| frame(FIN | TEXT, number.to_string().as_bytes()).len();
        let bytes: usize = (1..=sent).map(|number| bytes_of(&number)).sum();
        let mut rest = bytes.saturating_sub(unacknowledged_bytes(&self.stream));
        let is_whole = |number: &u64| {
            let whole = rest.checked_sub(bytes_of(number));
            rest = whole.unwrap_or_default();
            whole.is_some()
        };
        (1..=sent).take_while(is_whole).count() as u64
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it publishes");
        self.sent.load(Ordering::Relaxed)
    }
}

/// Bytes that this side of a connection over IPv4 has been given and the other has not
/// acknowledged.
#[cfg(target_os = "linux")]
fn unacknowledged_bytes(stream: &TcpStream) -> usize {
    let port_of = |address: SocketAddr| format!(":{:04X}", address.port());
    let local = port_of(stream.local_addr().expect("it is connected"));
    let remote = port_of(stream.peer_addr().expect("it is connected"));
    // Of this thread's network namespace.
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("a table");
    let queue = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&local) && fields.get(2)?.ends_with(&remote);
        is_it.then(|| fields.get(4)?.split_once(':').map(|(sent, _)| sent.to_owned()))?
    });
    usize::from_str_radix(&queue.expect("it is in the table"), 16).expect("a hexadecimal number")
}

/// What one side of a loopback connection is given the other has.
#[cfg(not(target_os = "linux"))]
fn unacknowledged_bytes(_: &TcpStream) -> usize {
    0
}

/// A server that goes away between a SYN and its answer says nothing.
fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PATIENCE / 4).is_err()
}

fn a_second_signal_ends_at_once(backend: Backend) {
    let mut process = Process::start(backend, "control.drain_timeout = \"1h\"");
    let mut client = Client::connect(process.address);
    process.signal(Signal::Terminate);
    let (_, code, _) = client.until_close();
    assert_eq!(code, Some(1001));
    // One that comes at once is taken for the first one.
    assert_eq!(process.exit_status_while(|process| process.signal(Signal::Terminate)), Some(130));
}

fn an_idle_server_ends_at_once(backend: Backend) {
    let mut process = Process::start(backend, "control.drain_timeout = \"1h\"");
    let mut browser = Client::tcp(process.address);
    browser.send(b"GET /healthz HTTP/1.1\r\nHost: chat.example\r\n\r\n");
    browser.response();
    process.signal(Signal::Interrupt);
    assert_eq!(process.exit_status(), Some(0), "a kept connection does not hold it up");
}

fn a_client_that_keeps_its_connection_after_its_close_does_not_hold_the_drain_up(backend: Backend) {
    let unbounded = "control.drain_timeout = \"1h\"\nwebsocket.close_timeout = \"1h\"";
    let mut process = Process::start(backend, unbounded);
    let mut client = Client::connect(process.address);
    process.signal(Signal::Terminate);
    client.until_close();
    client.send_close(1001);
    assert_eq!(process.exit_status(), Some(0));
}

fn a_drain_can_be_asked_for_on_the_admin_address(backend: Backend) {
    let mut process = Process::start(backend, "");
    let mut client = Client::connect(process.address);
    let mut admin = TcpStream::connect(process.admin).expect("the admin server accepts");
    let request =
        format!("POST /drain HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", process.admin);
    admin.write_all(request.as_bytes()).expect("it reads");
    let mut status = [0; 12];
    admin.read_exact(&mut status).expect("it answers");
    assert_eq!(&status, b"HTTP/1.1 202");
    let (_, code, _) = client.until_close();
    assert_eq!(code, Some(1001));
    client.send_close(1001);
    assert_eq!(process.exit_status(), Some(0));
}
