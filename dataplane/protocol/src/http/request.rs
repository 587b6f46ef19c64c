//! A request as it was read.

use std::fmt;
use std::ops::Range;

use super::header::{is_token_byte, list_items};
use super::line::RequestLine;
use super::{Refusal, rules};

/// The method, as far as a server of pages and WebSockets tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// Any other; [`Request::method_name`] says which.
    Other,
}

/// A request without a body, owned: its head in one piece and where the parts lie in it.
#[derive(Clone)]
pub struct Request {
    head: String,
    method: Span,
    target: Span,
    path: Span,
    query: Option<Span>,
    version_minor: u8,
    headers: Box<[(Span, Span)]>,
}

/// A part of the head. Heads are bounded far below 4 GiB.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Request {
    /// Reads a complete head of which the reader knows that lines end with CR LF, none is folded
    /// and none holds control characters: `line_len` bytes of request line, then `headers_count`
    /// fields.
    pub(super) fn parse(
        head: Vec<u8>,
        line_len: usize,
        headers_count: usize,
    ) -> Result<Self, Refusal> {
        let line = RequestLine::parse(head[..line_len].trim_ascii_end())?;
        let headers = parse_headers(&head, line_len, headers_count)?;
        let head =
            String::from_utf8(head).map_err(|_| Refusal::malformed("header field is not UTF-8"))?;
        let request = Self {
            head,
            method: Span::from(&line.method),
            target: Span::from(&line.target.whole),
            path: Span::from(&line.target.path),
            query: line.target.query.as_ref().map(Span::from),
            version_minor: line.version_minor,
            headers,
        };
        rules::check(&request, &line.target)?;
        Ok(request)
    }

    /// The method.
    pub fn method(&self) -> Method {
        match self.method_name() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            _ => Method::Other,
        }
    }

    /// The method as it was sent; its letters' case counts (RFC 9110 section 9.1).
    pub fn method_name(&self) -> &str {
        self.get(self.method)
    }

    /// The request target as it was sent: mostly a path and a query, sometimes a whole address.
    pub fn target(&self) -> &str {
        self.get(self.target)
    }

    /// The path, before any question mark. Not percent-decoded: compare `/a%20b` with `/a%20b`.
    /// Begins with a slash but for `OPTIONS *`.
    pub fn path(&self) -> &str {
        // RFC 9110 section 4.2.3: the empty path of `http://host` is that of `http://host/`.
        match self.get(self.path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the first question mark of the target, not percent-decoded.
    pub fn query(&self) -> Option<&str> {
        self.query.map(|query| self.get(query))
    }

    /// The first value of a header field, whatever the case of its name. Surrounding white space is
    /// trimmed.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// The values of all header fields of this name, one per line.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers()
            .filter_map(move |(there, value)| there.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The items of a header field that is a comma list, over all its lines, empty ones left out.
    pub fn header_list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.header_values(name).flat_map(list_items)
    }

    /// All header fields in the order of the request, names as they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|&(name, value)| (self.get(name), self.get(value)))
    }

    /// `Host`, which is valid where it is there; only HTTP/1.0 may leave it out.
    pub fn host(&self) -> Option<&str> {
        self.header("host")
    }

    /// Whether the request is HTTP/1.0; it is HTTP/1.1 otherwise.
    pub fn is_http_1_0(&self) -> bool {
        self.version_minor == 0
    }

    /// Whether the client will send another request on this connection (RFC 9112 section 9.3).
    pub fn keep_alive(&self) -> bool {
        let connection = |option: &str| self.list_has("connection", option);
        !connection("close") && (!self.is_http_1_0() || connection("keep-alive"))
    }

    /// Whether `Upgrade` names WebSocket.
    pub fn wants_upgrade(&self) -> bool {
        self.list_has("upgrade", "websocket")
    }

    pub(super) fn list_has(&self, name: &str, item: &str) -> bool {
        self.header_list(name).any(|there| there.eq_ignore_ascii_case(item))
    }

    pub(super) fn text(&self, range: Range<usize>) -> &str {
        &self.head[range]
    }

    fn get(&self, span: Span) -> &str {
        &self.head[span.start as usize..span.end as usize]
    }
}

impl fmt::Debug for Request {
    /// Header fields and query stay out: they hold cookies and credentials, and this ends up in
    /// logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method_name())
            .field("path", &self.path())
            .field("headers", &self.headers.len())
            .finish()
    }
}

impl From<&Range<usize>> for Span {
    fn from(range: &Range<usize>) -> Self {
        let bounded = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: bounded(range.start), end: bounded(range.end) }
    }
}

/// Where names and values lie in `head`, whose header fields begin at `line_len`.
fn parse_headers(
    head: &[u8],
    line_len: usize,
    headers_count: usize,
) -> Result<Box<[(Span, Span)]>, Refusal> {
    let mut slots = vec![httparse::EMPTY_HEADER; headers_count];
    let fields = match httparse::parse_headers(&head[line_len..], &mut slots) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Ok(httparse::Status::Partial) => {
            return Err(Refusal::malformed("header fields do not end"));
        }
        Err(_) => return Err(Refusal::malformed(why_malformed(&head[line_len..]))),
    };
    let span = |part: &[u8]| {
        let start = part.as_ptr().addr() - head.as_ptr().addr();
        Span::from(&(start..start + part.len()))
    };
    fields
        .iter()
        .map(|field| match str::from_utf8(field.value) {
            Ok(_) => Ok((span(field.name.as_bytes()), span(field.value))),
            Err(_) => Err(Refusal::malformed(format!("header field {} is not UTF-8", field.name))),
        })
        .collect()
}

/// What is wrong with the first bad line among header fields that `httparse` refused.
fn why_malformed(fields: &[u8]) -> &'static str {
    for line in fields.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return "header field has no colon";
        };
        let name = &line[..colon];
        if name.is_empty() {
            return "header field has no name";
        }
        if name.ends_with(b" ") || name.ends_with(b"\t") {
            return "white space before the colon of a header field";
        }
        if !name.iter().copied().all(is_token_byte) {
            return "header name holds a character that is not allowed";
        }
    }
    "header fields are malformed"
}
