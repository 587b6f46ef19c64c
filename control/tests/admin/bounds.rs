//! What slow and many clients may cost.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{PATIENCE, connect, exchange, get, request};
use crate::scene::Scene;

const CONNECTIONS_MAX: usize = 64;

#[test]
fn a_connection_beyond_the_limit_waits_until_another_one_ends() {
    let scene = Scene::new("");
    // Each is in the middle of its request, which takes its time, so none is idle and cut off.
    let mut held: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| asking_on(scene.admin())).collect();
    let mut late = connect(scene.admin());
    late.write_all(&request(scene.admin(), "GET /healthz", "", b"")).expect("it is queued");
    late.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let early = late.read(&mut [0; 1]).expect_err("no answer yet");
    assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{early}");

    held.pop();
    late.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(exchange(late, b"").status, 200);
}

#[test]
fn a_client_that_does_not_finish_its_request_is_cut_off() {
    let scene = Scene::new("");
    let mut slow = connect(scene.admin());
    slow.write_all(b"GET /stats HTTP/1.1\r\nHost:").expect("it is read");
    let mut silent = connect(scene.admin());
    ask_and_keep(&mut silent, scene.admin());
    let start = Instant::now();
    for stream in [&mut slow, &mut silent] {
        // Whatever is said before, the connection ends.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(get(scene.admin(), "/healthz").status, 200);
}

#[test]
fn a_head_that_does_not_end_is_refused() {
    let scene = Scene::new("");
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(64 << 10));
    assert!(matches!(exchange(connect(scene.admin()), long.as_bytes()).status, 400..500));
}

#[test]
fn stopping_does_not_wait_for_connections_that_are_idle() {
    let scene = Scene::new("");
    let mut idle = connect(scene.admin());
    ask_and_keep(&mut idle, scene.admin());
    let address = scene.admin();
    let start = Instant::now();
    scene.appliance.stop().expect("it ends well");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

/// A connection that was accepted and is being served: the server waits for the body of a request.
fn asking_on(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    let head = format!(
        "POST /broadcast HTTP/1.1\r\nHost: {address}\r\nExpect: 100-continue\r\n\
         Content-Length: 5\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it is read");
    let mut answer = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut answer).expect("it is asked to go on");
    assert!(answer.starts_with(b"HTTP/1.1 100 "), "{answer:?}");
    stream
}

/// A request that leaves the connection open.
fn ask_and_keep(stream: &mut TcpStream, address: std::net::SocketAddr) {
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer comes");
        answer.push(byte[0]);
    }
}
