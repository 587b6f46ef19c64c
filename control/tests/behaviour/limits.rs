//! Limits: who is one too many is told so and counted, and the next honest client is served.

use std::net::IpAddr;

use crate::Backend;
use crate::client::{Client, FIN, PING, Received, TEXT, frame, upgrade_request};
use crate::on_every_backend;
use crate::scene::{Server, wait_until};

on_every_backend!(
    a_session_too_many_is_told_to_come_back_later,
    sessions_of_one_prefix_leave_room_for_others,
    connections_that_say_nothing_do_not_keep_other_prefixes_out,
    a_refusal_by_the_handler_takes_no_place,
    a_session_that_is_kicked_leaves_its_place_to_others,
    a_session_that_was_too_slow_leaves_its_place_to_others_though_it_never_reads,
    clients_that_come_all_at_once_are_told_to_come_a_second_later,
    a_client_that_sends_messages_too_fast_is_closed_with_the_reason,
    a_client_that_sends_bytes_too_fast_is_closed_with_the_reason,
    a_flood_of_pings_counts_as_bytes,
);

/// The answer to an upgrade that is refused: its status line, the field that says when to come
/// back, and the line that says why.
fn refused(mut client: Client) -> (String, String, String) {
    let (head, body) = client.response();
    let retry = head.lines().find(|line| line.starts_with("Retry-After: ")).unwrap_or_default();
    let line = head.lines().next().unwrap_or_default();
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert!(client.is_at_end());
    (line.to_owned(), retry.to_owned(), String::from_utf8(body).expect("text"))
}

fn asking(server: &Server, source: IpAddr) -> Client {
    let mut client = Client::tcp_from(source, server.address());
    client.send(upgrade_request("").as_bytes());
    client
}

fn leave(server: &Server, mut client: Client) {
    let closed = server.total("sessions_closed");
    client.send_close(1000);
    client.until_close();
    server.wait_for("sessions_closed", closed + 1);
}

fn a_session_too_many_is_told_to_come_back_later(backend: Backend) {
    let server = Server::broadcast(
        backend,
        "
        server.workers = 2
        limits.sessions_max = 5
    ",
    );
    // More than a worker's share: the limit is one for all of them.
    let mut clients: Vec<_> = (0..5).map(|_| Client::connect(server.address())).collect();
    for n in 1..=3 {
        let (status, retry, why) = refused(asking(&server, backend.other_host(n)));
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert_eq!(retry, "Retry-After: 10");
        assert_eq!(why, "the server has as many sessions as it takes\n");
    }
    assert_eq!(server.total("limit_sessions"), 3);

    leave(&server, clients.pop().expect("one of five"));
    server.serves_the_next_client();
}

fn sessions_of_one_prefix_leave_room_for_others(backend: Backend) {
    let server = Server::broadcast(
        backend,
        "
        server.workers = 2
        limits.sessions_per_prefix_max = 2
        limits.prefix_v4 = 31
    ",
    );
    let mut neighbours: Vec<_> = [2, 3].map(|n| asking(&server, backend.other_host(n))).into();
    for client in &mut neighbours {
        assert!(client.response_head().starts_with("HTTP/1.1 101 "));
    }
    let (status, retry, why) = refused(asking(&server, backend.other_host(3)));
    assert_eq!(status, "HTTP/1.1 429 Too Many Requests");
    assert_eq!(retry, "Retry-After: 10");
    assert_eq!(why, "too many sessions from your address\n");
    assert_eq!(server.total("limit_sessions_per_prefix"), 1);
    server.serves_the_next_client();

    leave(&server, neighbours.pop().expect("one of two"));
    let mut next = asking(&server, backend.other_host(2));
    assert!(next.response_head().starts_with("HTTP/1.1 101 "));
}

fn connections_that_say_nothing_do_not_keep_other_prefixes_out(backend: Backend) {
    let server = Server::broadcast(backend, "limits.connections_per_prefix_max = 3");
    let silent: Vec<_> =
        (0..3).map(|_| Client::tcp_from(backend.other_host(1), server.address())).collect();
    server.wait_for("connections", 3);
    // It is answered before it has asked.
    let (status, _, why) = refused(Client::tcp_from(backend.other_host(1), server.address()));
    assert_eq!(status, "HTTP/1.1 429 Too Many Requests");
    assert_eq!(why, "too many connections from your address\n");
    assert_eq!(server.total("limit_connections_per_prefix"), 1);
    assert_eq!(server.total("connections"), 3);
    server.serves_the_next_client();

    drop(silent);
    server.wait_until_total("connections", 0);
    let mut next = asking(&server, backend.other_host(1));
    assert!(next.response_head().starts_with("HTTP/1.1 101 "));
}

/// Lets nobody in who does not say please.
struct Polite;

impl hioload::Handler for Polite {
    fn on_upgrade(
        &self,
        request: &hioload::UpgradeRequest<'_>,
    ) -> Result<hioload::Accept, hioload::Refusal> {
        match request.header("please") {
            Some(_) => Ok(hioload::Accept::new()),
            None => Err(hioload::Refusal::new(403, "say please")),
        }
    }

    fn on_message(
        &self,
        _session: &hioload::Session,
        message: hioload::Message<'_>,
        out: &mut hioload::Outbox<'_>,
    ) -> Result<(), hioload::HandlerError> {
        out.send(message);
        Ok(())
    }
}

fn a_refusal_by_the_handler_takes_no_place(backend: Backend) {
    let limits = "
        limits.sessions_max = 1
        limits.sessions_per_prefix_max = 1
    ";
    let server = Server::start(backend, limits, Polite);
    for _ in 0..3 {
        let mut rude = asking(&server, backend.other_host(1));
        assert!(rude.response_head().starts_with("HTTP/1.1 403 "));
    }
    let mut polite = Client::tcp_from(backend.other_host(1), server.address());
    polite.upgrade("Please: yes\r\n");
    polite.round_trip("thank you");
}

fn a_session_that_is_kicked_leaves_its_place_to_others(backend: Backend) {
    let limits = "limits.sessions_max = 1\nlimits.sessions_per_prefix_max = 1";
    let server = Server::broadcast(backend, limits);
    let mut kicked = Client::connect(server.address());
    refused(asking(&server, backend.client()));

    let handle = server.appliance.handle();
    let page = handle.sessions(None, 10).expect("the workers answer");
    handle.close(page.sessions[0].id, hioload::CloseCode::NORMAL, "enough").expect("it is open");
    let (_, code, reason) = kicked.until_close();
    assert_eq!((code, reason.as_str()), (Some(1000), "enough"));
    kicked.send_close(1000);
    server.wait_for("sessions_closed", 1);
    server.serves_the_next_client();
}

fn a_session_that_was_too_slow_leaves_its_place_to_others_though_it_never_reads(backend: Backend) {
    let server = Server::broadcast(
        backend,
        r#"
        limits.sessions_max = 2
        websocket.close_timeout = "100ms"
        websocket.message_max = "64 KiB"
        broadcast.slow_consumer = "disconnect"
        broadcast.backlog_messages_max = 4
        tcp.send_buffer = "64 KiB"
    "#,
    );
    let _stalled = Client::connect(server.address());
    let mut speaker = Client::connect(server.address());
    let text = "x".repeat(32 << 10);
    // In step with the speaker's own copy, so that only the other one falls behind.
    let mut sent = 0;
    while server.total("slow_disconnects") == 0 {
        assert!(sent < 20_000, "it is not too slow after {sent} messages");
        sent += 1;
        speaker.send_text(&text);
        assert_eq!(speaker.next_text(), text);
    }
    server.wait_for("sessions_closed", 1);
    server.serves_the_next_client();
    assert_eq!(server.total("limit_sessions"), 0);
}

fn clients_that_come_all_at_once_are_told_to_come_a_second_later(backend: Backend) {
    let server = Server::broadcast(
        backend,
        "
        server.workers = 2
        limits.upgrades_per_second_max = 2
    ",
    );
    let mut served = 0;
    let (status, retry, why) = loop {
        let mut client = asking(&server, backend.other_host(1));
        let mut first = [0; 12];
        client.stream.peek(&mut first).expect("an answer");
        if &first != b"HTTP/1.1 101" {
            break refused(client);
        }
        served += 1;
        // Slower than the limit only if each takes half a second.
        assert!(served < 100, "nobody was refused");
        assert!(client.response_head().starts_with("HTTP/1.1 101 "));
    };
    assert!(served >= 2);
    assert_eq!(status, "HTTP/1.1 429 Too Many Requests");
    assert_eq!(retry, "Retry-After: 1");
    assert_eq!(why, "too many clients have come at once\n");
    assert_eq!(server.total("limit_upgrade_rate"), 1);

    // Whoever comes again is let in before long.
    wait_until("the next client is served", || {
        asking(&server, backend.other_host(2)).response_head().starts_with("HTTP/1.1 101 ")
    });
}

fn a_client_that_sends_messages_too_fast_is_closed_with_the_reason(backend: Backend) {
    let server = Server::broadcast(backend, "limits.messages_per_second_max = 3");
    let mut hasty = Client::connect(server.address());
    // In one piece, so that they are of one moment.
    let messages: Vec<u8> = ["one", "two", "three", "four"]
        .iter()
        .flat_map(|it| frame(FIN | TEXT, it.as_bytes()))
        .collect();
    hasty.send(&messages);
    let (heard, code, reason) = hasty.until_close();
    assert_eq!(heard, ["one", "two", "three"].map(|it| Received::Text(it.to_owned())));
    assert_eq!((code, reason.as_str()), (Some(1008), "more than 3 messages per second"));
    assert!(hasty.is_at_end());
    assert_eq!((server.total("limit_message_rate"), server.total("messages_received")), (1, 3));
    server.serves_the_next_client();
}

const TWO_KIB_A_SECOND: &str = r#"
    websocket.message_max = "1 KiB"
    limits.bytes_per_second_max = "2 KiB"
"#;

fn a_client_that_sends_bytes_too_fast_is_closed_with_the_reason(backend: Backend) {
    let server = Server::broadcast(backend, TWO_KIB_A_SECOND);
    let mut hasty = Client::connect(server.address());
    let text = "x".repeat(1000);
    hasty.send(&frame(FIN | TEXT, text.as_bytes()).repeat(3));
    let (heard, code, reason) = hasty.until_close();
    assert_eq!(heard, vec![Received::Text(text); 2]);
    assert_eq!((code, reason.as_str()), (Some(1008), "more than 2048 bytes per second"));
    assert_eq!((server.total("limit_byte_rate"), server.total("messages_received")), (1, 2));
    server.serves_the_next_client();
}

fn a_flood_of_pings_counts_as_bytes(backend: Backend) {
    let server = Server::broadcast(backend, TWO_KIB_A_SECOND);
    let mut flooder = Client::connect(server.address());
    flooder.send(&frame(FIN | PING, &[b'p'; 125]).repeat(200));
    let (_, code, _) = flooder.until_close();
    assert_eq!(code, Some(1008));
    assert_eq!(server.total("limit_byte_rate"), 1);
    server.serves_the_next_client();
}
