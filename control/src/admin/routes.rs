//! What the admin interface answers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hioload_engine::{Kind, PublishError};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::protect::{self, Protection};
use crate::metrics::{Format, Snapshot};
use crate::{Handle, State as Running};

const JSON: &str = "application/json";

/// How long the body of a request may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// How much of a body that is too long is read on, and for how long.
const DISCARDED_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Every path behind the rules of `protection`.
pub(super) fn router(handle: Handle, protection: Protection) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/stats", get(stats))
        .route("/metrics", get(scrape))
        .route("/broadcast", post(broadcast))
        .route("/drain", post(drain))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::new(protection), protect::protect))
        .with_state(handle)
}

/// The process works: it has just answered.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether new clients are taken; a load balancer asks this.
async fn readyz(State(handle): State<Handle>) -> Result<&'static str, Refusal> {
    match handle.state() {
        Running::Serving => Ok("serving\n"),
        state => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, state.to_string())),
    }
}

async fn stats(State(handle): State<Handle>) -> Result<Response, Refusal> {
    let stats = move || handle.snapshot().unwrap_or_else(|_| handle.stats());
    let json = off_loop(move || serde_json::to_string_pretty(&stats())).await?;
    let json = json.map_err(|error| {
        let reason = format!("the statistics are no JSON: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    })?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

async fn scrape(State(handle): State<Handle>, headers: HeaderMap) -> Result<Response, Refusal> {
    let format = Format::negotiate(headers.get_all(header::ACCEPT).into_iter());
    let text = off_loop(move || Snapshot::take(&handle).render(format)).await?;
    let text = text.map_err(|_| {
        let reason = "the metrics could not be written";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    })?;
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")];
    Ok((headers, text).into_response())
}

/// Sends the body to every client.
async fn broadcast(State(handle): State<Handle>, request: Request) -> Result<Response, Refusal> {
    let kind = message_kind(request.headers())?;
    let body = read(request, handle.message_bytes_max()).await?;
    if kind == Kind::Text && std::str::from_utf8(&body).is_err() {
        let reason = "a text message must be UTF-8 (application/octet-stream sends it as binary)";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    }
    off_loop(move || {
        let published = match (kind, std::str::from_utf8(&body)) {
            (Kind::Text, Ok(text)) => handle.publish(text),
            _ => handle.publish(&body[..]),
        };
        published.map_err(Refusal::from)?;
        let answer = format!("{{\"active_clients\":{}}}\n", handle.active_clients());
        Ok((StatusCode::ACCEPTED, [(header::CONTENT_TYPE, JSON)], answer).into_response())
    })
    .await?
}

/// Begins to drain, as SIGTERM does.
async fn drain(State(handle): State<Handle>) -> (StatusCode, &'static str) {
    tracing::info!("draining, as asked by POST /drain");
    handle.drain();
    (StatusCode::ACCEPTED, "draining\n")
}

async fn not_found() -> Refusal {
    let reason = "no such path: there are GET /healthz /readyz /stats /metrics, POST /broadcast \
                  /drain";
    Refusal::new(StatusCode::NOT_FOUND, reason)
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method, see Allow")
}

/// Text, beside `text/*`. The second is what curl says of `--data` when it is not told better; the
/// body is taken as it is.
const TEXT_TYPES: [&str; 2] = ["application/json", "application/x-www-form-urlencoded"];

/// Whether a body of the request's content type is to be a text or a binary message.
fn message_kind(headers: &HeaderMap) -> Result<Kind, Refusal> {
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

/// Runs what may wait, or calls code that is not ours, off the event loop.
async fn off_loop<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(call).await.map_err(|_| {
        let reason = "a probe of the application panicked, see the log";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    })
}

/// An answer that is no success: a status and one line that says why.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into(), header: None }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        match error {
            PublishError::Busy => {
                refusal.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            PublishError::Stopping => refusal,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.reason)).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
