//! An answer that says no: a status and one line that says why.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use super::header::{HeaderError, ResponseHeaders};

/// Bytes of the line that says why; what is longer is cut.
const DETAIL_BYTES_MAX: usize = 200;

/// Why a request is not served, ready to be encoded by [`response::refusal`].
///
/// [`response::refusal`]: super::response::refusal
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    detail: Cow<'static, str>,
    headers: ResponseHeaders,
    must_close: bool,
}

impl Refusal {
    /// A refusal that leaves the connection usable.
    ///
    /// `status` is one of 300 to 599 but 304; anything else would not refuse and becomes 500.
    /// Control characters in `detail` become spaces and it is cut after 200 bytes, so that it is
    /// one line whatever it quotes; an empty one becomes the name of the status.
    pub fn new(status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = if (300..600).contains(&status) && status != 304 { status } else { 500 };
        let mut detail = one_line(detail.into());
        if detail.is_empty() {
            detail = Cow::Borrowed(reason_phrase(status));
        }
        Self { status, detail, headers: ResponseHeaders::default(), must_close: false }
    }

    /// 400 for a request whose end cannot be trusted: the connection closes.
    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, detail).closing()
    }

    /// 400: the PROXY protocol where it is not taken; see [`ProxyReader`](crate::proxy::ProxyReader).
    pub fn proxy_header() -> Self {
        Self::malformed("a PROXY header is taken from trusted proxies only, once")
    }

    /// 405: this path takes the methods in `allowed` only, as in `"GET, HEAD"`.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let mut refusal = Self::new(405, format!("only {allowed} can be used here"));
        refusal.headers.push("Allow", allowed);
        refusal
    }

    /// 426: this path speaks WebSocket, version 13 (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
    pub fn upgrade_required(detail: impl Into<Cow<'static, str>>) -> Self {
        let mut refusal = Self::new(426, detail);
        refusal.headers.push("Upgrade", "websocket");
        refusal.headers.push("Sec-WebSocket-Version", "13");
        refusal
    }

    /// 503: try again after so many seconds; the connection closes.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after_s: u32) -> Self {
        let mut refusal = Self::new(503, detail).closing();
        refusal.headers.push("Retry-After", retry_after_s.to_string());
        refusal
    }

    /// 429: this client has, or asks for, more than its share (RFC 6585 section 4). It may try again
    /// after so many seconds; the connection closes.
    pub fn too_many(detail: impl Into<Cow<'static, str>>, retry_after_s: u32) -> Self {
        let mut refusal = Self::new(429, detail).closing();
        refusal.headers.push("Retry-After", retry_after_s.to_string());
        refusal
    }

    /// The same refusal with one more header field.
    ///
    /// # Errors
    /// As [`ResponseHeaders::add`].
    pub fn with_header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Result<Self, HeaderError> {
        self.headers.add(name, value)?;
        Ok(self)
    }

    /// The same refusal, after which the connection closes.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.must_close = true;
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The line that says why, without its line break.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Header fields beside those of every refusal.
    pub fn headers(&self) -> &ResponseHeaders {
        &self.headers
    }

    /// Whether nothing that follows on the connection can be read as a request.
    pub fn must_close(&self) -> bool {
        self.must_close
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.detail)
    }
}

impl Error for Refusal {}

/// A header field of an answer that cannot be written is a fault of the server.
impl From<HeaderError> for Refusal {
    fn from(_: HeaderError) -> Self {
        Self::new(500, "the server made an answer that cannot be sent")
    }
}

/// The name of a status (RFC 9110 section 15, RFC 6585); that of its class where it has none here.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => match status / 100 {
            2 => "Successful",
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}

fn one_line(detail: Cow<'static, str>) -> Cow<'static, str> {
    let breaks_line = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
    if detail.len() <= DETAIL_BYTES_MAX && !detail.contains(breaks_line) {
        return detail;
    }
    let cut = &detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)];
    Cow::Owned(cut.replace(breaks_line, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_short_line_whatever_it_quotes() {
        let refusal = Refusal::new(403, "no\r\nSet-Cookie: a=b\u{2028}\u{0}end");
        assert_eq!(refusal.detail(), "no  Set-Cookie: a=b  end");
        let long = Refusal::new(403, "\u{e9}".repeat(500));
        assert_eq!(long.detail(), "\u{e9}".repeat(100));
        assert_eq!(Refusal::new(404, "").detail(), "Not Found");
    }

    #[test]
    fn a_status_that_would_not_refuse_becomes_500() {
        for status in [0, 101, 200, 204, 304, 600] {
            assert_eq!(Refusal::new(status, "no").status(), 500);
        }
        assert_eq!(Refusal::new(302, "elsewhere").status(), 302);
    }

    #[test]
    fn headers_of_a_handler_are_checked() {
        let refusal = Refusal::new(401, "who are you?");
        let answer = refusal.clone().with_header("WWW-Authenticate", "Bearer").unwrap();
        assert!(answer.headers().contains("www-authenticate"));
        assert_eq!(refusal.with_header("Connection", "close"), Err(HeaderError::Reserved));
    }
}
