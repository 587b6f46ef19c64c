//! Single sessions: answers from other threads, kicks, and pages of them while messages flow.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use hioload::{
    Appliance, Broadcast, CloseCode, DirectedError, Handle, Handler, HandlerError, Message, Outbox,
    PublishError, Session, SessionId, State,
};

use crate::Backend;
use crate::client::{Client, Received};
use crate::on_every_backend;
use crate::scene::{Server, config};

on_every_backend!(
    an_answer_from_another_thread_reaches_the_one_who_asked,
    a_handler_passes_a_word_to_one_other_session,
    a_handle_from_before_the_start_says_what_there_is_at_each_moment,
    the_handle_of_an_appliance_that_could_not_start_says_that_it_has_stopped,
    a_drain_that_was_asked_for_before_the_start_begins_with_it,
    pages_sends_and_kicks_among_a_flow_of_messages_disturb_nobody_else,
);

/// Hands what it is asked to another thread.
struct Asking(Sender<(SessionId, String)>);

impl Handler for Asking {
    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        _out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        Ok(self.0.send((session.id(), message.text().unwrap_or_default().to_owned()))?)
    }
}

pub(crate) fn an_answer_from_another_thread_reaches_the_one_who_asked(backend: Backend) {
    let builder = Appliance::builder().config(config(backend, "server.workers = 2"));
    let handle = builder.handle();
    let (ask, questions) = channel::<(SessionId, String)>();
    let answering = thread::spawn(move || {
        for (session, question) in questions {
            for number in 0..3 {
                let answer = format!("{question} {number}");
                handle.send(session, answer.as_str()).expect("it is open");
            }
            handle.close(session, CloseCode::NORMAL, "that was it").expect("it is open");
        }
    });
    let server = Server::started(backend, builder.handler(Asking(ask)).start());

    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(server.address())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send_text(&format!("question {number}"));
    }

    for (number, client) in clients.iter_mut().enumerate() {
        let (answers, code, reason) = client.until_close();
        let expected = (0..3).map(|answer| Received::Text(format!("question {number} {answer}")));
        assert_eq!(answers, expected.collect::<Vec<_>>());
        assert_eq!((code, reason.as_str()), (Some(1000), "that was it"));
    }
    drop(server);
    answering.join().expect("every answer was taken");
}

/// Passes on what begins with the id of another session.
struct Passing(Handle);

impl Handler for Passing {
    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        out.send(session.id().to_string().as_str());
        Ok(())
    }

    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        _out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        let text = message.text().unwrap_or_default();
        let (id, words) = text.split_once(' ').ok_or_else(|| HandlerError::new("no id"))?;
        Ok(self.0.try_send(id.parse()?, words)?)
    }
}

fn a_handler_passes_a_word_to_one_other_session(backend: Backend) {
    let builder = Appliance::builder().config(config(backend, "server.workers = 2"));
    let handler = Passing(builder.handle());
    let server = Server::started(backend, builder.handler(handler).start());
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(server.address())).collect();
    let ids: Vec<String> = clients.iter_mut().map(Client::next_text).collect();

    // Around in a circle, so over both workers and within each.
    for number in 0..6 {
        clients[number].send_text(&format!("{} from {number}", ids[(number + 1) % 6]));
    }

    for number in 0..6 {
        assert_eq!(clients[(number + 1) % 6].next_text(), format!("from {number}"));
    }
    clients[0].send_text("1234567 nobody");
    let (_, code, _) = clients[0].until_close();
    assert_eq!(code, Some(1011), "the error was the handler's");
}

fn a_handle_from_before_the_start_says_what_there_is_at_each_moment(backend: Backend) {
    let builder = Appliance::builder().config(config(backend, ""));
    let handle = builder.handle();
    let nobody: SessionId = "1".parse().expect("an id");
    assert_eq!(handle.state(), State::Starting);
    assert_eq!(handle.publish("early"), Err(PublishError::NotStarted));
    assert_eq!(handle.send(nobody, "early"), Err(DirectedError::NotOpen(nobody)));
    assert_eq!(handle.sessions(None, 10).map(|page| page.sessions.len()), Ok(0));
    assert_eq!(handle.stats().probes["active_clients"], 0);

    let server = Server::started(backend, builder.handler(Broadcast).start());
    assert_eq!(handle.state(), State::Serving);
    let mut client = Client::connect(server.address());
    server.wait_for("sessions_opened", 1);
    let id = handle.sessions(None, 10).expect("the worker answers").sessions[0].id;
    handle.send(id, "now").expect("it is open");
    assert_eq!(client.next_text(), "now");

    client.send_close(1000);
    client.until_close();
    server.appliance.stop().expect("it ends well");
    assert_eq!(handle.state(), State::Stopped);
    assert_eq!(handle.send(id, "late"), Err(DirectedError::Stopping));
    assert_eq!(handle.sessions(None, 10).map(|page| page.sessions.len()), Ok(0));
}

fn the_handle_of_an_appliance_that_could_not_start_says_that_it_has_stopped(backend: Backend) {
    let taken = Server::broadcast(backend, "");
    let mut config = config(backend, "");
    config.server.listen = vec![taken.address().to_string().parse().expect("an address")];
    let builder = Appliance::builder().config(config);
    let handle = builder.handle();
    builder.handler(Broadcast).start().expect_err("the port is taken");
    assert_eq!(handle.state(), State::Stopped);
    assert_eq!(handle.publish("late"), Err(PublishError::Stopping));
}

fn a_drain_that_was_asked_for_before_the_start_begins_with_it(backend: Backend) {
    let builder = Appliance::builder().config(config(backend, ""));
    builder.handle().drain();
    let server = Server::started(backend, builder.handler(Broadcast).start());
    assert_eq!(server.appliance.join().map(|drained| drained.cut_off).ok(), Some(0));
}

const FLOW: &str = r#"
    server.workers = 2
    broadcast.backlog_messages_max = 200000
    broadcast.backlog_max = "256 MiB"
"#;

const STAYING: usize = 150;
const KICKED: usize = 20;
const MESSAGES: usize = 3_000;

fn pages_sends_and_kicks_among_a_flow_of_messages_disturb_nobody_else(backend: Backend) {
    let server = Server::broadcast(backend, FLOW);
    let handle = server.appliance.handle();
    let staying = connect(&server, STAYING);
    let mut kicked = connect(&server, KICKED);
    server.wait_for("sessions_opened", (STAYING + KICKED) as u64);
    let ids = ids(&handle, &staying);
    let ids_kicked = self::ids(&handle, &kicked);
    let stays: HashSet<SessionId> = ids.iter().copied().collect();
    let done = AtomicBool::new(false);
    let mut sent: HashMap<SessionId, usize> = HashMap::new();

    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..MESSAGES {
                handle.publish(format!("flow {number}").as_str()).expect("the workers keep up");
            }
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                drop(Client::connect(server.address()));
            }
        });
        let mut to_kick = ids_kicked.iter();
        let mut rounds = 0;
        while rounds < 3 || !done.load(Ordering::Relaxed) {
            let listed = list(&handle, 37);
            assert!(listed.is_sorted_by(|left, right| left < right), "in order, none twice");
            let listed: HashSet<SessionId> = listed.into_iter().collect();
            assert!(stays.is_subset(&listed), "none of those who stay is left out");
            for &id in stays.iter().take(10) {
                let number = sent.entry(id).or_default();
                handle.send(id, format!("direct {number}").as_str()).expect("it is open");
                *number += 1;
            }
            if let Some(&id) = to_kick.next() {
                handle.close(id, CloseCode::POLICY_VIOLATION, "").expect("it is open");
            }
            rounds += 1;
        }
        to_kick.for_each(|&id| {
            handle.close(id, CloseCode::POLICY_VIOLATION, "").expect("it is open");
        });
    });

    for client in &mut kicked {
        let (before, code, _) = client.until_close();
        assert_eq!(code, Some(1008));
        let expected = (0..before.len()).map(|number| Received::Text(format!("flow {number}")));
        assert!(expected.eq(before), "the flow up to the kick");
    }
    handle.publish("end").expect("the workers keep up");
    for (mut client, id) in staying.into_iter().zip(ids) {
        let (mut flow, mut direct) = (0, 0);
        loop {
            let text = client.next_text();
            if text == "end" {
                break;
            }
            let next = if text.starts_with("flow") { &mut flow } else { &mut direct };
            let (_, number) = text.split_once(' ').expect("two words");
            assert_eq!(number.parse(), Ok(*next), "{text}");
            *next += 1;
        }
        assert_eq!((flow, direct), (MESSAGES, sent.get(&id).copied().unwrap_or_default()));
    }
    let count = |name| usize::try_from(server.total(name)).expect("a count");
    assert_eq!(count("directed_sent"), sent.values().sum::<usize>());
    assert_eq!((count("sessions_kicked"), count("directed_missed")), (KICKED, 0));
}

fn connect(server: &Server, count: usize) -> Vec<Client> {
    (0..count).map(|_| Client::connect(server.address())).collect()
}

/// The ids of the sessions of `clients`.
fn ids(handle: &Handle, clients: &[Client]) -> Vec<SessionId> {
    let sessions = handle.sessions(None, 1000).expect("the workers answer").sessions;
    let ids: HashMap<_, _> = sessions.iter().map(|session| (session.peer, session.id)).collect();
    clients.iter().map(|it| ids[&it.stream.local_addr().expect("an address")]).collect()
}

/// The ids of all sessions, page by page.
fn list(handle: &Handle, limit: usize) -> Vec<SessionId> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = handle.sessions(after, limit).expect("the workers answer");
        listed.extend(page.sessions.iter().map(|session| session.id));
        after = page.next;
        if after.is_none() {
            return listed;
        }
    }
}
