//! The opening handshake: what is accepted, and with what.

use std::io::{self, Read, Write};

use hioload_buffer::{Pool, PoolOptions};
use hioload_protocol::http::{
    OriginPolicy, Refusal, Request, RequestLimits, RequestReader, Upgrade, UpgradePolicy,
    negotiate, response,
};

/// The handshake of RFC 6455 section 1.2 with `extra` lines.
fn handshake(extra: &[&str]) -> Request {
    let mut head = String::from(
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n",
    );
    for line in extra {
        head.push_str(line);
        head.push_str("\r\n");
    }
    parse(&(head + "\r\n"))
}

fn parse(head: &str) -> Request {
    let (consumed, request) =
        RequestReader::new().read(head.as_bytes(), &RequestLimits::default()).unwrap();
    assert_eq!(consumed, head.len());
    request.unwrap()
}

fn policy(origins: OriginPolicy, subprotocols: &[&str]) -> UpgradePolicy {
    let subprotocols = subprotocols.iter().map(|&name| name.to_owned()).collect();
    UpgradePolicy { origins, subprotocols }
}

fn encoded(upgrade: &Upgrade) -> String {
    let mut pool = Pool::new(PoolOptions::default());
    String::from_utf8(response::switching_protocols(upgrade, &mut pool).to_vec()).unwrap()
}

#[test]
fn the_handshake_of_the_rfc_is_answered_as_the_rfc_answers_it() {
    let request =
        handshake(&["Origin: http://example.com", "Sec-WebSocket-Protocol: chat, superchat"]);
    let upgrade = negotiate(&request, &policy(OriginPolicy::Any, &["chat"])).unwrap();
    assert_eq!(
        encoded(&upgrade),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: chat\r\n\r\n"
    );
}

#[test]
fn lists_count_over_several_lines_and_in_any_case() {
    let request = parse(
        "GET / HTTP/1.1\r\nhost: a\r\nUPGRADE: h2c\r\nupgrade: foo, WebSocket\r\n\
         connection: keep-alive\r\nConnection: ,upGRADE\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
    );
    assert!(negotiate(&request, &UpgradePolicy::default()).is_ok());
}

#[test]
fn the_example_key_of_the_rfc_with_stray_padding_bits_is_taken() {
    let head = |key| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
    };
    let negotiated = |key| negotiate(&parse(&head(key)), &UpgradePolicy::default());
    assert!(negotiated("AQIDBAUGBwgJCgsMDQ4PEC==").is_ok());
    for bad in
        ["", "AQIDBAUGBwgJCgsMDQ4PEC", "AQIDBAUGBwgJCgsMDQ4PEBE=", "AQIDBAUGBwgJCgsMDQ4P****"]
    {
        assert_eq!(negotiated(bad).unwrap_err().status(), 400, "{bad}");
    }
}

#[test]
fn the_servers_first_choice_among_those_offered_is_used() {
    let request = handshake(&["Sec-WebSocket-Protocol: v9, v2", "Sec-WebSocket-Protocol: v1"]);
    let chosen = |spoken: &[&str]| {
        let upgrade = negotiate(&request, &policy(OriginPolicy::SameOrigin, spoken)).unwrap();
        upgrade.subprotocol().map(str::to_owned)
    };
    assert_eq!(chosen(&["v3", "v1", "v2"]), Some("v1".to_owned()));
    assert_eq!(chosen(&["V9", "v3"]), None);
    assert_eq!(chosen(&[]), None);
}

#[test]
fn no_subprotocol_in_common_is_answered_without_naming_one() {
    let request = handshake(&["Sec-WebSocket-Protocol: v9"]);
    let upgrade = negotiate(&request, &policy(OriginPolicy::SameOrigin, &["v1"])).unwrap();
    assert!(!encoded(&upgrade).contains("Sec-WebSocket-Protocol"));
}

#[test]
fn the_version_is_13_said_once() {
    let twice = handshake(&["Sec-WebSocket-Version: 13"]);
    assert_eq!(negotiate(&twice, &UpgradePolicy::default()).unwrap_err().status(), 426);
}

#[test]
fn origins_are_let_in_as_the_policy_says() {
    let status = |origins: &OriginPolicy, lines: &[&str]| {
        let outcome = negotiate(&handshake(lines), &policy(origins.clone(), &[]));
        outcome.map_or_else(|refusal| refusal.status(), |_| 101)
    };
    let own = "Origin: https://server.example.com";
    let other = "Origin: https://chat.example:8443";
    let list = OriginPolicy::List(vec!["https://CHAT.example:8443".into()]);
    assert_eq!(status(&OriginPolicy::SameOrigin, &[own]), 101);
    assert_eq!(status(&OriginPolicy::SameOrigin, &[other]), 403);
    assert_eq!(status(&OriginPolicy::SameOrigin, &["Origin: null"]), 403);
    assert_eq!(status(&OriginPolicy::SameOrigin, &["Origin:"]), 403);
    assert_eq!(status(&OriginPolicy::SameOrigin, &[]), 101);
    assert_eq!(status(&list, &[own]), 403);
    assert_eq!(status(&list, &[other]), 101);
    assert_eq!(status(&list, &[]), 101);
    assert_eq!(status(&OriginPolicy::Any, &["Origin: null"]), 101);
}

#[test]
fn a_refused_handshake_leaves_the_connection_usable() {
    let refusal: Refusal =
        negotiate(&parse("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"), &UpgradePolicy::default())
            .unwrap_err();
    assert_eq!(refusal.status(), 426);
    assert!(!refusal.must_close());
}

/// A server behind a stream: what the client writes is read, what it reads is the answer.
#[derive(Default)]
struct Server {
    reader: RequestReader,
    answer: Vec<u8>,
}

impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (consumed, request) = self.reader.read(bytes, &RequestLimits::default()).unwrap();
        if let Some(request) = request {
            let policy = policy(OriginPolicy::SameOrigin, &["chat"]);
            let upgrade = negotiate(&request, &policy).unwrap();
            self.answer = encoded(&upgrade).into_bytes();
        }
        Ok(consumed)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Server {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = into.len().min(self.answer.len());
        into[..len].copy_from_slice(&self.answer[..len]);
        self.answer.drain(..len);
        Ok(len)
    }
}

#[test]
fn an_independent_client_is_content_with_the_answer() {
    let request = tungstenite::ClientRequestBuilder::new("ws://chat.example/ws".parse().unwrap())
        .with_sub_protocol("chat");
    let (_, answer) = tungstenite::client(request, Server::default()).unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
}
