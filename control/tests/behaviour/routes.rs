//! Paths with WebSocket handlers of their own.

use std::cell::Cell;

use hioload::{
    Accept, Appliance, Broadcast, ClosedWith, Handler, HandlerError, Message, Metrics, Outbox,
    Recovery, Refusal, Session, StartError, UpgradeRequest,
};

use crate::Backend;
use crate::client::{Client, upgrade_request};
use crate::on_every_backend;
use crate::scene::{Server, config};

on_every_backend!(
    each_path_has_its_own_handler,
    a_broadcast_reaches_the_sessions_of_every_path,
    layers_are_around_the_handlers_of_every_path,
    each_session_counts_for_itself,
    a_handler_at_a_path_that_is_taken_or_never_asked_for_is_refused_at_the_start,
);

/// Answers with how many messages this session has said; tells everybody when one leaves.
struct Counter;

struct Said(Cell<u32>);

impl Handler for Counter {
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        assert_eq!(request.path_index().get(), 1);
        if request.query() == Some("no") {
            return Err(Refusal::new(403, "not with this query"));
        }
        Ok(Accept::new().data(Said(Cell::new(0))))
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        out.send(format!("path {}", session.path_index().get()).as_str());
        Ok(())
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        assert_ne!(message.text(), Some("panic"), "as told");
        let said = &session.data::<Said>().ok_or_else(|| HandlerError::new("no count"))?.0;
        said.set(said.get() + 1);
        out.send(said.get().to_string().as_str());
        Ok(())
    }

    fn on_close(&self, _session: &Session, _closed: ClosedWith, out: &mut Outbox<'_>) {
        out.broadcast("one has left");
    }
}

/// Says the same to everybody who comes.
struct Greeting;

impl Handler for Greeting {
    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        assert_eq!(session.path_index().get(), 2);
        out.send("good evening");
        Ok(())
    }

    fn on_message(
        &self,
        _session: &Session,
        _message: Message<'_>,
        _out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        Err(HandlerError::new("only I talk here"))
    }
}

fn server(backend: Backend, metrics: Metrics) -> Server {
    let started = Appliance::builder()
        .config(config(backend, ""))
        .handler(Broadcast)
        .route("/count", Counter)
        .layer(Recovery)
        .route("/greeting", Greeting)
        .layer(metrics)
        .start();
    Server::started(backend, started)
}

fn counter(server: &Server) -> Client {
    let mut client = Client::connect_at(server.address(), "/count");
    assert_eq!(client.next_text(), "path 1");
    client
}

fn each_path_has_its_own_handler(backend: Backend) {
    let server = server(backend, Metrics::default());
    let mut chatting = Client::connect(server.address());
    let mut counting = counter(&server);
    let mut greeted = Client::connect_at(server.address(), "/greeting");
    assert_eq!(greeted.next_text(), "good evening");
    counting.send_text("anything");
    assert_eq!(counting.next_text(), "1");
    chatting.round_trip("chat goes on");

    let mut refused = Client::tcp(server.address());
    refused.send(upgrade_request("").replacen("/ws", "/count?no", 1).as_bytes());
    assert!(refused.response().0.starts_with("HTTP/1.1 403 "));
    let mut lost = Client::tcp(server.address());
    lost.send(upgrade_request("").replacen("/ws", "/count/", 1).as_bytes());
    assert!(lost.response().0.starts_with("HTTP/1.1 404 "));
}

fn a_broadcast_reaches_the_sessions_of_every_path(backend: Backend) {
    let server = server(backend, Metrics::default());
    let (mut chatting, mut counting) = (Client::connect(server.address()), counter(&server));
    chatting.send_text("hello, all");
    assert_eq!(counting.next_text(), "hello, all");
    server.appliance.handle().publish("news").expect("it is serving");
    assert_eq!(counting.next_text(), "news");
    counting.send_close(1000);
    for expected in ["hello, all", "news", "one has left"] {
        assert_eq!(chatting.next_text(), expected);
    }
}

fn layers_are_around_the_handlers_of_every_path(backend: Backend) {
    let metrics = Metrics::default();
    let counts = metrics.handle();
    let server = server(backend, metrics);
    let (mut counting, mut panicking) = (counter(&server), counter(&server));
    counting.send_text("anything");
    assert_eq!(counting.next_text(), "1");
    panicking.send_text("panic");
    assert_eq!(panicking.until_close().1, Some(1011));
    let mut greeted = Client::connect_at(server.address(), "/greeting");
    greeted.send_text("but I");
    assert_eq!(greeted.until_close().1, Some(1011));
    assert_eq!((server.total("handler_panics"), server.total("handler_errors")), (1, 2));
    // The panic has passed through the counting layer, which stands inside `Recovery`.
    assert_eq!((counts.processed(), counts.failed()), (1, 1));
}

fn each_session_counts_for_itself(backend: Backend) {
    let server = server(backend, Metrics::default());
    let (mut ann, mut bob) = (counter(&server), counter(&server));
    for expected in ["1", "2", "3"] {
        ann.send_text("one more");
        assert_eq!(ann.next_text(), expected);
    }
    bob.send_text("my first");
    assert_eq!(bob.next_text(), "1");
}

fn a_handler_at_a_path_that_is_taken_or_never_asked_for_is_refused_at_the_start(backend: Backend) {
    for (paths, at_fault) in [
        (["/feed", "/feed"], "/feed"),
        (["/a", "/ws"], "/ws"),
        (["feed", "/a"], "feed"),
        (["/a?b", "/a"], "/a?b"),
    ] {
        let builder = Appliance::builder().config(config(backend, "")).handler(Broadcast);
        let started = builder.route(paths[0], Broadcast).route(paths[1], Broadcast).start();
        match started {
            Err(StartError::Route { path, .. }) => assert_eq!(path, at_fault),
            other => panic!("{paths:?}: {other:?}"),
        }
    }
}
