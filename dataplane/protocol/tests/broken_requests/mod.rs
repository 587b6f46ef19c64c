//! Requests that break one rule each, and the exact answer to each.
//!
//! Plain data, so that the test of the protocol and a test of the whole server over a socket can
//! include the same table. It stands for a server with the default limits (8 KiB, 64 fields) that
//! serves a page at `/` and WebSocket, to pages of its own origin, at `/ws`.

/// A request that is refused.
pub(crate) struct BrokenRequest {
    /// The rule that is broken, in a few words.
    pub(crate) name: &'static str,
    /// All that the client sends. Nothing in it comes after what is wrong, but for the rest of that
    /// line or head.
    pub(crate) request: &'static [u8],
    /// The first line of the answer, without its line break.
    pub(crate) status_line: &'static str,
    /// The body of the answer, without its line break.
    pub(crate) body_line: &'static str,
}

/// A row of the table.
const fn refused(
    name: &'static str,
    request: &'static [u8],
    status_line: &'static str,
    body_line: &'static str,
) -> BrokenRequest {
    BrokenRequest { name, request, status_line, body_line }
}

/// `N` bytes: `start`, then `pattern` as often as it takes.
const fn padded<const N: usize>(start: &[u8], pattern: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] =
            if at < start.len() { start[at] } else { pattern[(at - start.len()) % pattern.len()] };
        at += 1;
    }
    bytes
}

/// A request for `/` with these lines after `Host`.
macro_rules! get {
    ($($line:literal),*) => {
        concat!("GET / HTTP/1.1\r\nHost: chat.example\r\n", $($line, "\r\n",)* "\r\n").as_bytes()
    };
}

/// A request for `/ws` that asks for the upgrade, with these lines after that.
macro_rules! upgrade {
    ($($line:literal),*) => {
        concat!(
            "GET /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\n",
            $($line, "\r\n",)* "\r\n"
        ).as_bytes()
    };
}

const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request";
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden";
const NOT_ALLOWED: &str = "HTTP/1.1 405 Method Not Allowed";
const TOO_LARGE: &str = "HTTP/1.1 431 Request Header Fields Too Large";
const UPGRADE_REQUIRED: &str = "HTTP/1.1 426 Upgrade Required";
const NOT_SUPPORTED: &str = "HTTP/1.1 505 HTTP Version Not Supported";

/// Bytes that are no lines of text, as RFC 9112 section 2.2 has them.
const LINES: [BrokenRequest; 7] = [
    refused(
        "a line ends with a line feed alone",
        b"GET / HTTP/1.1\nHost: chat.example\n\n",
        BAD_REQUEST,
        "line feed without a carriage return",
    ),
    refused(
        "a carriage return within a value",
        b"GET / HTTP/1.1\r\nHost: chat.example\rX: y\r\n\r\n",
        BAD_REQUEST,
        "carriage return without a line feed",
    ),
    refused(
        "a NUL within a value",
        b"GET / HTTP/1.1\r\nHost: chat.example\r\nX: a\0b\r\n\r\n",
        BAD_REQUEST,
        "control character in a header field",
    ),
    refused(
        "an escape within the request line",
        b"GET /\x1b[2J HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "control character in the request line",
    ),
    refused(
        "empty lines and no end of them",
        b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "too many empty lines ahead of a request",
    ),
    refused(
        "a TLS handshake",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        BAD_REQUEST,
        "this is TLS, only plain HTTP is spoken here",
    ),
    refused(
        "a PROXY header of version 1 from a stranger",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
        BAD_REQUEST,
        "a PROXY header is taken from trusted proxies only, once",
    ),
];

/// Request lines, RFC 9112 section 3.
const REQUEST_LINES: [BrokenRequest; 12] = [
    refused(
        "no version",
        b"GET /\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request line is not a method, a target and a version",
    ),
    refused(
        "a method that is no token",
        b"G@T / HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "method is not a token",
    ),
    refused(
        "bytes outside ASCII",
        b"GET /\xff HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request line holds a character outside ASCII",
    ),
    refused(
        "a tab in the target",
        b"GET /a\tb HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request target holds a character that is not allowed",
    ),
    refused(
        "a fragment in the target",
        b"GET /#top HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request target has a fragment",
    ),
    refused(
        "a target that is no path",
        b"GET index.html HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request target does not begin with a slash",
    ),
    refused(
        "a target of another scheme",
        b"GET ftp://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request target is not an http address",
    ),
    refused(
        "another protocol",
        b"GET / http/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "protocol version is not HTTP/1.1",
    ),
    refused(
        "the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\n",
        NOT_SUPPORTED,
        "HTTP/2.0 is not spoken here, HTTP/1.1 is",
    ),
    refused(
        "a request line longer than a head may be",
        &padded::<8200>(b"GET /", b"a"),
        "HTTP/1.1 414 URI Too Long",
        "request line of more than 8192 bytes",
    ),
    refused(
        "an absolute target without a host",
        b"GET http:///chat HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request target names no host",
    ),
    refused(
        "a target and a Host that differ",
        b"GET http://other.example/ HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        BAD_REQUEST,
        "request target and Host name different hosts",
    ),
];

/// Header fields, RFC 9112 section 5, and `Host`, section 3.2.
const HEADER_FIELDS: [BrokenRequest; 12] = [
    refused(
        "an indented first field",
        b"GET / HTTP/1.1\r\n Host: chat.example\r\n\r\n",
        BAD_REQUEST,
        "white space ahead of the first header field",
    ),
    refused("a folded field", get!("X: a", "\tb"), BAD_REQUEST, "folded header field"),
    refused("a line without a colon", get!("X"), BAD_REQUEST, "header field has no colon"),
    refused("a field without a name", get!(": a"), BAD_REQUEST, "header field has no name"),
    refused(
        "a space before the colon",
        get!("X : a"),
        BAD_REQUEST,
        "white space before the colon of a header field",
    ),
    refused(
        "a name that is no token",
        get!("X(y): a"),
        BAD_REQUEST,
        "header name holds a character that is not allowed",
    ),
    refused(
        "a value that is not UTF-8",
        b"GET / HTTP/1.1\r\nHost: chat.example\r\nX: \xff\r\n\r\n",
        BAD_REQUEST,
        "header field X is not UTF-8",
    ),
    refused(
        "more fields than are taken",
        &padded::<420>(b"GET / HTTP/1.1\r\nHost: chat.example\r\n", b"a: b\r\n"),
        TOO_LARGE,
        "more than 64 header fields",
    ),
    refused(
        "more bytes than are taken",
        &padded::<8200>(b"GET / HTTP/1.1\r\nHost: chat.example\r\nX: ", b"a"),
        TOO_LARGE,
        "request head of more than 8192 bytes",
    ),
    refused("no Host", b"GET / HTTP/1.1\r\n\r\n", BAD_REQUEST, "no Host header field"),
    refused(
        "two Hosts",
        get!("Host: chat.example"),
        BAD_REQUEST,
        "more than one Host header field",
    ),
    refused(
        "a Host that is none",
        b"GET / HTTP/1.1\r\nHost: user@chat.example\r\n\r\n",
        BAD_REQUEST,
        "Host is not a host and perhaps a port",
    ),
];

/// Requests that announce a body, RFC 9112 section 6.
const BODIES: [BrokenRequest; 6] = [
    refused(
        "two ways to tell a body's end",
        get!("Content-Length: 5", "Transfer-Encoding: chunked"),
        BAD_REQUEST,
        "Content-Length beside Transfer-Encoding",
    ),
    refused(
        "a transfer coding",
        get!("Transfer-Encoding: chunked"),
        "HTTP/1.1 501 Not Implemented",
        "Transfer-Encoding is not taken in a request",
    ),
    refused(
        "two lengths",
        get!("Content-Length: 0", "Content-Length: 5"),
        BAD_REQUEST,
        "more than one Content-Length header field",
    ),
    refused(
        "a length that is no number",
        get!("Content-Length: +5"),
        BAD_REQUEST,
        "Content-Length is not a number",
    ),
    refused(
        "an expectation",
        get!("Content-Length: 5", "Expect: 100-continue"),
        "HTTP/1.1 417 Expectation Failed",
        "no expectation can be met, a body is not taken",
    ),
    refused(
        "a body",
        get!("Content-Length: 5"),
        "HTTP/1.1 413 Content Too Large",
        "a request with a body is not taken",
    ),
];

/// Whole requests that ask for what is not served: methods, and the handshake of RFC 6455 section
/// 4.2.1. The connection can be used again after these.
const HANDSHAKES: [BrokenRequest; 13] = [
    refused(
        "a page is not posted to",
        b"POST / HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        NOT_ALLOWED,
        "only GET, HEAD can be used here",
    ),
    refused(
        "an upgrade by another method",
        b"POST /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\n\r\n",
        NOT_ALLOWED,
        "only GET can be used here",
    ),
    refused(
        "no upgrade",
        b"GET /ws HTTP/1.1\r\nHost: chat.example\r\n\r\n",
        UPGRADE_REQUIRED,
        "this path speaks WebSocket, ask for an upgrade",
    ),
    refused(
        "an upgrade in HTTP/1.0",
        b"GET /ws HTTP/1.0\r\nHost: chat.example\r\nUpgrade: websocket\r\n\r\n",
        BAD_REQUEST,
        "HTTP/1.0 cannot upgrade to WebSocket",
    ),
    refused(
        "Connection does not name Upgrade",
        upgrade!("Connection: keep-alive"),
        BAD_REQUEST,
        "Connection does not name Upgrade",
    ),
    refused(
        "no version",
        upgrade!("Connection: Upgrade"),
        UPGRADE_REQUIRED,
        "no Sec-WebSocket-Version header field",
    ),
    refused(
        "an old version",
        upgrade!("Connection: Upgrade", "Sec-WebSocket-Version: 8"),
        UPGRADE_REQUIRED,
        "the WebSocket version must be 13",
    ),
    refused(
        "no key",
        upgrade!("Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        BAD_REQUEST,
        "no Sec-WebSocket-Key header field",
    ),
    refused(
        "two keys",
        upgrade!(
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        ),
        BAD_REQUEST,
        "more than one Sec-WebSocket-Key header field",
    ),
    refused(
        "a key of 15 bytes",
        upgrade!(
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"
        ),
        BAD_REQUEST,
        "Sec-WebSocket-Key is not 16 bytes in base64",
    ),
    refused(
        "a page of another origin",
        upgrade!(
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Origin: https://evil.example"
        ),
        FORBIDDEN,
        "origin https://evil.example is not allowed to connect",
    ),
    refused(
        "two origins",
        upgrade!(
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Origin: http://chat.example",
            "Origin: http://chat.example"
        ),
        FORBIDDEN,
        "more than one Origin header field",
    ),
    refused(
        "a subprotocol that is no token",
        upgrade!(
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: chat, \"super chat\""
        ),
        BAD_REQUEST,
        "Sec-WebSocket-Protocol is not a list of tokens",
    ),
];

/// The whole table.
pub(crate) const BROKEN_REQUESTS: [&[BrokenRequest]; 5] =
    [&LINES, &REQUEST_LINES, &HEADER_FIELDS, &BODIES, &HANDSHAKES];
