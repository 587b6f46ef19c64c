//! Every request of the table is answered as the table says, however its bytes arrive.

mod broken_requests;

use std::collections::HashSet;

use broken_requests::{BROKEN_REQUESTS, BrokenRequest};
use hioload_buffer::{Pool, PoolOptions};
use hioload_protocol::http::{
    Page, RequestLimits, RequestReader, UpgradePolicy, negotiate, response,
};

/// A server of one page and one WebSocket path; the answer to the first request in `chunks`.
fn answer_to<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> String {
    let mut pool = Pool::new(PoolOptions::default());
    let mut reader = RequestReader::new();
    for chunk in chunks {
        let frame = match reader.read(chunk, &RequestLimits::default()) {
            Ok((_, None)) => continue,
            Ok((_, Some(request))) if request.path() == "/ws" => {
                match negotiate(&request, &UpgradePolicy::default()) {
                    Ok(upgrade) => response::switching_protocols(&upgrade, &mut pool),
                    Err(refusal) => response::refusal(&refusal, false, true, &mut pool),
                }
            }
            Ok((_, Some(request))) => {
                let page = Page::new("text/html", b"<p>chat</p>".as_slice());
                response::answer(&page, &request, request.keep_alive(), &mut pool)
            }
            Err(refusal) => response::refusal(&refusal, false, false, &mut pool),
        };
        return String::from_utf8(frame.to_vec()).expect("answers are text");
    }
    "no answer".to_owned()
}

fn table() -> impl Iterator<Item = &'static BrokenRequest> {
    BROKEN_REQUESTS.into_iter().flatten()
}

#[test]
fn every_broken_request_gets_its_status_and_one_line_that_says_why() {
    for broken in table() {
        let answer = answer_to([broken.request].into_iter());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let name = broken.name;
        assert_eq!(head.lines().next(), Some(broken.status_line), "{name}");
        assert_eq!(body, format!("{}\n", broken.body_line), "{name}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{name}");
        assert!(head.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{name}");
        assert!(head.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{name}");
    }
}

#[test]
fn a_broken_request_gets_the_same_answer_byte_by_byte() {
    for broken in table() {
        let whole = answer_to([broken.request].into_iter());
        assert_eq!(answer_to(broken.request.chunks(1)), whole, "{}", broken.name);
    }
}

#[test]
fn every_row_of_the_table_breaks_another_rule() {
    assert!(table().count() >= 25);
    let lines: HashSet<&str> = table().map(|broken| broken.body_line).collect();
    assert_eq!(lines.len(), table().count());
}

#[test]
fn a_status_comes_with_the_header_fields_that_belong_to_it() {
    for broken in table() {
        let answer = answer_to([broken.request].into_iter());
        let has = |line: &str| answer.contains(&format!("\r\n{line}\r\n"));
        match &broken.status_line[9..12] {
            "405" => assert!(has("Allow: GET, HEAD") || has("Allow: GET"), "{}", broken.name),
            "426" => {
                assert!(has("Upgrade: websocket"), "{}", broken.name);
                assert!(has("Sec-WebSocket-Version: 13"), "{}", broken.name);
                assert!(has("Connection: Upgrade, keep-alive"), "{}", broken.name);
            }
            _ => {}
        }
    }
}
