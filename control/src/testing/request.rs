//! What a client asks, and what it is answered.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// A request of a client: `GET` of a path, with more header fields where they are wanted.
///
/// A path as text is a request, too.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    peer: Option<SocketAddr>,
}

impl ClientRequest {
    /// `GET` of `target`: a path, perhaps with a query.
    pub fn get(target: impl Into<String>) -> Self {
        let (method, target) = ("GET".to_owned(), target.into());
        Self { method, target, headers: Vec::new(), peer: None }
    }

    /// The same request with another method.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = method.into();
        self
    }

    /// The same request with one more header field, such as `Authorization`, `Origin` or
    /// `Sec-WebSocket-Protocol`. The fields of a valid upgrade are added by the harness.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same request from this address; from a port of its own of 127.0.0.1 otherwise.
    #[must_use]
    pub fn peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    pub(super) fn peer_or(&self, default: SocketAddr) -> SocketAddr {
        self.peer.unwrap_or(default)
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub(super) fn bytes(&self, upgrade: bool) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
        // The sample of RFC 6455 section 1.3.
        let of_upgrade = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ];
        let of_upgrade = of_upgrade.iter().filter(|_| upgrade);
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let added = [("Host", "localhost")].iter().chain(of_upgrade).copied();
        for (name, value) in added.filter(|(name, _)| !has(name)).chain(own) {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

impl From<&str> for ClientRequest {
    fn from(target: &str) -> Self {
        Self::get(target)
    }
}

impl From<String> for ClientRequest {
    fn from(target: String) -> Self {
        Self::get(target)
    }
}

/// An answer of plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    pub(super) fn new(status: u16, headers: Vec<(String, String)>) -> Self {
        Self { status, headers, body: Vec::new() }
    }

    pub(super) fn with_body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header field, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(there, _)| there.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; of what is not UTF-8 nothing.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap_or_default()
    }
}
