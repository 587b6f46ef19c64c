//! Two workers: every client of either gets every message, in order per publisher.

use std::thread;

use crate::Backend;
use crate::client::{Client, FIN, TEXT, frame};
use crate::on_every_backend;
use crate::scene::Server;

on_every_backend!(every_client_of_either_worker_gets_every_message_in_order);

/// Rings of two slots fill at once.
const SMALL_RINGS: &str = r#"
    server.workers = 2
    broadcast.mesh_slots = 2
    broadcast.backlog_messages_max = 200000
    broadcast.backlog_max = "256 MiB"
"#;

/// Waking a worker takes long under Wine, and here each two messages wake one.
const MESSAGES: usize = if cfg!(windows) { 10_000 } else { 100_000 };

pub(crate) fn every_client_of_either_worker_gets_every_message_in_order(backend: Backend) {
    let server = Server::broadcast(backend, SMALL_RINGS);
    let clients = clients_on_both_workers(&server);
    let publishers = clients.len();
    let each = MESSAGES / publishers;

    let threads: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(publisher, mut client)| {
            let mut writer = client.stream.try_clone().expect("a second handle");
            let publish = thread::spawn(move || publish(&mut writer, publisher, each));
            let check = thread::spawn(move || check(&mut client, publishers, each));
            (publish, check)
        })
        .collect();
    for (publish, check) in threads {
        publish.join().expect("everything was taken");
        check.join().expect("everything came, in order");
    }

    assert!(server.total("mesh_full") > 0, "the rings were full at times");
    assert_eq!(server.total("messages_published"), (each * publishers) as u64);
    assert_eq!(server.total("deliveries_dropped_backlog"), 0);
}

/// Connects until each worker has two sessions at least; the kernel spreads connections by hash.
fn clients_on_both_workers(server: &Server) -> Vec<Client> {
    let mut clients = Vec::new();
    for count in 1..=64 {
        clients.push(Client::connect(server.address()));
        server.wait_for("sessions_opened", count);
        let stats = server.stats();
        if stats.workers.iter().all(|worker| worker["sessions_opened"] >= 2) {
            return clients;
        }
    }
    panic!("64 connections all went to one worker");
}

fn publish(stream: &mut std::net::TcpStream, publisher: usize, count: usize) {
    use std::io::Write;
    for first in (0..count).step_by(50) {
        let batch: Vec<u8> = (first..count.min(first + 50))
            .flat_map(|number| frame(FIN | TEXT, format!("{publisher} {number}").as_bytes()))
            .collect();
        stream.write_all(&batch).expect("the server reads");
    }
}

fn check(client: &mut Client, publishers: usize, each: usize) {
    let mut next = vec![0; publishers];
    for _ in 0..publishers * each {
        let text = client.next_text();
        let (publisher, number) = text.split_once(' ').expect("two numbers");
        let publisher: usize = publisher.parse().expect("a publisher");
        assert_eq!(number.parse(), Ok(next[publisher]), "from publisher {publisher}");
        next[publisher] += 1;
    }
}
