//! The log of connections.

use serde_json::Value;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::process::{ConfigFile, hioload};
use crate::server::Server;
use crate::signals::Signal;

fn serve(toml: &str) -> Server {
    let file = ConfigFile::on_free_ports(&format!("server.workers = 1\n{toml}"));
    Server::start(&mut hioload(&["--config", file.path()]))
}

/// The rest of the log, from now to the end of the server.
fn log_to_the_end(server: &mut Server) -> Vec<String> {
    let lines = std::iter::from_fn(|| Some(server.next_line()).filter(|line| !line.is_empty()));
    lines.collect()
}

#[test]
fn the_line_of_a_session_says_who_how_long_how_much_and_why() {
    let mut server = serve("control.log_format = \"json\"\n");
    let first: Value = serde_json::from_str(&server.first_line).expect("JSON");
    let address = first["addresses"].as_str().expect("one address");
    let mut client = Server::websocket_to(address.parse().expect("an address"));
    let peer = client.get_ref().local_addr().expect("an address").to_string();
    client.send(Message::text("hello")).expect("it is read");
    assert_eq!(client.read().expect("it comes back"), Message::text("hello"));
    let why = CloseFrame { code: CloseCode::Library(4001), reason: "enough".into() };
    client.close(Some(why)).expect("it is read");
    while client.read().is_ok() {}

    let line: Value = serde_json::from_str(&server.line_with("session ended")).expect("JSON");
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!((&line["client"], &line["session"]), (&peer.into(), &"1".into()), "{line}");
    assert!(line["duration_s"].as_f64().is_some_and(|time| (0.0..60.0).contains(&time)), "{line}");
    let counts = [&line["messages_received"], &line["messages_sent"]];
    assert_eq!(counts, [1, 1], "{line}");
    // A frame of ours has a header of two bytes, one of the client's a mask of four beside.
    let (head, answer) = (b"GET /ws HTTP/1.1\r\n".len(), b"HTTP/1.1 101 ".len());
    let least = [head + 6 + 5 + 6 + 8, answer + 2 + 5 + 2 + 2];
    for (name, least) in [("bytes_received", least[0]), ("bytes_sent", least[1])] {
        let bytes = line[name].as_u64().expect("a number");
        assert!((least as u64..1000).contains(&bytes), "{name} {line}");
    }
    let end = [&line["cause"], &line["code"], &line["answered"]];
    assert_eq!(end, [&Value::from("client"), &4001.into(), &true.into()], "{line}");
}

#[test]
fn a_connection_without_a_close_is_lost() {
    let mut server = serve("");
    drop(server.websocket());
    let line = server.line_with("session ended");
    assert!(line.contains("cause=\"connection lost\" code=1006 answered=false"), "{line}");
}

#[test]
fn what_a_client_does_wrong_is_the_cause() {
    let mut server = serve("");
    let mut client = server.websocket();
    let unmasked = [0x81, 1, b'a'];
    std::io::Write::write_all(client.get_mut(), &unmasked).expect("it is read");
    while client.read().is_ok() {}
    drop(client);
    let line = server.line_with("session ended");
    assert!(line.contains("cause=\"protocol error\" code=1002"), "{line}");
}

#[test]
fn a_pong_that_does_not_come_is_the_cause() {
    let mut server =
        serve("websocket.ping_interval = \"10ms\"\nwebsocket.pong_timeout = \"10ms\"\n");
    let client = server.websocket();
    let line = server.line_with("session ended");
    assert!(line.contains("cause=\"pong timeout\" code=1006 answered=false"), "{line}");
    drop(client);
}

#[test]
fn of_many_sessions_that_end_in_a_second_some_have_lines_and_the_others_one_together() {
    let mut server = serve("control.connection_log = 2\ncontrol.drain_timeout = \"300ms\"\n");
    // None answers the Close, so all are cut off together.
    let clients: Vec<_> = (0..5).map(|_| server.websocket()).collect();
    server.signal(Signal::Terminate);
    let lines = log_to_the_end(&mut server);
    let ended: Vec<&String> = lines.iter().filter(|line| line.contains("session ended")).collect();
    assert_eq!(ended.len(), 2, "{lines:?}");
    assert!(ended[0].contains("cause=\"server\" code=1001 answered=false"), "{lines:?}");
    let more: Vec<&String> = lines.iter().filter(|line| line.contains("sessions=")).collect();
    assert!(more.len() == 1 && more[0].contains(" more sessions ended"), "{lines:?}");
    assert!(more[0].contains("sessions=3"), "{lines:?}");
    drop(clients);
}

#[test]
fn what_was_left_out_is_told_though_nothing_else_happens() {
    let mut server = serve("control.connection_log = 1\n");
    let clients: Vec<_> = (0..3).map(|_| server.websocket()).collect();
    drop(clients);
    server.line_with("session ended");
    server.line_with("more sessions ended");
}

#[test]
fn off_is_off() {
    let mut server = serve("control.connection_log = \"off\"\n");
    drop(server.websocket());
    server.signal(Signal::Terminate);
    let lines = log_to_the_end(&mut server);
    assert!(lines.iter().any(|line| line.contains("drained")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("ended")), "{lines:?}");
}
