//! Broken requests and frames: the exact answer to each, and the next client is served.

use crate::Backend;
use crate::client::{Client, Received};
use crate::on_every_backend;
use crate::scene::Server;

#[path = "../../../dataplane/protocol/tests/broken_frames/mod.rs"]
mod broken_frames;
#[path = "../../../dataplane/protocol/tests/broken_requests/mod.rs"]
mod broken_requests;

on_every_backend!(
    every_broken_request_gets_its_answer,
    every_broken_frame_gets_its_close,
    noise_is_refused_and_hurts_nobody,
);

fn every_broken_request_gets_its_answer(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let mut count = 0;
    for broken in broken_requests::BROKEN_REQUESTS.iter().copied().flatten() {
        let mut client = Client::tcp(server.address());
        client.send(broken.request);

        let (head, body) = client.response();

        assert_eq!(head.lines().next(), Some(broken.status_line), "{}", broken.name);
        assert_eq!(String::from_utf8_lossy(&body), format!("{}\n", broken.body_line));
        drop(client);
        server.serves_the_next_client();
        count += 1;
    }
    assert!(count >= 20, "the table is there");
    assert_eq!(server.total("http_refusals"), count);
}

fn every_broken_frame_gets_its_close(backend: Backend) {
    let limit = format!("websocket.message_max = {}", broken_frames::MESSAGE_BYTES_MAX);
    let server = Server::broadcast(backend, &limit);
    let mut count = 0;
    for broken in broken_frames::BROKEN_FRAMES {
        let mut client = Client::connect(server.address());
        client.send(broken.bytes);

        let (_, code, reason) = client.until_close();

        assert_eq!(code, Some(broken.close_code), "{}", broken.name);
        assert_eq!(reason, broken.reason, "{}", broken.name);
        assert!(client.is_at_end(), "{}: the server ends the connection", broken.name);
        drop(client);
        server.serves_the_next_client();
        count += 1;
    }
    assert!(count >= 20, "the table is there");
    assert_eq!(server.total("protocol_errors"), count);
}

fn noise_is_refused_and_hurts_nobody(backend: Backend) {
    let server = Server::broadcast(backend, "");
    // A fixed sequence (xorshift) that looks like nothing.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(4096)
    .collect();

    let mut raw = Client::tcp(server.address());
    raw.send(&noise);
    assert!(raw.response_head().starts_with("HTTP/1.1 400 "));

    let mut session = Client::connect(server.address());
    session.send(&noise);
    let (_, code, _) = session.until_close();
    assert_eq!(code, Some(1002));
    assert_eq!(session.next(), Received::End);
    server.serves_the_next_client();
}
