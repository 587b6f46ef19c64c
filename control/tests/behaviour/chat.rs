//! The main job: what one client says, all clients hear.

use crate::Backend;
use crate::client::{BINARY, Client, FIN, PING, Received, TEXT, frame};
use crate::on_every_backend;
use crate::scene::Server;

on_every_backend!(
    everybody_hears_what_one_says_the_sender_included,
    the_sender_can_be_left_out,
    binary_stays_binary,
    a_fragmented_message_with_a_ping_between_arrives_whole,
    a_message_of_16_mib_arrives_when_the_limit_allows_it,
    bytes_behind_the_upgrade_request_are_not_lost,
    messages_of_one_client_keep_their_order,
    a_close_is_answered_with_its_code_behind_what_was_said,
    a_client_that_ends_its_side_leaves,
    the_client_who_left_is_counted_out,
    the_control_plane_reaches_everybody,
    a_subprotocol_is_agreed_on,
    where_the_admin_alone_publishes_a_client_that_sends_is_closed,
);

pub(crate) fn everybody_hears_what_one_says_the_sender_included(backend: Backend) {
    let server = Server::broadcast(backend, "server.workers = 2");
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(server.address())).collect();

    clients[3].send_text("hello");

    for client in &mut clients {
        assert_eq!(client.next_text(), "hello");
    }
    assert_eq!(server.stats().probes["active_clients"], 8);
}

fn the_sender_can_be_left_out(backend: Backend) {
    let server = Server::broadcast(backend, "broadcast.include_sender = false");
    let mut speaker = Client::connect(server.address());
    let mut listener = Client::connect(server.address());

    speaker.send_text("to the others");
    assert_eq!(listener.next_text(), "to the others");

    listener.send_text("an answer");
    assert_eq!(speaker.next_text(), "an answer");
}

fn binary_stays_binary(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::connect(server.address());
    client.send(&frame(FIN | BINARY, &[0, 159, 146, 150]));
    assert_eq!(client.next(), Received::Binary(vec![0, 159, 146, 150]));
}

fn a_fragmented_message_with_a_ping_between_arrives_whole(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::connect(server.address());
    // The second fragment begins within a character.
    client.send(&frame(TEXT, &"grüße".as_bytes()[..3]));
    client.send(&frame(FIN | PING, b"there?"));
    client.send(&frame(FIN, &"grüße".as_bytes()[3..]));

    assert_eq!(client.next(), Received::Pong(b"there?".to_vec()));
    assert_eq!(client.next_text(), "grüße");
}

fn a_message_of_16_mib_arrives_when_the_limit_allows_it(backend: Backend) {
    let limits = r#"
        websocket.message_max = "16 MiB"
        broadcast.backlog_max = "64 MiB"
    "#;
    let server = Server::broadcast(backend, limits);
    let mut client = Client::connect(server.address());
    let mut listener = Client::connect(server.address());
    let message: Vec<u8> = (0..16u32 << 20).map(|at| (at % 251) as u8).collect();

    client.send(&frame(FIN | BINARY, &message));

    assert!(listener.next() == Received::Binary(message), "the same bytes");
}

fn bytes_behind_the_upgrade_request_are_not_lost(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::tcp(server.address());
    let mut bytes = crate::client::upgrade_request("").into_bytes();
    bytes.extend(frame(FIN | TEXT, b"in a hurry"));
    client.send(&bytes);
    assert!(client.response_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.next_text(), "in a hurry");
}

fn messages_of_one_client_keep_their_order(backend: Backend) {
    let server = Server::broadcast(backend, "server.workers = 2");
    let mut listeners: Vec<Client> = (0..4).map(|_| Client::connect(server.address())).collect();
    let mut speaker = Client::connect(server.address());
    for number in 0..500 {
        speaker.send_text(&number.to_string());
    }
    for listener in &mut listeners {
        for number in 0..500 {
            assert_eq!(listener.next_text(), number.to_string());
        }
    }
}

fn a_close_is_answered_with_its_code_behind_what_was_said(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::connect(server.address());
    let mut bytes = frame(FIN | TEXT, b"last words");
    bytes.extend(frame(0x88, &[0x0f, 0xa1, b'b', b'y', b'e']));
    client.send(&bytes);

    assert_eq!(client.next_text(), "last words");
    assert_eq!(client.next(), Received::Close(Some(4001), String::new()));
    assert!(client.is_at_end());
}

fn a_client_that_ends_its_side_leaves(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::connect(server.address());
    client.send_text("and now I go");
    client.stream.shutdown(std::net::Shutdown::Write).expect("shut down");

    assert_eq!(client.next_text(), "and now I go", "what was queued still arrives");
    assert!(client.is_at_end());
    server.wait_for("sessions_closed", 1);
}

fn the_client_who_left_is_counted_out(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut first = Client::connect(server.address());
    let mut second = Client::connect(server.address());
    second.send_close(1000);
    assert_eq!(second.next(), Received::Close(Some(1000), String::new()));
    server.wait_for("sessions_closed", 1);
    assert_eq!(server.stats().probes["active_clients"], 1);
    first.round_trip("alone");
}

fn the_control_plane_reaches_everybody(backend: Backend) {
    let server = Server::broadcast(backend, "server.workers = 2");
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(server.address())).collect();
    server.wait_for("sessions_opened", 6);

    server.appliance.handle().publish("maintenance at noon").expect("published");

    for client in &mut clients {
        assert_eq!(client.next_text(), "maintenance at noon");
    }
}

fn a_subprotocol_is_agreed_on(backend: Backend) {
    let server = Server::broadcast(backend, r#"websocket.subprotocols = ["v2.chat", "v1.chat"]"#);
    let mut client = Client::tcp(server.address());
    let offer = "Sec-WebSocket-Protocol: v0.chat, v1.chat\r\n";
    client.send(crate::client::upgrade_request(offer).as_bytes());
    assert!(client.response_head().contains("Sec-WebSocket-Protocol: v1.chat\r\n"));
    client.round_trip("agreed");
}

fn where_the_admin_alone_publishes_a_client_that_sends_is_closed(backend: Backend) {
    let server = Server::broadcast(backend, r#"broadcast.publish = "admin""#);
    let mut reader = Client::connect(server.address());
    let mut speaker = Client::connect(server.address());
    // Control frames are no messages.
    speaker.send(&frame(FIN | PING, b"there?"));
    assert_eq!(speaker.next(), Received::Pong(b"there?".to_vec()));

    // The header of a long message is enough.
    speaker.send(&frame(FIN | TEXT, &[b'x'; 1000])[..14]);
    let (before, code, reason) = speaker.until_close();
    assert_eq!((before, code), (Vec::new(), Some(1008)));
    assert_eq!(reason, "this service takes no messages");

    server.appliance.handle().publish("news").expect("published");
    assert_eq!(reader.next_text(), "news");
    assert_eq!(server.total("messages_refused"), 1);
}
