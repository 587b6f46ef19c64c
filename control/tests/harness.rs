//! The harness that embedders test with: what it shows is what a server does.

use std::thread;
use std::time::Duration;

use hioload::testing::{ClientRequest, Harness, Received};
use hioload::{
    Appliance, Broadcast, CloseCode, ClosedWith, Config, Handler, HandlerError, Message, Outbox,
    Page, PerWorker, Recovery, Session, StartError,
};

/// Longest wait for another thread.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes orders.
struct Obedient;

impl Handler for Obedient {
    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        match message.text() {
            Some("panic") => panic!("as told"),
            Some("fail") => return Err(HandlerError::new("as told")),
            Some("close") => out.close(CloseCode::POLICY_VIOLATION, "as told"),
            Some("who am I?") => out.send(session.peer().to_string().as_str()),
            _ => out.broadcast(message),
        }
        Ok(())
    }
}

fn harness(toml: &str) -> Harness {
    let config = Config::parse(toml, "harness").expect("a valid configuration");
    let builder = Appliance::builder().config(config).handler(Obedient).layer(Recovery);
    Harness::new(builder).expect("a valid builder")
}

#[test]
fn each_client_gets_what_the_handler_sends_it() {
    let harness = harness("");
    let (ann, bob) = (harness.open("/ws"), harness.open("/ws"));
    ann.send("hello");
    bob.send(&b"\x00\xff"[..]);
    bob.send("x".repeat(70_000).as_str());
    let expected = [
        Received::text("hello"),
        Received::binary(b"\x00\xff"),
        Received::text("x".repeat(70_000)),
    ];
    assert_eq!(ann.received(), expected);
    assert_eq!(bob.received(), expected);
    assert_eq!((ann.next(), ann.closed(), ann.is_open()), (None, None, true));
    ann.ping(b"there?");
    assert_eq!(ann.next(), Some(Received::Pong(b"there?".to_vec())));
    assert_eq!(harness.totals().messages_received, 3);
}

#[test]
fn a_session_that_the_handler_ends_shows_how() {
    let harness = harness("");
    for (order, expected) in [
        ("close", Received::close(1008, "as told")),
        ("fail", Received::close(1011, "internal error")),
        ("panic", Received::close(1011, "internal error")),
    ] {
        let client = harness.open("/ws");
        client.send(order);
        assert_eq!(client.received(), [expected, Received::End], "{order}");
        assert!(!client.is_open());
    }
    assert_eq!(harness.stats().probes["active_clients"], 0);
    assert_eq!(harness.totals().connections, 0, "clients have ended their side");
}

/// Fails when a session ends.
struct Mourning;

impl Handler for Mourning {
    fn on_message(
        &self,
        _session: &Session,
        _message: Message<'_>,
        _out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        Ok(())
    }

    fn on_close(&self, _session: &Session, _closed: ClosedWith, out: &mut Outbox<'_>) {
        out.broadcast("alas");
        panic!("too sad");
    }
}

#[test]
fn a_panic_on_a_close_is_counted_and_what_was_said_before_is_heard() {
    let builder = Appliance::builder().handler(Mourning).layer(Recovery);
    let harness = Harness::new(builder).expect("a valid builder");
    let (leaving, staying) = (harness.open("/ws"), harness.open("/ws"));
    leaving.close(1000, "");
    assert_eq!(staying.texts(), ["alas"]);
    assert_eq!((harness.totals().handler_panics, harness.totals().handler_errors), (1, 0));
}

#[test]
#[should_panic(expected = "as told")]
fn a_panic_that_nothing_catches_fails_the_test() {
    let harness = Harness::new(Appliance::builder().handler(Obedient)).expect("a valid builder");
    harness.open("/ws").send("panic");
}

#[test]
fn what_a_client_does_wrong_is_answered_as_on_a_network() {
    let harness = harness("");
    let client = harness.open("/ws");
    client.send_raw(&[0xff, 0x80, 0, 0, 0, 0]);
    assert_eq!(client.closed().and_then(|(code, _)| code), Some(1002));
    let refused = harness.try_open(ClientRequest::get("/ws").header("Origin", "http://a.example"));
    assert_eq!(refused.unwrap_err().status(), Some(403));
    assert_eq!(harness.try_open("/nothing").unwrap_err().status(), Some(404));
    let downgraded = ClientRequest::get("/ws").header("Sec-WebSocket-Version", "12");
    assert_eq!(harness.try_open(downgraded).unwrap_err().status(), Some(426));
}

#[test]
fn a_request_says_who_asks_and_for_what() {
    let harness = harness(r#"websocket.subprotocols = ["chat.v2"]"#);
    let request = ClientRequest::get("/ws").header("Sec-WebSocket-Protocol", "chat.v1, chat.v2");
    let client = harness.open(request.peer(([192, 0, 2, 7], 4000).into()));
    assert_eq!(client.response().header("sec-websocket-protocol"), Some("chat.v2"));
    client.send("who am I?");
    assert_eq!(client.texts(), ["192.0.2.7:4000"]);
    let (one, other) = (harness.open("/ws"), harness.open("/ws"));
    one.send("who am I?");
    other.send("who am I?");
    assert_ne!(one.texts(), other.texts(), "each has a port of its own");
}

#[test]
fn time_passes_as_it_is_told_and_what_is_due_meanwhile_happens() {
    let harness = harness(r#"websocket = { ping_interval = "30s", pong_timeout = "10s" }"#);
    let (polite, hanging) = (harness.open("/ws"), harness.open("/ws"));
    hanging.fall_silent();
    harness.pass(Duration::from_secs(29));
    assert_eq!(polite.received(), []);
    harness.pass(Duration::from_secs(2));
    assert_eq!(hanging.received(), [Received::Ping(vec![])]);
    assert!(hanging.is_open());
    harness.pass(Duration::from_secs(10));
    assert_eq!(hanging.received(), [Received::End]);
    harness.pass(Duration::from_secs(3600));
    assert!(polite.is_open());
    // One every thirty seconds, each answered at once.
    assert_eq!(polite.received(), vec![Received::Ping(vec![]); 121]);
}

#[test]
fn a_client_that_stops_reading_loses_what_its_backlog_does_not_hold() {
    let harness = harness("broadcast.backlog_messages_max = 3");
    let (talking, stalled) = (harness.open("/ws"), harness.open("/ws"));
    stalled.stop_reading_after(0);
    for number in 0..10 {
        talking.send(number.to_string().as_str());
    }
    assert_eq!(talking.texts().len(), 10);
    assert_eq!(stalled.received(), []);
    stalled.read_on();
    let heard = stalled.texts();
    assert!((3..=4).contains(&heard.len()), "{heard:?}");
    let dropped = harness.totals().deliveries_dropped_backlog;
    assert_eq!(dropped + heard.len() as u64, 10);
}

#[test]
fn clients_of_several_workers_hear_each_other() {
    let builder = Appliance::builder().handler(Broadcast);
    let harness = Harness::with_workers(builder, 3).expect("a valid builder");
    let clients: Vec<_> = (0..6).map(|_| harness.open("/ws")).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(number.to_string().as_str());
    }
    let expected = ["0", "1", "2", "3", "4", "5"];
    clients.iter().for_each(|client| assert_eq!(client.texts(), expected));
    let workers = harness.stats().workers;
    assert!(workers.iter().all(|worker| worker["sessions_opened"] == 2));
}

/// Tells each client how many its worker has had.
struct PerWorkerCount(PerWorker<u32>);

impl Handler for PerWorkerCount {
    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        let mut count = self.0.get(session.worker());
        *count += 1;
        out.send(format!("{} of worker {}", *count, session.worker().get()).as_str());
        Ok(())
    }

    fn on_message(
        &self,
        _session: &Session,
        _message: Message<'_>,
        _out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

#[test]
fn state_of_a_worker_is_its_own() {
    let builder = Appliance::builder().handler(PerWorkerCount(PerWorker::default()));
    let harness = Harness::with_workers(builder, 2).expect("a valid builder");
    let heard: Vec<_> = (0..4).flat_map(|_| harness.open("/ws").texts()).collect();
    assert_eq!(heard, ["1 of worker 0", "1 of worker 1", "2 of worker 0", "2 of worker 1"]);
}

#[test]
fn another_thread_sends_through_the_handle() {
    let harness = harness("");
    let client = harness.open("/ws");
    let handle = harness.handle();
    let sending = thread::spawn(move || handle.publish("from afar"));
    assert_eq!(client.wait(PATIENCE), Some(Received::text("from afar")));
    sending.join().expect("no panic").expect("it was taken");
    assert_eq!(client.wait(Duration::ZERO), None);
}

#[test]
fn plain_http_is_answered_beside_the_sessions() {
    let builder = Appliance::builder()
        .handler(Broadcast)
        .page("/page", Page::new("text/plain", &b"a page"[..]))
        .get("/made", |request| {
            let body = request.query().unwrap_or("nothing").as_bytes().to_vec();
            Ok(Page::new("text/plain", body).with_status(418))
        })
        .chat_page();
    let harness = Harness::new(builder).expect("a valid builder");
    assert_eq!(harness.request("/page").body(), b"a page");
    let made = harness.request("/made?a=b");
    assert_eq!((made.status(), made.text()), (418, "a=b"));
    let head = harness.request(ClientRequest::get("/page").method("HEAD"));
    assert_eq!((head.header("Content-Length"), head.body()), (Some("6"), &b""[..]));
    assert_eq!(harness.request(ClientRequest::get("/page").method("PUT")).status(), 405);
    let _session = harness.open("/ws");
    assert_eq!(harness.request("/clients").text(), "{\"active_clients\":1}\n");
    assert_eq!(harness.totals().connections, 1, "the others are gone");
}

#[test]
fn a_drain_waits_for_those_who_hang_until_its_deadline() {
    let harness = harness(r#"control.drain_timeout = "5s""#);
    let (polite, hanging) = (harness.open("/ws"), harness.open("/ws"));
    hanging.fall_silent();
    polite.send("last words");
    harness.drain();
    let bye = Received::close(1001, "the server is shutting down");
    let last = [Received::text("last words"), bye];
    assert_eq!(hanging.received(), last);
    assert_eq!(polite.received()[..2], last);
    assert_eq!(harness.drained(), None);
    assert_eq!(harness.try_open("/ws").unwrap_err().response, None);
    harness.pass(Duration::from_secs(5));
    let drained = harness.drained().expect("the deadline has passed");
    assert_eq!((drained.closed, drained.cut_off), (1, 1));
    assert!(harness.handle().publish("too late").is_err());
}

#[test]
fn clients_leave_in_every_way() {
    let harness = harness("");
    let (closing, ending, lost, other) =
        (harness.open("/ws"), harness.open("/ws"), harness.open("/ws"), harness.open("/ws"));
    closing.close(4000, "that was it");
    ending.end();
    lost.reset();
    assert_eq!(closing.received(), [Received::close(4000, ""), Received::End]);
    assert!(!ending.is_open() && !lost.is_open() && other.is_open());
    assert_eq!(harness.stats().probes["active_clients"], 1);
}

#[test]
fn what_would_not_start_does_not_start_here() {
    let builder = || Appliance::builder().handler(Broadcast);
    let taken = Harness::new(builder().route("/ws", Broadcast)).unwrap_err();
    assert!(matches!(taken, StartError::Route { .. }), "{taken}");
    let nobody = Harness::with_workers(builder(), 0).unwrap_err();
    assert!(matches!(nobody, StartError::Config(_)), "{nobody}");
}
