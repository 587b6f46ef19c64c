//! Answers, encoded: head and body in one pooled frame, ready to be sent.
//!
//! No answer has a `Date`: this crate has no clock (RFC 9110 section 6.6.1).

use std::fmt::{self, Write as _};

use hioload_buffer::{Frame, Pool};

use super::refusal::reason_phrase;
use super::{Method, Page, Refusal, Request, ResponseHeaders, Upgrade};

/// 101: from the next byte on the connection speaks WebSocket (RFC 6455 section 4.2.2).
pub fn switching_protocols(upgrade: &Upgrade, pool: &mut Pool) -> Frame {
    // All but a few bytes are known ahead, and connections come in storms: nothing is formatted.
    let subprotocol = upgrade.subprotocol();
    let parts: [&[u8]; 5] = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        &upgrade.accept()[..],
        if subprotocol.is_some() { b"\r\nSec-WebSocket-Protocol: " } else { b"" },
        subprotocol.unwrap_or_default().as_bytes(),
        b"\r\n\r\n",
    ];
    let mut buffer = pool.get_empty(0, parts.iter().map(|part| part.len()).sum());
    for part in parts {
        buffer.append(part);
    }
    buffer.freeze()
}

/// The answer to a request for a page: the page, without its body to `HEAD`; 304 to a client that
/// has it already; 405 to any other method.
///
/// `keep_alive` is [`Request::keep_alive`], or false where the server wants to close.
pub fn answer(page: &Page, request: &Request, keep_alive: bool, pool: &mut Pool) -> Frame {
    let head_only = match request.method() {
        Method::Get => false,
        Method::Head => true,
        Method::Other => {
            return refusal(&Refusal::method_not_allowed("GET, HEAD"), false, keep_alive, pool);
        }
    };
    // RFC 9110 section 13.2.1: conditions count where the answer would have been 2xx without them.
    let succeeds = page.status() < 300;
    if succeeds && page.etag().is_some_and(|etag| has_tag(request, etag)) {
        return not_modified(page, keep_alive, pool);
    }
    self::page(page, head_only, keep_alive, pool)
}

/// The page, under its status; `head_only` leaves the body out, not its length (RFC 9110 section 9.3.2).
pub fn page(page: &Page, head_only: bool, keep_alive: bool, pool: &mut Pool) -> Frame {
    let mut head = Head::new(page.status());
    head.field("Content-Type", page.content_type());
    head.field("Content-Length", page.body().len());
    head.field("X-Content-Type-Options", "nosniff");
    head.page_fields(page);
    head.connection(keep_alive, false);
    head.into_frame(if head_only { b"" } else { page.body() }, pool)
}

/// 304: the page is as the client has it (RFC 9110 section 15.4.5).
pub fn not_modified(page: &Page, keep_alive: bool, pool: &mut Pool) -> Frame {
    let mut head = Head::new(304);
    head.page_fields(page);
    head.connection(keep_alive, false);
    head.into_frame(b"", pool)
}

/// A refusal as plain text: its line and a line feed, left out with `head_only`. The connection
/// goes on only if `keep_alive` says so and the refusal does not forbid it; see
/// [`Refusal::must_close`].
pub fn refusal(refusal: &Refusal, head_only: bool, keep_alive: bool, pool: &mut Pool) -> Frame {
    let mut head = Head::new(refusal.status());
    head.field("Content-Type", "text/plain; charset=utf-8");
    head.field("Content-Length", refusal.detail().len() + 1);
    head.field("X-Content-Type-Options", "nosniff");
    head.fields(refusal.headers());
    let names_upgrade = refusal.headers().contains("upgrade");
    head.connection(keep_alive && !refusal.must_close(), names_upgrade);
    let body = if head_only { String::new() } else { format!("{}\n", refusal.detail()) };
    head.into_frame(body.as_bytes(), pool)
}

/// Whether `If-None-Match` names `etag`, by the weak comparison (RFC 9110 section 13.1.2).
fn has_tag(request: &Request, etag: &str) -> bool {
    request
        .header_list("if-none-match")
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The head of an answer under construction. Handshakes are rare beside messages, so that it may
/// live on the heap until its length is known.
struct Head {
    text: String,
}

impl Head {
    fn new(status: u16) -> Self {
        let text = format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status));
        Self { text }
    }

    fn field(&mut self, name: &str, value: impl fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{name}: {value}\r\n");
    }

    fn fields(&mut self, headers: &ResponseHeaders) {
        for (name, value) in headers.iter() {
            self.field(name, value);
        }
    }

    fn page_fields(&mut self, page: &Page) {
        if let Some(etag) = page.etag() {
            self.field("ETag", etag);
        }
        self.fields(page.headers());
    }

    /// `keep-alive` is said for the sake of HTTP/1.0 (RFC 9112 section 9.3); whoever sends `Upgrade`
    /// must name it in `Connection` (RFC 9110 section 7.8).
    fn connection(&mut self, keep_alive: bool, names_upgrade: bool) {
        let option = if keep_alive { "keep-alive" } else { "close" };
        let upgrade = if names_upgrade { "Upgrade, " } else { "" };
        self.field("Connection", format_args!("{upgrade}{option}"));
    }

    fn into_frame(mut self, body: &[u8], pool: &mut Pool) -> Frame {
        self.text.push_str("\r\n");
        let mut buffer = pool.get_empty(0, self.text.len() + body.len());
        buffer.append(self.text.as_bytes());
        buffer.append(body);
        buffer.freeze()
    }
}
