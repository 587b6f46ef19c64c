//! Clients that do not read, or flood.

use crate::Backend;
use crate::client::{Client, FIN, PING, Received, frame};
use crate::on_every_backend;
use crate::scene::Server;

on_every_backend!(
    a_client_that_stops_reading_loses_its_oldest_messages_and_nobody_elses,
    a_flood_of_pings_that_nobody_reads_the_answers_of_is_bounded,
);

const BACKLOG: &str = r#"
    websocket.message_max = "64 KiB"
    broadcast.backlog_max = "1 MiB"
    broadcast.backlog_messages_max = 16
    tcp.send_buffer = "64 KiB"
"#;

fn a_client_that_stops_reading_loses_its_oldest_messages_and_nobody_elses(backend: Backend) {
    let server = Server::broadcast(backend, BACKLOG);
    let mut stalled = Client::connect(server.address());
    let mut speaker = Client::connect(server.address());
    let text = |number: usize| format!("{number:05}{}", "x".repeat(32 << 10));

    // In step with the speaker's own copy, so that only the stalled client falls behind.
    let mut sent = 0;
    while server.total("deliveries_dropped_backlog") < 100 {
        speaker.send_text(&text(sent));
        assert_eq!(speaker.next_text(), text(sent));
        sent += 1;
    }

    // It gets the first ones, which the kernel had taken, and the last ones, in order.
    let mut got = Vec::new();
    while got.last() != Some(&(sent - 1)) {
        got.push(stalled.next_text()[..5].parse::<usize>().expect("a number"));
    }
    assert!(got.is_sorted(), "in order");
    assert_eq!(got[0], 0);
    let dropped = usize::try_from(server.total("deliveries_dropped_backlog")).expect("a count");
    assert_eq!(got.len() + dropped, sent, "every message was delivered or counted as dropped");
}

fn a_flood_of_pings_that_nobody_reads_the_answers_of_is_bounded(backend: Backend) {
    let server = Server::broadcast(backend, BACKLOG);
    let mut flooder = Client::connect(server.address());
    let pings = frame(FIN | PING, &[b'p'; 125]).repeat(500);
    for _ in 0..400 {
        flooder.send(&pings);
    }
    let mut other = Client::connect(server.address());
    other.send(&frame(FIN | PING, b"mine"));
    assert_eq!(other.next(), Received::Pong(b"mine".to_vec()), "others are served meanwhile");

    flooder.send_text("enough");
    let mut pongs = 0;
    while flooder.next() != Received::Text("enough".to_owned()) {
        pongs += 1;
    }
    assert!(pongs > 0 && pongs < 400 * 500, "{pongs} answers were kept for it");
}
