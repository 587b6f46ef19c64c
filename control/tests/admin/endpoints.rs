//! What each path answers.

use hioload::State;
use tungstenite::Message;

use crate::client::{Answer, connect, exchange, get, post};
use crate::scene::{Scene, build, next};

#[test]
fn a_working_process_is_healthy_and_ready() {
    let scene = Scene::new("");
    let healthy = get(scene.admin(), "/healthz");
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok\n"));
    let ready = get(scene.admin(), "/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (200, "serving\n"));
}

#[test]
fn stats_are_json_with_the_probes_of_the_embedder_and_the_clients_there_are() {
    let appliance = build("127.0.0.1:0", "").probe("rooms", || 7).start().expect("it starts");
    let scene = Scene { appliance };
    let _client = scene.client();
    let answer = get(scene.admin(), "/stats");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let stats: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(stats["state"], "serving");
    assert_eq!(stats["probes"]["rooms"], 7);
    assert_eq!(stats["probes"]["active_clients"], 1);
    assert_eq!(stats["workers"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_probe_that_panics_costs_one_answer_and_not_the_server() {
    let appliance = build("127.0.0.1:0", "").probe("broken", || panic!("a broken probe"));
    let scene = Scene { appliance: appliance.start().expect("it starts") };
    assert_eq!(get(scene.admin(), "/stats").status, 500);
    assert_eq!(get(scene.admin(), "/healthz").status, 200);
}

#[test]
fn a_text_and_a_binary_message_reach_the_clients() {
    let scene = Scene::new("");
    let mut client = scene.client();
    let plain = post(scene.admin(), "/broadcast", "Content-Type: text/plain\r\n", b"hello");
    assert_eq!((plain.status, plain.body.as_str()), (202, "{\"active_clients\":1}\n"));
    let json = post(scene.admin(), "/broadcast", "Content-Type: application/json\r\n", b"{}");
    let untyped = post(scene.admin(), "/broadcast", "", "h\u{e9}".as_bytes());
    let curl = "Content-Type: application/x-www-form-urlencoded\r\n";
    let by_curl = post(scene.admin(), "/broadcast", curl, b"a=b&c");
    let octets = "Content-Type: Application/Octet-Stream\r\n";
    let binary = post(scene.admin(), "/broadcast", octets, b"\xff\x00");
    let statuses = [json.status, untyped.status, by_curl.status, binary.status];
    assert_eq!(statuses, [202; 4]);
    assert_eq!(next(&mut client), Message::text("hello"));
    assert_eq!(next(&mut client), Message::text("{}"));
    assert_eq!(next(&mut client), Message::text("h\u{e9}"));
    assert_eq!(next(&mut client), Message::text("a=b&c"));
    assert_eq!(next(&mut client), Message::binary(&b"\xff\x00"[..]));
}

#[test]
fn what_is_no_message_is_refused_and_reaches_nobody() {
    let scene = Scene::new("websocket.message_max = \"16 B\"");
    let mut client = scene.client();
    let text = "Content-Type: text/plain\r\n";
    let broadcast = |headers: &str, body: &[u8]| post(scene.admin(), "/broadcast", headers, body);

    assert_refused(&broadcast(text, b"\xff"), 400, "UTF-8");
    assert_refused(&broadcast(text, b""), 400, "empty");
    assert_refused(&broadcast(text, &[b'a'; 17]), 413, "16 bytes");
    let form = "Content-Type: multipart/form-data; boundary=x\r\n";
    assert_refused(&broadcast(form, b"hello"), 415, "Content-Type");

    // The largest one that is allowed is the first that comes.
    assert_eq!(broadcast(text, &[b'b'; 16]).status, 202);
    assert_eq!(next(&mut client), Message::text("b".repeat(16)));
}

#[test]
fn a_body_in_chunks_is_limited_like_any_other() {
    let scene = Scene::new("websocket.message_max = \"16 B\"");
    let head = format!(
        "POST /broadcast HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        scene.admin()
    );
    let long = format!("{head}9\r\n123456789\r\n9\r\n123456789\r\n0\r\n\r\n");
    assert_refused(&exchange(connect(scene.admin()), long.as_bytes()), 413, "16 bytes");
    let cut = format!("{head}zz\r\n");
    assert_refused(&exchange(connect(scene.admin()), cut.as_bytes()), 400, "whole");
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_is_sent_where_the_client_asks_first() {
    let scene = Scene::new("websocket.message_max = \"16 B\"");
    let request = format!(
        "POST /broadcast HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Expect: 100-continue\r\nContent-Length: 17\r\n\r\n",
        scene.admin()
    );
    assert_refused(&exchange(connect(scene.admin()), request.as_bytes()), 413, "16 bytes");
}

#[test]
fn a_client_that_sends_far_too_much_still_hears_why_it_is_refused() {
    let scene = Scene::new("websocket.message_max = \"16 B\"");
    let mut stream = connect(scene.admin());
    // More than the buffers of both sockets hold, and soon read where all is slow.
    let body = vec![b'x'; 8 << 20];
    let request = crate::client::request(scene.admin(), "POST /broadcast", "", &body);
    std::io::Write::write_all(&mut stream, &request).expect("all of it is read");
    assert_refused(&exchange(stream, b""), 413, "16 bytes");
}

#[test]
fn a_drain_begins_once_and_nothing_is_taken_any_more() {
    let scene = Scene::new("");
    // It does not answer the Close, so that the drain goes on.
    let client = scene.client();
    let drain = post(scene.admin(), "/drain", "", b"");
    assert_eq!((drain.status, drain.body.as_str()), (202, "draining\n"));
    assert_eq!(post(scene.admin(), "/drain", "", b"").status, 202);
    assert_eq!(scene.appliance.handle().state(), State::Draining);

    assert_refused(&get(scene.admin(), "/readyz"), 503, "draining");
    assert_eq!(get(scene.admin(), "/healthz").status, 200);
    assert_refused(&post(scene.admin(), "/broadcast", "", b"late"), 503, "stopping");
    let metrics = get(scene.admin(), "/metrics").body;
    assert!(metrics.contains("\nhioload_serving 0\n"), "{metrics}");
    drop(client);
    scene.appliance.join().expect("it ends well");
}

#[test]
fn paths_and_methods_that_there_are_not_are_named() {
    let scene = Scene::new("");
    assert_refused(&get(scene.admin(), "/"), 404, "/metrics");
    let table = [
        ("GET", "/drain", "POST"),
        ("GET", "/broadcast", "POST"),
        ("POST", "/metrics", "GET,HEAD"),
        ("DELETE", "/stats", "GET,HEAD"),
    ];
    for (method, path, allow) in table {
        let request = crate::client::request(scene.admin(), &format!("{method} {path}"), "", b"");
        let answer = exchange(connect(scene.admin()), &request);
        assert_refused(&answer, 405, "method");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
}

/// A refusal is its status and one line that says why.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.body.contains(reason), "{answer:?}");
    assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
    assert!(answer.body.ends_with('\n'), "{answer:?}");
}
