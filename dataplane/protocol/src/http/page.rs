//! A small page, held in memory: a fixed one, or the answer to one request.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest as _, Sha1};

use super::header::{HeaderError, ResponseHeaders, is_control};

/// A page, an asset or a computed answer: status (200 unless told otherwise), type, body, and
/// header fields such as those that say how long it may be kept.
#[derive(Clone, Debug)]
pub struct Page {
    status: u16,
    content_type: Cow<'static, str>,
    body: Cow<'static, [u8]>,
    etag: Option<String>,
    headers: ResponseHeaders,
}

impl Page {
    /// A page that no one is told to keep. A `content_type` that is no header value, since it holds
    /// control characters, becomes `application/octet-stream`.
    pub fn new(
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        let mut content_type = content_type.into();
        if content_type.is_empty() || content_type.bytes().any(is_control) {
            content_type = Cow::Borrowed("application/octet-stream");
        }
        let headers = ResponseHeaders::default();
        Self { status: 200, content_type, body: body.into(), etag: None, headers }
    }

    /// The same page under another status, such as 404 for a page that says what is missing.
    ///
    /// `status` is one of 200 to 599; those that have no body (204, 205, 304; RFC 9110 section 15)
    /// and anything else become 500.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        let has_body = (200..600).contains(&status) && ![204, 205, 304].contains(&status);
        self.status = if has_body { status } else { 500 };
        self
    }

    /// The same page with an entity tag, made from its body: a client that has it need not fetch
    /// it again (RFC 9110 section 8.8.3). Costs a hash of the body, so do it once.
    #[must_use]
    pub fn with_etag(mut self) -> Self {
        let digest = Sha1::digest(&self.body);
        self.etag = Some(format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest)));
        self
    }

    /// The same page with one more header field, such as `Cache-Control`.
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

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The media type.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The entity tag with its quotation marks.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Header fields beside those of every page.
    pub fn headers(&self) -> &ResponseHeaders {
        &self.headers
    }
}
