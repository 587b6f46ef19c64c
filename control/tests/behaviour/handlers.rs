//! Handlers that refuse, answer, fail and panic.

use hioload::{
    Accept, CloseCode, ClosedWith, Handler, HandlerError, Message, Outbox, Refusal, Session,
    UpgradeRequest,
};
use std::sync::{Arc, Mutex};

use crate::Backend;
use crate::client::{Client, Received, upgrade_request};
use crate::on_every_backend;
use crate::scene::Server;

on_every_backend!(
    a_handler_refuses_an_upgrade_with_a_status,
    data_that_was_attached_at_the_upgrade_is_there_for_every_message,
    open_messages_and_close_come_in_this_order,
    a_panic_closes_one_session_with_1011,
    an_error_closes_one_session_with_1011,
    a_handler_closes_a_session_behind_its_last_words,
);

/// Takes orders from its clients.
#[derive(Default)]
struct Obedient {
    log: Arc<Mutex<Vec<String>>>,
}

struct User(String);

impl Handler for Obedient {
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        match request.header("authorization") {
            Some("panic") => panic!("as told"),
            Some(user) => Ok(Accept::new().data(User(user.to_owned()))),
            None => Err(Refusal::new(401, "who are you?")),
        }
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        let user = &session.data::<User>().ok_or_else(|| HandlerError::new("no user"))?.0;
        self.log.lock().expect("no panic in here").push(format!("open {user}"));
        out.send(format!("welcome, {user}").as_str());
        Ok(())
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        let user = &session.data::<User>().ok_or_else(|| HandlerError::new("no user"))?.0;
        match message.text() {
            Some("panic") => panic!("as told"),
            Some("fail") => return Err(HandlerError::new("as told")),
            Some("close") => {
                out.send("last words");
                out.close(CloseCode::POLICY_VIOLATION, "as told");
                out.send("never heard");
            }
            Some(text) => {
                self.log.lock().expect("no panic in here").push(format!("{user}: {text}"));
                out.send(format!("{user}: {text}").as_str());
            }
            None => out.send(message),
        }
        Ok(())
    }

    fn on_close(&self, session: &Session, closed: ClosedWith, _out: &mut Outbox<'_>) {
        let user = session.data::<User>().map_or("?", |user| &user.0);
        self.log.lock().expect("no panic in here").push(format!("close {user} {}", closed.get()));
    }
}

fn connect(server: &Server, user: &str) -> Client {
    let mut client = Client::tcp(server.address());
    client.upgrade(&format!("Authorization: {user}\r\n"));
    assert_eq!(client.next_text(), format!("welcome, {user}"));
    client
}

fn a_handler_refuses_an_upgrade_with_a_status(backend: Backend) {
    let server = Server::start(backend, "", Obedient::default());
    let mut client = Client::tcp(server.address());
    client.send(upgrade_request("").as_bytes());
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{head}");
    assert_eq!(body, b"who are you?\n");

    let mut panicking = Client::tcp(server.address());
    panicking.send(upgrade_request("Authorization: panic\r\n").as_bytes());
    let (head, _) = panicking.response();
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    assert_eq!(server.total("handler_panics"), 1);
    connect(&server, "ann");
}

fn data_that_was_attached_at_the_upgrade_is_there_for_every_message(backend: Backend) {
    let server = Server::start(backend, "", Obedient::default());
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    ann.send_text("hello");
    bob.send_text("hi");
    assert_eq!(ann.next_text(), "ann: hello");
    assert_eq!(bob.next_text(), "bob: hi");
}

fn open_messages_and_close_come_in_this_order(backend: Backend) {
    let handler = Obedient::default();
    let log = Arc::clone(&handler.log);
    let server = Server::start(backend, "", handler);
    let mut client = connect(&server, "ann");
    client.send_text("one");
    client.send_text("two");
    client.send_close(1000);
    client.until_close();
    server.wait_for("sessions_closed", 1);
    let log = log.lock().expect("no panic in here");
    assert_eq!(*log, ["open ann", "ann: one", "ann: two", "close ann 1000"]);
}

fn a_panic_closes_one_session_with_1011(backend: Backend) {
    let server = Server::start(backend, "", Obedient::default());
    let (mut ann, mut bob) = (connect(&server, "ann"), connect(&server, "bob"));
    ann.send_text("panic");
    assert_eq!(ann.next(), Received::Close(Some(1011), "internal error".to_owned()));
    bob.send_text("unharmed");
    assert_eq!(bob.next_text(), "bob: unharmed");
    assert_eq!((server.total("handler_panics"), server.total("handler_errors")), (1, 1));
}

fn an_error_closes_one_session_with_1011(backend: Backend) {
    let server = Server::start(backend, "", Obedient::default());
    let mut ann = connect(&server, "ann");
    ann.send_text("fail");
    assert_eq!(ann.next(), Received::Close(Some(1011), "internal error".to_owned()));
    assert_eq!((server.total("handler_panics"), server.total("handler_errors")), (0, 1));
}

fn a_handler_closes_a_session_behind_its_last_words(backend: Backend) {
    let server = Server::start(backend, "", Obedient::default());
    let mut ann = connect(&server, "ann");
    ann.send_text("close");
    assert_eq!(ann.next_text(), "last words");
    assert_eq!(ann.next(), Received::Close(Some(1008), "as told".to_owned()));
    ann.send_close(1008);
    assert!(ann.is_at_end());
}
