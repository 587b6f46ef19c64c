//! Answers to plain HTTP that are computed for each request.

use hioload::{Appliance, Broadcast, Page, Refusal};

use crate::Backend;
use crate::client::Client;
use crate::on_every_backend;
use crate::scene::{Server, config};

on_every_backend!(
    an_answer_is_computed_from_path_query_and_headers,
    an_answer_has_the_status_that_was_computed,
    an_answer_that_panics_is_500_and_the_next_is_served,
    head_gets_the_head_of_what_would_be_computed,
    other_methods_do_not_reach_the_computation,
);

fn server(backend: Backend) -> Server {
    let builder = Appliance::builder().config(config(backend, "")).handler(Broadcast);
    let appliance = builder
        .get("/echo", |request| {
            let (path, query) = (request.path(), request.query().unwrap_or("none"));
            let tag = request.header("x-tag").unwrap_or("none");
            let body = format!("{path} {query} {tag} {}", request.peer().ip());
            Ok(Page::new("text/plain", body.into_bytes()))
        })
        .get("/missing", |_| Ok(Page::new("application/json", &b"{}"[..]).with_status(404)))
        .get("/moved", |_| Err(Refusal::new(302, "over there").with_header("Location", "/echo")?))
        .get("/split", |_| {
            Ok(Page::new("text/plain", &b""[..]).with_header("X", "a\r\nSet-Cookie: b")?)
        })
        .get("/panic", |_| panic!("as told"));
    Server::started(backend, appliance.start())
}

fn ask(client: &mut Client, request: &str, headers: &str) -> (String, String) {
    client.send(format!("{request} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes());
    let (head, body) = client.response();
    (head, String::from_utf8(body).expect("text"))
}

fn an_answer_is_computed_from_path_query_and_headers(backend: Backend) {
    let server = server(backend);
    let mut client = Client::tcp(server.address());
    let (head, body) = ask(&mut client, "GET /echo?a=b", "X-Tag: c\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, format!("/echo a=b c {}", backend.client()));
    let (_, body) = ask(&mut client, "GET /echo", "");
    assert_eq!(body, format!("/echo none none {}", backend.client()));
}

fn an_answer_has_the_status_that_was_computed(backend: Backend) {
    let server = server(backend);
    let mut client = Client::tcp(server.address());
    let (head, body) = ask(&mut client, "GET /missing", "");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert!(head.contains("Content-Type: application/json\r\n"), "{head}");
    assert_eq!(body, "{}");
    let (head, _) = ask(&mut client, "GET /moved", "");
    assert!(head.starts_with("HTTP/1.1 302 Found\r\n"), "{head}");
    assert!(head.contains("Location: /echo\r\n"), "{head}");
    let (head, _) = ask(&mut client, "GET /split", "");
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    assert!(!head.contains("Set-Cookie"), "{head}");
}

fn an_answer_that_panics_is_500_and_the_next_is_served(backend: Backend) {
    let server = server(backend);
    let mut client = Client::tcp(server.address());
    let (head, _) = ask(&mut client, "GET /panic", "");
    assert!(head.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{head}");
    let (_, body) = ask(&mut client, "GET /echo?still", "");
    assert_eq!(body, format!("/echo still none {}", backend.client()));
    assert_eq!(server.total("http_panics"), 1);
    server.serves_the_next_client();
}

fn head_gets_the_head_of_what_would_be_computed(backend: Backend) {
    let server = server(backend);
    let mut client = Client::tcp(server.address());
    client.send(b"HEAD /missing HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_head();
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert!(head.contains("Content-Length: 2\r\n"), "{head}");
    let (_, body) = ask(&mut client, "GET /echo", "");
    assert_eq!(body, format!("/echo none none {}", backend.client()));
}

fn other_methods_do_not_reach_the_computation(backend: Backend) {
    let server = server(backend);
    let mut client = Client::tcp(server.address());
    let (head, _) = ask(&mut client, "DELETE /panic", "");
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
    assert_eq!(server.total("http_panics"), 0);
}
