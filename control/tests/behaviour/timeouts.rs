//! Deadlines: silence is not tolerated for ever.

use crate::Backend;
use crate::client::{Client, PATIENCE, Received};
use crate::on_every_backend;
use crate::scene::Server;
use std::time::Instant;

on_every_backend!(
    a_request_that_does_not_end_is_given_up,
    a_connection_that_says_nothing_is_given_up,
    a_client_that_answers_pings_stays,
    a_client_that_does_not_answer_pings_is_given_up,
    a_client_that_does_not_answer_a_close_is_given_up,
);

fn a_request_that_does_not_end_is_given_up(backend: Backend) {
    let server = Server::broadcast(backend, r#"limits.handshake_timeout = "200ms""#);
    let mut client = Client::tcp(server.address());
    client.send(b"GET / HTTP/1.1\r\nHost: ch");
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert_eq!(body, b"the request did not come in time\n");
    assert!(client.is_at_end());
    assert_eq!(server.total("handshake_timeouts"), 1);
}

fn a_connection_that_says_nothing_is_given_up(backend: Backend) {
    let server = Server::broadcast(backend, r#"limits.handshake_timeout = "200ms""#);
    let mut client = Client::tcp(server.address());
    assert!(client.is_at_end());
    server.wait_for("handshake_timeouts", 1);
}

fn a_client_that_answers_pings_stays(backend: Backend) {
    let pings = r#"
        websocket.ping_interval = "100ms"
        websocket.pong_timeout = "5s"
    "#;
    let server = Server::broadcast(backend, pings);
    let mut client = Client::connect(server.address());
    for _ in 0..3 {
        assert_eq!(client.next(), Received::Ping(Vec::new()));
        client.send(&crate::client::frame(0x8a, b""));
    }
    client.round_trip("here I am");
    assert_eq!(server.total("pong_timeouts"), 0);
}

fn a_client_that_does_not_answer_pings_is_given_up(backend: Backend) {
    let pings = r#"
        websocket.ping_interval = "100ms"
        websocket.pong_timeout = "100ms"
    "#;
    let server = Server::broadcast(backend, pings);
    let mut client = Client::connect(server.address());
    assert_eq!(client.next(), Received::Ping(Vec::new()));
    assert_eq!(client.next(), Received::End);
    assert_eq!(server.total("pong_timeouts"), 1);
    assert_eq!(server.stats().probes["active_clients"], 0);
}

fn a_client_that_does_not_answer_a_close_is_given_up(backend: Backend) {
    let server = Server::broadcast(
        backend,
        r#"
        websocket.close_timeout = "200ms"
        control.drain_timeout = "10s"
    "#,
    );
    let mut client = Client::connect(server.address());
    let mut other = Client::connect(server.address());
    // A client that breaks the protocol is told so, and is not waited for any longer than this.
    client.send(b"\xff\xff");
    let (_, code, _) = client.until_close();
    assert_eq!(code, Some(1002));
    let start = Instant::now();
    server.wait_for("sessions_closed", 1);
    assert!(start.elapsed() < PATIENCE);
    other.round_trip("unharmed");
}
