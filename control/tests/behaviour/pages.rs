//! Plain HTTP beside WebSocket.

use hioload::{Appliance, Broadcast, Page};

use crate::Backend;
use crate::client::Client;
use crate::on_every_backend;
use crate::scene::{Server, config};

on_every_backend!(
    the_chat_page_is_served_and_the_connection_kept,
    head_leaves_the_body_out,
    a_page_that_the_browser_has_is_not_sent_again,
    requests_in_one_packet_are_answered_in_order,
    an_old_client_gets_its_page_and_the_end,
    the_number_of_clients_can_be_asked_for,
    an_unknown_path_is_not_found,
    every_appliance_says_that_it_is_healthy,
    a_page_of_the_embedder_replaces_the_one_at_its_path,
    the_chat_page_names_the_path_that_it_connects_to,
);

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: chat.example\r\n{headers}\r\n")
}

fn the_chat_page_is_served_and_the_connection_kept(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::tcp(server.address());
    for _ in 0..3 {
        client.send(get("/", "").as_bytes());
        let (head, body) = client.response();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/html; charset=utf-8\r\n"), "{head}");
        assert!(head.contains("Content-Security-Policy: "), "{head}");
        assert!(String::from_utf8_lossy(&body).contains("</html>"));
    }
}

fn head_leaves_the_body_out(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::tcp(server.address());
    client.send(b"HEAD / HTTP/1.1\r\nHost: chat.example\r\n\r\n");
    let head = client.response_head();
    assert!(head.contains("Content-Length: "), "{head}");
    client.send(get("/healthz", "").as_bytes());
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "no body came between: {head}");
    assert_eq!(body, b"ok\n");
}

fn a_page_that_the_browser_has_is_not_sent_again(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::tcp(server.address());
    client.send(get("/", "").as_bytes());
    let (head, _) = client.response();
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("an entity tag");
    client.send(get("/", &format!("If-None-Match: {tag}\r\n")).as_bytes());
    assert!(client.response_head().starts_with("HTTP/1.1 304 "));
}

fn requests_in_one_packet_are_answered_in_order(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::tcp(server.address());
    client
        .send([get("/healthz", ""), get("/nothing", ""), get("/healthz", "")].concat().as_bytes());
    let statuses: Vec<String> = (0..3)
        .map(|_| client.response().0.split(' ').nth(1).expect("a status").to_owned())
        .collect();
    assert_eq!(statuses, ["200", "404", "200"]);
}

fn an_old_client_gets_its_page_and_the_end(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::tcp(server.address());
    client.send(b"GET /healthz HTTP/1.0\r\n\r\n");
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, b"ok\n");
    assert!(client.is_at_end());
}

fn the_number_of_clients_can_be_asked_for(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let _session = Client::connect(server.address());
    let mut client = Client::tcp(server.address());
    client.send(get("/clients", "").as_bytes());
    let (_, body) = client.response();
    assert_eq!(String::from_utf8_lossy(&body), "{\"active_clients\":1}\n");
}

fn an_unknown_path_is_not_found(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut client = Client::tcp(server.address());
    client.send(get("/nothing", "").as_bytes());
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert_eq!(body, b"there is nothing at this path\n");
}

fn every_appliance_says_that_it_is_healthy(backend: Backend) {
    let builder = Appliance::builder().config(config(backend, "")).handler(Broadcast);
    let server = Server::started(backend, builder.start());
    let mut client = Client::tcp(server.address());
    client.send([get("/healthz", ""), get("/", "")].concat().as_bytes());
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Cache-Control: no-store\r\n"), "{head}");
    assert_eq!(body, b"ok\n");
    assert!(client.response().0.starts_with("HTTP/1.1 404 "), "and has no page but this");
}

fn a_page_of_the_embedder_replaces_the_one_at_its_path(backend: Backend) {
    let builder = Appliance::builder().config(config(backend, "")).handler(Broadcast);
    let builder = builder.page("/healthz", Page::new("text/plain", &b"fine, thanks\n"[..]));
    let server = Server::started(backend, builder.chat_page().start());
    let mut client = Client::tcp(server.address());
    client.send(get("/healthz", "").as_bytes());
    assert_eq!(client.response().1, b"fine, thanks\n");
}

fn the_chat_page_names_the_path_that_it_connects_to(backend: Backend) {
    let server = Server::broadcast(backend, r#"websocket.path = "/feed/v2""#);
    let mut client = Client::tcp(server.address());
    client.send(get("/", "").as_bytes());
    let (_, body) = client.response();
    let page = String::from_utf8_lossy(&body);
    assert!(page.contains(r#"<meta name="websocket" content="./feed/v2">"#), "{page}");
}
