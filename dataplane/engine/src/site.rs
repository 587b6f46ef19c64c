//! What is served at which path: WebSocket handlers, pages, computed answers.

use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hioload_protocol::http::{Page, Refusal, Request};

use crate::{PathIndex, WorkerId};

/// How a path is answered.
#[derive(Clone)]
pub enum Route {
    /// With the same page every time.
    Page(Arc<Page>),
    /// With what is computed for each request.
    Computed(Arc<dyn Answer>),
}

/// Computes the answer to a `GET` or `HEAD`, on the worker: it must be quick. A panic answers 500
/// and is counted.
///
/// Implemented by closures `|request: &GetRequest<'_>| -> Result<Page, Refusal>`.
pub trait Answer: Send + Sync {
    /// The page, of any status, or a refusal in a line of text. To `HEAD` the same is answered,
    /// without its body.
    ///
    /// # Errors
    /// The refusal is the answer.
    fn answer(&self, request: &GetRequest<'_>) -> Result<Page, Refusal>;
}

impl<F> Answer for F
where
    F: Fn(&GetRequest<'_>) -> Result<Page, Refusal> + Send + Sync,
{
    fn answer(&self, request: &GetRequest<'_>) -> Result<Page, Refusal> {
        self(request)
    }
}

/// A plain `GET` or `HEAD`; dereferences to the [`Request`], which has path, query and header
/// fields.
#[derive(Debug)]
pub struct GetRequest<'a> {
    pub(crate) request: &'a Request,
    pub(crate) peer: SocketAddr,
    pub(crate) client: SocketAddr,
    pub(crate) worker: WorkerId,
}

impl GetRequest<'_> {
    /// Address and port of the client: what a trusted proxy says of it (`server.client_address`), or
    /// else [`peer`](Self::peer). The port is 0 where the proxy names none.
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// Address and port of the other side of the connection, which may be a proxy.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The worker that answers.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }
}

impl Deref for GetRequest<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.request
    }
}

/// The paths of the appliance.
///
/// Paths are compared as they stand in the request, without decoding.
pub struct Site {
    websocket_paths: HashMap<String, PathIndex>,
    routes: HashMap<String, Route>,
}

impl Site {
    /// A site with WebSocket at `websocket_path` and nothing else.
    pub fn new(websocket_path: impl Into<String>) -> Self {
        let websocket_paths = HashMap::from([(websocket_path.into(), PathIndex(0))]);
        Self { websocket_paths, routes: HashMap::new() }
    }

    /// The same site with WebSocket at `path`, for the handler that knows it as `index`; see
    /// [`Routed`](crate::Routed). A later one replaces it.
    #[must_use]
    pub fn websocket(mut self, path: impl Into<String>, index: PathIndex) -> Self {
        self.websocket_paths.insert(path.into(), index);
        self
    }

    /// The same site with an answer for `path`, to `GET` and `HEAD`. A later one replaces it;
    /// where WebSocket is at the same path, this is never asked for.
    #[must_use]
    pub fn route(mut self, path: impl Into<String>, route: Route) -> Self {
        self.routes.insert(path.into(), route);
        self
    }

    pub(crate) fn websocket_index(&self, path: &str) -> Option<PathIndex> {
        self.websocket_paths.get(path).copied()
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Route> {
        self.routes.get(path)
    }
}

/// The answer of `answer`, or what it panicked with.
pub(crate) fn compute(
    answer: &dyn Answer,
    request: &GetRequest<'_>,
) -> Result<Result<Page, Refusal>, Box<dyn Any + Send>> {
    // Unwind safety: an answer is shared and goes on being asked, as the documentation of the
    // trait says; the request is not used afterwards.
    catch_unwind(AssertUnwindSafe(|| answer.answer(request)))
}
