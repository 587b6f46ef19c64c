//! `/sessions`: who is there, and what can be done about one of them.

use std::net::TcpStream;

use serde_json::Value;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::client::{Answer, get, post};
use crate::endpoints::assert_refused;
use crate::scene::{Scene, next};

#[test]
fn a_page_has_what_there_is_to_know_of_each_session() {
    let scene = Scene::new("");
    let mut client = scene.client();
    client.send(Message::text("hello")).expect("it is taken");
    assert_eq!(next(&mut client), Message::text("hello"));

    let answer = get(scene.admin(), "/sessions");

    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let page = json(&answer);
    assert_eq!(page["next"], Value::Null);
    let [session] = &page["sessions"].as_array().expect("a list")[..] else { panic!("{page}") };
    let peer = client.get_ref().local_addr().expect("an address").to_string();
    assert_eq!(session["peer"], peer.as_str());
    assert!(session["id"].is_string(), "JavaScript has no such numbers: {session}");
    assert!(session["age_s"].as_u64().is_some_and(|age| age < 60), "{session}");
    assert!(session["worker"].as_u64().is_some_and(|worker| worker < 2), "{session}");
    let counts = ["messages_received", "messages_delivered", "backlog_messages", "backlog_bytes"];
    assert_eq!(counts.map(|name| session[name].as_u64()), [1, 1, 0, 0].map(Some));
}

#[test]
fn pages_of_any_size_hold_each_session_once() {
    let scene = Scene::new("");
    let clients: Vec<_> = (0..7).map(|_| scene.client()).collect();
    for limit in 1..=8 {
        let mut peers = Vec::new();
        let mut path = format!("/sessions?limit={limit}");
        loop {
            let page = json(&get(scene.admin(), &path));
            let sessions = page["sessions"].as_array().expect("a list");
            assert!(sessions.len() <= limit, "{page}");
            peers.extend(sessions.iter().map(|session| text(&session["peer"])));
            if page["next"].is_null() {
                break;
            }
            path = format!("/sessions?after={}&limit={limit}", text(&page["next"]));
        }
        let there = clients.iter().map(|it| it.get_ref().local_addr().expect("an address"));
        let mut expected: Vec<String> = there.map(|address| address.to_string()).collect();
        expected.sort();
        peers.sort();
        assert_eq!(peers, expected, "limit {limit}");
    }
}

#[test]
fn a_message_reaches_the_one_session_that_is_named() {
    let scene = Scene::new("");
    let (mut named, mut other) = (scene.client(), scene.client());
    let id = id(&scene, &named);

    let plain = send(&scene, &id, "Content-Type: text/plain\r\n", b"for you");
    assert_eq!((plain.status, plain.header("content-type")), (202, Some("application/json")));
    assert_eq!(plain.body, format!("{{\"id\":\"{id}\",\"bytes\":7}}\n"));
    let octets = "Content-Type: application/octet-stream\r\n";
    assert_eq!(send(&scene, &id, octets, b"\xff\x00").status, 202);

    assert_eq!(next(&mut named), Message::text("for you"));
    assert_eq!(next(&mut named), Message::binary(&b"\xff\x00"[..]));
    assert_eq!(post(scene.admin(), "/broadcast", "", b"for all").status, 202);
    assert_eq!(next(&mut other), Message::text("for all"));
}

#[test]
fn a_kick_closes_one_session_with_the_code_and_reason_that_were_given() {
    let scene = Scene::new("");
    let mut clients = [scene.client(), scene.client(), scene.client()];
    let [first, second, third] = clients.each_ref().map(|client| id(&scene, client));

    let plain = post(scene.admin(), &format!("/sessions/{first}/kick"), "", b"");
    assert_eq!(plain.status, 202);
    assert_eq!(plain.body, format!("{{\"id\":\"{first}\",\"code\":1008,\"reason\":\"\"}}\n"));
    let path = format!("/sessions/{second}/kick?code=4000&reason=gone%20to+lunch");
    assert_eq!(post(scene.admin(), &path, "", b"").status, 202);

    assert_eq!(closed(&mut clients[0]), (CloseCode::Policy, String::new()));
    assert_eq!(closed(&mut clients[1]), (CloseCode::Library(4000), "gone to lunch".to_owned()));
    assert_eq!(send(&scene, &third, "", b"still here?").status, 202);
    assert_eq!(next(&mut clients[2]), Message::text("still here?"));
    let stats = json(&get(scene.admin(), "/stats"));
    assert_eq!(stats["totals"]["sessions_kicked"], 2);
}

#[test]
fn what_names_no_open_session_is_refused() {
    let scene = Scene::new("");
    // The worker numbers from 1, so these are none, on a worker that there is and one that is not.
    for id in ["0", "18446744073709551615"] {
        assert_refused(&send(&scene, id, "", b"hello"), 404, id);
        assert_refused(&post(scene.admin(), &format!("/sessions/{id}/kick"), "", b""), 404, id);
    }
    for id in ["first", "-1", "1.0", "01", "18446744073709551616", "%0a", "%ff"] {
        assert_refused(&send(&scene, id, "", b"hello"), 400, "");
        assert_refused(&post(scene.admin(), &format!("/sessions/{id}/kick"), "", b""), 400, "");
        let after = get(scene.admin(), &format!("/sessions?after={id}"));
        assert_refused(&after, 400, "is no session: a session id is");
    }
}

#[test]
fn parameters_that_mean_nothing_are_refused_by_name() {
    let scene = Scene::new("");
    let client = scene.client();
    let id = id(&scene, &client);
    for (query, reason) in [
        ("limit=0", "limit must be a number from 1 to 1000, not \"0\""),
        ("limit=1001", "limit must be"),
        ("limit=many", "not \"many\""),
        ("limit=", "not \"\""),
        ("limit=1&limit=2", "\"limit\" is there twice"),
        ("page=2", "no parameter \"page\": there is limit, after"),
    ] {
        assert_refused(&get(scene.admin(), &format!("/sessions?{query}")), 400, reason);
    }
    let long = format!("reason={}", "x".repeat(124));
    for (query, reason) in [
        ("code=1005", "not \"1005\""),
        ("code=1010", "not \"1010\""),
        ("code=999", "code must be one that a server may send"),
        ("code=70000", "code must be"),
        ("code=bye%0abye", "not \"bye\\nbye\""),
        ("limit=1", "no parameter \"limit\""),
        (long.as_str(), "124 bytes"),
    ] {
        let path = format!("/sessions/{id}/kick?{query}");
        assert_refused(&post(scene.admin(), &path, "", b""), 400, reason);
    }
    let path = format!("/sessions/{id}/send?code=1000");
    assert_refused(&post(scene.admin(), &path, "", b"hello"), 400, "no parameter \"code\"");
    // Nothing of it has had an effect.
    assert_eq!(json(&get(scene.admin(), "/stats"))["totals"]["sessions_kicked"], 0);
}

#[test]
fn a_message_to_one_session_is_limited_as_any_other() {
    let scene = Scene::new("websocket.message_max = \"16 B\"");
    let mut client = scene.client();
    let id = id(&scene, &client);
    assert_refused(&send(&scene, &id, "", &[b'a'; 17]), 413, "16 bytes");
    assert_refused(&send(&scene, &id, "", b""), 400, "empty");
    assert_refused(&send(&scene, &id, "", b"\xff"), 400, "UTF-8");
    assert_refused(&send(&scene, &id, "Content-Type: image/png\r\n", b"hi"), 415, "Content-Type");
    assert_eq!(send(&scene, &id, "", &[b'b'; 16]).status, 202);
    assert_eq!(next(&mut client), Message::text("b".repeat(16)));
}

#[test]
fn whoever_sends_or_kicks_shows_the_token() {
    let scene = Scene::new("control.admin_token = \"0123456789abcdef\"");
    let mut client = scene.client();
    let id = id(&scene, &client);
    assert_eq!(send(&scene, &id, "", b"hello").status, 401);
    assert_eq!(post(scene.admin(), &format!("/sessions/{id}/kick"), "", b"").status, 401);
    let token = "Authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(send(&scene, &id, token, b"hello").status, 202);
    assert_eq!(next(&mut client), Message::text("hello"));
}

#[test]
fn while_a_drain_goes_on_those_who_are_left_are_listed_and_nothing_is_sent() {
    let scene = Scene::new("");
    // It does not answer the Close, so that the drain goes on.
    let client = scene.client();
    let id = id(&scene, &client);
    assert_eq!(post(scene.admin(), "/drain", "", b"").status, 202);

    assert_refused(&send(&scene, &id, "", b"late"), 503, "stopping");
    assert_refused(&post(scene.admin(), &format!("/sessions/{id}/kick"), "", b""), 503, "stopping");
    assert_eq!(self::id(&scene, &client), id);
    drop(client);
    scene.appliance.join().expect("it ends well");
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The id of the session whose peer is `client`.
fn id(scene: &Scene, client: &WebSocket<TcpStream>) -> String {
    let peer = client.get_ref().local_addr().expect("an address").to_string();
    let page = json(&get(scene.admin(), "/sessions"));
    let mut sessions = page["sessions"].as_array().expect("a list").iter();
    let session = sessions.find(|session| session["peer"] == peer.as_str());
    text(&session.unwrap_or_else(|| panic!("{peer} is not in {page}"))["id"])
}

fn send(scene: &Scene, id: &str, headers: &str, body: &[u8]) -> Answer {
    post(scene.admin(), &format!("/sessions/{id}/send"), headers, body)
}

fn closed(client: &mut WebSocket<TcpStream>) -> (CloseCode, String) {
    match next(client) {
        Message::Close(Some(frame)) => (frame.code, frame.reason.as_str().to_owned()),
        other => panic!("no Close: {other:?}"),
    }
}
