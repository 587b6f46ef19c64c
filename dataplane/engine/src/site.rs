//! What is served besides WebSocket: pages by path.

use std::collections::HashMap;
use std::sync::Arc;

use hioload_protocol::http::Page;

/// How a path is answered.
#[derive(Clone)]
pub enum Route {
    /// With the same page every time.
    Page(Arc<Page>),
    /// With a page that is made for each request, on the worker: it must be quick.
    Made(Arc<dyn Fn() -> Page + Send + Sync>),
}

/// The paths of the appliance.
///
/// Paths are compared as they stand in the request, without decoding.
pub struct Site {
    websocket_path: String,
    routes: HashMap<String, Route>,
}

impl Site {
    /// A site with WebSocket at `websocket_path` and nothing else.
    pub fn new(websocket_path: impl Into<String>) -> Self {
        Self { websocket_path: websocket_path.into(), routes: HashMap::new() }
    }

    /// The same site with an answer for `path`, to `GET` and `HEAD`. A later one replaces it.
    #[must_use]
    pub fn route(mut self, path: impl Into<String>, route: Route) -> Self {
        self.routes.insert(path.into(), route);
        self
    }

    pub(crate) fn is_websocket(&self, path: &str) -> bool {
        path == self.websocket_path
    }

    pub(crate) fn get(&self, path: &str) -> Option<Arc<Page>> {
        match self.routes.get(path)? {
            Route::Page(page) => Some(Arc::clone(page)),
            Route::Made(make) => Some(Arc::new(make())),
        }
    }
}
