//! `/sessions`: who is there, a message to one of them, and its end.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hioload_engine::{CloseCode, DirectedError, SessionId, SessionInfo};
use serde::Serialize;

use super::message::MessageBody;
use super::routes::{JSON, Refusal, off_loop};
use crate::Handle;

/// Sessions on a page, unless the request says how many.
const LIMIT_DEFAULT: usize = 100;

/// RFC 6455 section 5.5: a control frame has at most 125 bytes, two of which are the code's.
const REASON_BYTES_MAX: usize = 123;

/// How much of what is wrong in a request is shown.
const CHARS_SHOWN_MAX: usize = 40;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/sessions", get(list))
        .route("/sessions/{id}/send", post(send))
        .route("/sessions/{id}/kick", post(kick))
}

/// A page of sessions. Ids are texts: JavaScript, for one, has no whole numbers beyond 2^53, and
/// the ids of every worker but the first are.
#[derive(Serialize)]
struct Page {
    sessions: Vec<Entry>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    peer: String,
    age_s: u64,
    messages_received: u64,
    messages_delivered: u64,
    backlog_messages: u32,
    backlog_bytes: usize,
    worker: usize,
}

impl From<SessionInfo> for Entry {
    fn from(session: SessionInfo) -> Self {
        Self {
            id: session.id.to_string(),
            peer: session.peer.to_string(),
            age_s: session.age.as_secs(),
            messages_received: session.messages_received,
            messages_delivered: session.messages_delivered,
            backlog_messages: session.backlog_messages,
            backlog_bytes: session.backlog_bytes,
            worker: session.worker,
        }
    }
}

async fn list(State(handle): State<Handle>, uri: Uri) -> Result<Response, Refusal> {
    let parameters = Parameters::read(&uri, &["limit", "after"])?;
    let limit = parameters.limit()?;
    let after = parameters.get("after").map(session_id).transpose()?;
    off_loop(move || {
        let page = handle.sessions(after, limit)?;
        let sessions = page.sessions.into_iter().map(Entry::from).collect();
        json(StatusCode::OK, &Page { sessions, next: page.next.map(|id| id.to_string()) })
    })
    .await?
}

/// What was taken to be sent.
#[derive(Serialize)]
struct Sent {
    id: String,
    bytes: usize,
}

async fn send(
    State(handle): State<Handle>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let id = session_in_path(id)?;
    Parameters::read(request.uri(), &[])?;
    let body = MessageBody::read(request, handle.message_bytes_max()).await?;
    off_loop(move || {
        handle.send(id, body.message())?;
        json(StatusCode::ACCEPTED, &Sent { id: id.to_string(), bytes: body.len() })
    })
    .await?
}

/// The Close that was taken to be sent.
#[derive(Serialize)]
struct Kicked {
    id: String,
    code: u16,
    reason: String,
}

async fn kick(
    State(handle): State<Handle>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let id = session_in_path(id)?;
    let parameters = Parameters::read(&uri, &["code", "reason"])?;
    let (code, reason) = (parameters.code()?, parameters.reason()?);
    off_loop(move || {
        handle.close(id, code, &reason)?;
        tracing::info!(session = %id, %code, "closing a session, as asked by POST /sessions/ID/kick");
        json(StatusCode::ACCEPTED, &Kicked { id: id.to_string(), code: code.get(), reason })
    })
    .await?
}

fn session_in_path(id: Result<Path<String>, PathRejection>) -> Result<SessionId, Refusal> {
    let Path(id) = id.map_err(|error| bad(error.body_text()))?;
    session_id(&id)
}

fn session_id(text: &str) -> Result<SessionId, Refusal> {
    text.parse().map_err(|error| bad(format!("{} is no session: {error}", shown(text))))
}

/// What stands behind the question mark.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Each of those that are `known` may be there once.
    fn read(uri: &Uri, known: &[&str]) -> Result<Self, Refusal> {
        let Query(pairs): Query<Vec<(String, String)>> =
            Query::try_from_uri(uri).map_err(|error| bad(error.body_text()))?;
        for (number, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let others = match known {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                let reason = format!("there is no parameter {}: there is {others}", shown(name));
                return Err(bad(reason));
            }
            if pairs[..number].iter().any(|(before, _)| before == name) {
                return Err(bad(format!("the parameter {} is there twice", shown(name))));
            }
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.get("limit") else { return Ok(LIMIT_DEFAULT) };
        let limit = text.parse().ok();
        limit.filter(|limit| (1..=Handle::SESSIONS_PAGE_MAX).contains(limit)).ok_or_else(|| {
            let most = Handle::SESSIONS_PAGE_MAX;
            bad(format!("limit must be a number from 1 to {most}, not {}", shown(text)))
        })
    }

    /// A code that a server may send. 1010 is for clients (RFC 6455 section 7.4.1).
    fn code(&self) -> Result<CloseCode, Refusal> {
        let Some(text) = self.get("code") else { return Ok(CloseCode::POLICY_VIOLATION) };
        let code = text.parse().ok().and_then(CloseCode::new);
        code.filter(|&code| code != CloseCode::MANDATORY_EXTENSION).ok_or_else(|| {
            bad(format!(
                "code must be one that a server may send, 1000 to 1003, 1007 to 1009, 1011 to \
                 1014 or 3000 to 4999, not {}",
                shown(text)
            ))
        })
    }

    fn reason(&self) -> Result<String, Refusal> {
        let reason = self.get("reason").unwrap_or_default();
        if reason.len() > REASON_BYTES_MAX {
            let len = reason.len();
            return Err(bad(format!("reason has {len} bytes, more than {REASON_BYTES_MAX}")));
        }
        Ok(reason.to_owned())
    }
}

/// A part of the request that is wrong, in quotes and on one line.
fn shown(text: &str) -> String {
    let end = text.char_indices().nth(CHARS_SHOWN_MAX);
    end.map_or_else(|| format!("{text:?}"), |(end, _)| format!("{:?}...", &text[..end]))
}

fn bad(reason: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason)
}

fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, Refusal> {
    let json = serde_json::to_string(body).map_err(|error| {
        let reason = format!("the answer is no JSON: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    })?;
    Ok((status, [(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

impl From<DirectedError> for Refusal {
    fn from(error: DirectedError) -> Self {
        let status = match error {
            DirectedError::NotOpen(_) => StatusCode::NOT_FOUND,
            DirectedError::Busy | DirectedError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        let refusal = Refusal::new(status, error.to_string());
        match error {
            DirectedError::Busy => {
                refusal.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            DirectedError::NotOpen(_) | DirectedError::Stopping => refusal,
        }
    }
}
