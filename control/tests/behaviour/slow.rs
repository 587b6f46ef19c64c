//! Clients that do not read, or flood.

use crate::Backend;
use crate::client::{Client, FIN, PING, Received, frame};
use crate::on_every_backend;
use crate::scene::{Server, wait_until};

on_every_backend!(
    a_client_that_stops_reading_loses_its_oldest_messages_and_nobody_elses,
    a_client_that_stops_reading_may_lose_its_newest_messages_instead,
    a_client_that_stops_reading_may_be_disconnected_instead,
    a_flood_of_pings_that_nobody_reads_the_answers_of_is_bounded,
);

const BACKLOG: &str = r#"
    websocket.message_max = "64 KiB"
    broadcast.backlog_max = "1 MiB"
    broadcast.backlog_messages_max = 16
    tcp.send_buffer = "64 KiB"
"#;

fn a_client_that_stops_reading_loses_its_oldest_messages_and_nobody_elses(backend: Backend) {
    let mut crowd = Crowd::new(backend, "drop-oldest");
    crowd.say_until("deliveries_dropped_backlog", 100);
    let last = crowd.sent - 1;

    // It gets the first ones, which the kernel had taken, and the last ones, in order.
    let got = crowd.heard_by_stalled(last);
    assert!(got.is_sorted(), "in order");
    assert_eq!(got[0], 0);
    crowd.account_for(got.len(), "deliveries_dropped_backlog");
}

fn a_client_that_stops_reading_may_lose_its_newest_messages_instead(backend: Backend) {
    let mut crowd = Crowd::new(backend, "drop-newest");
    crowd.say_until("deliveries_dropped_backlog", 100);

    // What it had room for comes without a gap, and what is said later comes again.
    let mut got = crowd.heard_by_stalled_while_saying();
    let gap = got.windows(2).position(|pair| pair[1] != pair[0] + 1).expect("a gap") + 1;
    assert!(got.is_sorted(), "in order");
    assert_eq!(got[..gap], (0..gap).collect::<Vec<_>>());
    got.extend(crowd.heard_by_stalled(crowd.sent - 1));
    crowd.account_for(got.len(), "deliveries_dropped_backlog");
}

fn a_client_that_stops_reading_may_be_disconnected_instead(backend: Backend) {
    let mut crowd = Crowd::new(backend, "disconnect");
    crowd.say_until("slow_disconnects", 1);
    crowd.say();

    let (before, code, reason) = crowd.stalled.until_close();
    assert_eq!((code, reason.as_str()), (Some(1008), "too slow: its backlog was full"));
    let stats = crowd.server.appliance.snapshot().expect("a snapshot");
    // The last message found it gone.
    let due = crowd.sent as u64 - 1;
    assert_eq!(before.len() as u64 + stats.totals["deliveries_dropped_disconnected"], due);
    assert_eq!(stats.totals["deliveries_due"], due + crowd.sent as u64);
    assert_eq!(stats.probes["active_clients"], 2, "its close handshake is not over");
    crowd.stalled.send_close(1000);
    wait_until("the session ends", || crowd.server.stats().probes["active_clients"] == 1);
    crowd.server.serves_the_next_client();
}

/// A client that speaks and reads, and one that does not read for now.
struct Crowd {
    server: Server,
    speaker: Client,
    stalled: Client,
    sent: usize,
}

impl Crowd {
    fn new(backend: Backend, policy: &str) -> Self {
        // On one worker, so that what the speaker has got was offered to the stalled client, too.
        let one = "server.workers = 1";
        let toml = format!("{BACKLOG}\n{one}\nbroadcast.slow_consumer = \"{policy}\"");
        let server = Server::broadcast(backend, &toml);
        let stalled = Client::connect(server.address());
        let speaker = Client::connect(server.address());
        Self { server, speaker, stalled, sent: 0 }
    }

    /// In step with the speaker's own copy, so that only the stalled client falls behind.
    fn say(&mut self) {
        let text = format!("{:05}{}", self.sent, "x".repeat(32 << 10));
        self.speaker.send_text(&text);
        assert_eq!(self.speaker.next_text(), text);
        self.sent += 1;
        let held = self.server.total("backlog_bytes");
        // A frame takes up to twice its bytes; one more is on its way.
        assert!(held <= 2 * (1 << 20) + (128 << 10), "{held} bytes are held for one slow client");
    }

    fn say_until(&mut self, counter: &str, least: u64) {
        while self.server.total(counter) < least {
            assert!(self.sent < 20_000, "{counter} does not rise");
            self.say();
        }
    }

    /// The numbers that the stalled client hears, up to `last`.
    fn heard_by_stalled(&mut self, last: usize) -> Vec<usize> {
        let mut got = Vec::new();
        while got.last() != Some(&last) {
            got.push(self.hear());
        }
        got
    }

    /// The same, from message to message, until one comes that is said meanwhile.
    fn heard_by_stalled_while_saying(&mut self) -> Vec<usize> {
        let before = self.sent;
        let mut got = Vec::new();
        while got.last().is_none_or(|last| *last < before) {
            got.push(self.hear());
            self.say();
        }
        got
    }

    fn hear(&mut self) -> usize {
        self.stalled.next_text()[..5].parse().expect("a number")
    }

    /// The stalled client `got` as many as were due to it, but for those that are counted.
    fn account_for(&self, got: usize, dropped: &str) {
        let stats = self.server.appliance.snapshot().expect("a snapshot");
        assert!(stats.exact);
        let total = |name: &str| usize::try_from(stats.totals[name]).expect("a count");
        assert_eq!(got + total(dropped), self.sent, "delivered or counted as dropped");
        assert_eq!(total("deliveries_due"), 2 * self.sent);
        assert_eq!(total("deliveries_sent"), self.sent + got);
        assert_eq!((total("backlog_messages"), total("backlog_bytes")), (0, 0));
    }
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
