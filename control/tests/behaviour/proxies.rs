//! Clients behind a proxy: whose address counts, and who may say so.

use hioload::{Handler, HandlerError, Message, Outbox, Session};

use crate::Backend;
use crate::client::{Client, upgrade_request};
use crate::on_every_backend;
use crate::scene::Server;

on_every_backend!(
    clients_behind_one_proxy_header_each_have_their_own_limit,
    clients_behind_one_forwarding_proxy_each_have_their_own_limit,
    a_header_from_a_stranger_is_refused,
    a_field_from_a_stranger_is_refused,
    a_trusted_proxy_that_sends_no_header_is_refused,
    a_handler_sees_the_client_and_the_proxy,
    a_handler_sees_the_client_that_a_field_names,
    a_proxy_that_speaks_for_itself_is_its_own_client,
    a_header_that_does_not_end_is_given_up,
    connections_of_a_proxy_are_not_counted_as_one_hosts,
    without_a_proxy_the_field_says_nothing,
);

/// The proxy is the host from which clients come by themselves; every other host is a stranger.
fn proxy_protocol(backend: Backend) -> String {
    let proxy = backend.client();
    format!(
        r#"
        server.client_address = "proxy-protocol"
        server.trusted_proxies = ["{proxy}"]
        limits.sessions_per_prefix_max = 1
        limits.connections_per_prefix_max = 5
        "#
    )
}

fn x_forwarded_for(backend: Backend) -> String {
    let proxy = backend.client();
    format!(
        r#"
        server.client_address = "x-forwarded-for"
        server.trusted_proxies = ["{proxy}", "10.0.0.0/8"]
        limits.sessions_per_prefix_max = 1
        "#
    )
}

fn from_stranger(backend: Backend, server: &Server) -> Client {
    Client::tcp_from(backend.other_host(1), server.address())
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 198.51.100.1 56324 443\r\n").into_bytes()
}

fn version_2(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    header.extend(client);
    header.extend([198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb]);
    // A TLV without a value (PP2_TYPE_NOOP).
    header.extend([4, 0, 0]);
    header
}

/// What the answer to these bytes begins with, its body, and the connection.
fn ask(mut client: Client, bytes: &[u8]) -> (String, String, Client) {
    client.send(bytes);
    let head = client.response_head();
    let status = head.lines().next().expect("a status line").to_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    let body = client.bytes(length);
    (status, String::from_utf8(body).expect("text"), client)
}

fn upgrade_behind(header: &[u8]) -> Vec<u8> {
    [header, upgrade_request("").as_bytes()].concat()
}

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols";
const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request";
const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests";

fn clients_behind_one_proxy_header_each_have_their_own_limit(backend: Backend) {
    let server = Server::broadcast(backend, &proxy_protocol(backend));
    let ask = |header: Vec<u8>| ask(Client::tcp(server.address()), &upgrade_behind(&header));
    let (status, _, mut first) = ask(version_1("192.0.2.1"));
    assert_eq!(status, SWITCHING);
    let (status, _, mut second) = ask(version_2([192, 0, 2, 2]));
    assert_eq!(status, SWITCHING);
    for header in [version_1("192.0.2.1"), version_2([192, 0, 2, 1])] {
        let (status, why, _) = ask(header);
        assert_eq!(
            (status.as_str(), why.as_str()),
            (TOO_MANY, "too many sessions from your address\n")
        );
    }
    assert_eq!(server.total("limit_sessions_per_prefix"), 2);
    first.round_trip("one");
    second.round_trip("two");

    first.send_close(1000);
    first.until_close();
    server.wait_for("sessions_closed", 1);
    assert_eq!(ask(version_2([192, 0, 2, 1])).0, SWITCHING);
}

fn clients_behind_one_forwarding_proxy_each_have_their_own_limit(backend: Backend) {
    let server = Server::broadcast(backend, &x_forwarded_for(backend));
    let ask = |field: &str| {
        let field = format!("X-Forwarded-For: {field}\r\n");
        ask(Client::tcp(server.address()), upgrade_request(&field).as_bytes())
    };
    let (status, _, _first) = ask("203.0.113.9, 192.0.2.1");
    assert_eq!(status, SWITCHING);
    let (status, _, _second) = ask("192.0.2.2, 10.1.2.3");
    assert_eq!(status, SWITCHING);
    // What a client writes itself stands ahead of what the proxy writes.
    assert_eq!(ask("192.0.2.77, 192.0.2.1").0, TOO_MANY);
    assert_eq!(server.total("limit_sessions_per_prefix"), 1);

    let (status, why, _) = ask("192.0.2.3, unknown");
    assert_eq!(status, BAD_REQUEST);
    assert_eq!(why, "X-Forwarded-For holds \"unknown\", which is no address\n");
    assert_eq!(server.total("client_address_refusals"), 1);
    // The proxy itself, which checks whether the server is well.
    server.serves_the_next_client();
}

fn a_header_from_a_stranger_is_refused(backend: Backend) {
    let server = Server::broadcast(backend, &proxy_protocol(backend));
    for header in [version_1("192.0.2.1"), version_2([192, 0, 2, 1])] {
        let stranger = from_stranger(backend, &server);
        let (status, why, mut stranger) = ask(stranger, &upgrade_behind(&header));
        assert_eq!(status, BAD_REQUEST);
        assert_eq!(why, "a PROXY header is taken from trusted proxies only, once\n");
        assert!(stranger.is_at_end());
    }
    assert_eq!(server.total("client_address_refusals"), 2);
    // One that comes by itself is served as itself.
    let mut honest = from_stranger(backend, &server);
    honest.upgrade("");
    honest.round_trip("hello");
}

fn a_field_from_a_stranger_is_refused(backend: Backend) {
    let server = Server::broadcast(backend, &x_forwarded_for(backend));
    let stranger = from_stranger(backend, &server);
    let request = upgrade_request("X-Forwarded-For: 192.0.2.1\r\n");
    let (status, why, _) = ask(stranger, request.as_bytes());
    assert_eq!(status, BAD_REQUEST);
    assert_eq!(why, "X-Forwarded-For is taken from trusted proxies only\n");
    assert_eq!(server.total("client_address_refusals"), 1);
    let mut honest = from_stranger(backend, &server);
    honest.upgrade("");
    honest.round_trip("hello");
}

fn a_trusted_proxy_that_sends_no_header_is_refused(backend: Backend) {
    let server = Server::broadcast(backend, &proxy_protocol(backend));
    let (status, why, mut client) =
        ask(Client::tcp(server.address()), upgrade_request("").as_bytes());
    assert_eq!(status, BAD_REQUEST);
    assert_eq!(why, "no PROXY header, which a trusted proxy sends ahead of everything else\n");
    assert!(client.is_at_end());
    assert_eq!(server.total("client_address_refusals"), 1);

    let twice = [version_1("192.0.2.1"), version_1("192.0.2.2")].concat();
    let (status, _, _) = ask(Client::tcp(server.address()), &upgrade_behind(&twice));
    assert_eq!(status, BAD_REQUEST);
    assert_eq!(server.total("client_address_refusals"), 2);
}

/// Tells clients who they are.
struct Mirror;

impl Handler for Mirror {
    fn on_message(
        &self,
        session: &Session,
        _message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        out.send(format!("{} by {}", session.client(), session.peer().ip()).as_str());
        Ok(())
    }
}

fn who_am_i(mut client: Client) -> String {
    client.send_text("who am I?");
    client.next_text()
}

fn a_handler_sees_the_client_and_the_proxy(backend: Backend) {
    let server = Server::start(backend, &proxy_protocol(backend), Mirror);
    let mut slow = Client::tcp(server.address());
    for byte in version_2([192, 0, 2, 1]) {
        slow.send(&[byte]);
    }
    slow.upgrade("");
    assert_eq!(who_am_i(slow), format!("192.0.2.1:56324 by {}", backend.client()));
    let direct = from_stranger(backend, &server);
    let (_, _, direct) = ask(direct, upgrade_request("").as_bytes());
    let (answer, host) = (who_am_i(direct), backend.other_host(1));
    assert!(answer.starts_with(&format!("{host}:")), "{answer}");
    assert!(answer.ends_with(&format!(" by {host}")), "{answer}");
}

fn a_handler_sees_the_client_that_a_field_names(backend: Backend) {
    let server = Server::start(backend, &x_forwarded_for(backend), Mirror);
    let mut forwarded = Client::tcp(server.address());
    // A proxy that keeps its connection: each request is for a client of its own.
    forwarded.send(b"GET / HTTP/1.1\r\nHost: chat.example\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
    forwarded.response();
    forwarded.upgrade("X-Forwarded-For: [2001:db8::1]:4711\r\n");
    assert_eq!(who_am_i(forwarded), format!("[2001:db8::1]:4711 by {}", backend.client()));
}

fn a_proxy_that_speaks_for_itself_is_its_own_client(backend: Backend) {
    let server = Server::start(backend, &proxy_protocol(backend), Mirror);
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let (status, _, client) = ask(Client::tcp(server.address()), &upgrade_behind(header));
        assert_eq!(status, SWITCHING);
        let address = client.stream.local_addr().expect("an address");
        assert_eq!(who_am_i(client), format!("{address} by {}", backend.client()));
        server.wait_until_total("connections", 0);
    }
}

fn a_header_that_does_not_end_is_given_up(backend: Backend) {
    let timeout = r#"limits.handshake_timeout = "200ms""#;
    let server = Server::broadcast(backend, &format!("{}\n{timeout}", proxy_protocol(backend)));
    let (status, _, mut client) = ask(Client::tcp(server.address()), b"PROXY TCP4 192.0.2.1 ");
    assert_eq!(status, "HTTP/1.1 408 Request Timeout");
    assert!(client.is_at_end());
    assert!(Client::tcp(server.address()).is_at_end(), "silence is given up, too");
    assert_eq!(server.total("handshake_timeouts"), 2);
}

fn connections_of_a_proxy_are_not_counted_as_one_hosts(backend: Backend) {
    let server = Server::broadcast(backend, &proxy_protocol(backend));
    let clients: Vec<_> = (1..=10)
        .map(|n| ask(Client::tcp(server.address()), &upgrade_behind(&version_2([192, 0, 2, n]))))
        .collect();
    assert!(clients.iter().all(|(status, ..)| status == SWITCHING));
    let strangers: Vec<_> = (0..5).map(|_| from_stranger(backend, &server)).collect();
    server.wait_for("connections", 15);
    let mut stranger = from_stranger(backend, &server);
    assert!(stranger.response_head().starts_with(TOO_MANY));
    drop(strangers);
}

fn without_a_proxy_the_field_says_nothing(backend: Backend) {
    let server = Server::start(backend, "", Mirror);
    let mut client = Client::tcp(server.address());
    client.upgrade("X-Forwarded-For: <whoever>\r\n");
    let answer = who_am_i(client);
    assert!(answer.starts_with(&format!("{}:", backend.client())), "{answer}");
}
