//! The body of a request as a message: its kind, its length, how long it may take to come.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::http::{HeaderMap, StatusCode};
use hioload_engine::{Kind, Message};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::routes::Refusal;

/// How long the body of a request may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// How much of a body that is too long is read on, and for how long.
const DISCARDED_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Text, beside `text/*`. The second is what curl says of `--data` when it is not told better; the
/// body is taken as it is.
const TEXT_TYPES: [&str; 2] = ["application/json", "application/x-www-form-urlencoded"];

/// A message that has come as the body of a request.
#[derive(Debug)]
pub(super) struct MessageBody {
    kind: Kind,
    bytes: Bytes,
}

impl MessageBody {
    /// The whole body, which is 1 to `bytes_max` bytes long, and UTF-8 where it is to be a text.
    pub(super) async fn read(request: Request, bytes_max: usize) -> Result<Self, Refusal> {
        let kind = kind(request.headers())?;
        let bytes = read(request, bytes_max).await?;
        if kind == Kind::Text && std::str::from_utf8(&bytes).is_err() {
            let reason =
                "a text message must be UTF-8 (application/octet-stream sends it as binary)";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
        }
        Ok(Self { kind, bytes })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn message(&self) -> Message<'_> {
        match (self.kind, std::str::from_utf8(&self.bytes)) {
            (Kind::Text, Ok(text)) => text.into(),
            _ => self.bytes[..].into(),
        }
    }
}

/// Whether a body of the request's content type is to be a text or a binary message.
fn kind(headers: &HeaderMap) -> Result<Kind, Refusal> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return Ok(Kind::Text) };
    let media_type =
        content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let media_type = media_type.trim().to_ascii_lowercase();
    if media_type == "application/octet-stream" {
        Ok(Kind::Binary)
    } else if TEXT_TYPES.contains(&media_type.as_str()) || media_type.starts_with("text/") {
        Ok(Kind::Text)
    } else {
        let reason = "Content-Type must be text/plain or application/json for a text message, \
                      application/octet-stream for a binary one";
        Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason))
    }
}

/// The whole body, which is 1 to `bytes_max` bytes long.
async fn read(request: Request, bytes_max: usize) -> Result<Bytes, Refusal> {
    let too_long = || {
        let reason = format!("a message has at most {bytes_max} bytes (websocket.message_max)");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    };
    let (head, mut body) = request.into_parts();
    // A client that asks first is told before it sends anything (RFC 9110 section 10.1.1).
    if head.headers.contains_key(header::EXPECT) && body.size_hint().lower() > bytes_max as u64 {
        return Err(too_long());
    }
    let Ok(read) = timeout(BODY_TIME_MAX, Limited::new(&mut body, bytes_max).collect()).await
    else {
        let reason = "the body did not come in time";
        return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, reason));
    };
    let bytes = match read {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body).await;
            return Err(too_long());
        }
        Err(_) => {
            let reason = "the body did not come as a whole";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
        }
    };
    if bytes.is_empty() {
        // More likely an oversight than a wish.
        let reason = "the body is the message, and it is empty";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    }
    Ok(bytes)
}

/// Reads on for a while: a client that is still sending when its connection is closed may lose the
/// answer.
async fn discard(mut body: Body) {
    let mut bytes = 0;
    let discarding = async {
        while let Some(Ok(frame)) = body.frame().await
            && bytes < DISCARDED_BYTES_MAX
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Whoever sends more, or slower, may miss why.
    let _ = timeout(DISCARD_TIME_MAX, discarding).await;
}
