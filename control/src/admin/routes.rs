//! What the admin interface answers.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hioload_engine::PublishError;
use tokio::task::spawn_blocking;

use super::message::MessageBody;
use super::protect::{self, Protection};
use super::sessions;
use crate::metrics::{Format, Snapshot};
use crate::{Handle, State as Running};

pub(super) const JSON: &str = "application/json";

/// Every path behind the rules of `protection`.
pub(super) fn router(handle: Handle, protection: Protection) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/stats", get(stats))
        .route("/metrics", get(scrape))
        .route("/broadcast", post(broadcast))
        .route("/drain", post(drain))
        .merge(sessions::routes())
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
    let body = MessageBody::read(request, handle.message_bytes_max()).await?;
    off_loop(move || {
        handle.publish(body.message())?;
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
    let reason = "no such path: there are GET /healthz /readyz /stats /metrics /sessions, \
                  POST /broadcast /drain /sessions/ID/send /sessions/ID/kick";
    Refusal::new(StatusCode::NOT_FOUND, reason)
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method, see Allow")
}

/// Runs what may wait, or calls code that is not ours, off the event loop.
pub(super) async fn off_loop<T: Send + 'static>(
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
            PublishError::NotStarted | PublishError::Stopping => refusal,
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
