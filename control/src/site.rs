//! What the addresses of the clients answer besides WebSocket.

use std::sync::Arc;

use hioload_config::{Config, check_path};
use hioload_engine::{Page, PathIndex, Route, Site};
use tracing::warn;

use crate::chat;
use crate::{Handle, StartError};

/// Checks that each WebSocket path of the embedder can be asked for, and has one handler.
pub(crate) fn check_websocket_paths(
    websocket_path: &str,
    added: &[String],
) -> Result<(), StartError> {
    for (number, path) in added.iter().enumerate() {
        let fault = |reason: String| StartError::Route { path: path.clone(), reason };
        check_path(path).map_err(|error| fault(error.to_string()))?;
        if path == websocket_path {
            return Err(fault("websocket.path is the same, and has a handler".to_owned()));
        }
        if added[..number].contains(path) {
            return Err(fault("it has a handler already".to_owned()));
        }
    }
    Ok(())
}

/// WebSocket at `websocket_path` and at those `added`; `/healthz`, the chat page where it is wanted,
/// and the pages and answers of the embedder, which replace those of the same path.
pub(crate) fn site(
    config: &Config,
    added: &[String],
    chat_page: bool,
    pages: Vec<(String, Route)>,
    handle: &Handle,
) -> Site {
    let websocket_path = config.websocket.path.as_str();
    let mut site = Site::new(websocket_path).route("/healthz", fixed(healthz()));
    for (path, index) in added.iter().zip(1..) {
        site = site.websocket(path, PathIndex::new(index));
    }
    if chat_page {
        let handle = handle.clone();
        site = chat::site(site, config, Arc::new(move || handle.active_clients()));
    }
    for (path, page) in pages {
        if path == websocket_path || added.contains(&path) {
            warn!(path, "this page is hidden: WebSocket is at the same path");
        } else if !path.starts_with('/') {
            warn!(path, "this page is never asked for: its path does not begin with \"/\"");
        }
        site = site.route(path, page);
    }
    site
}

/// A page that is the same every time.
pub(crate) fn fixed(page: Page) -> Route {
    Route::Page(Arc::new(page))
}

/// The worker that answers works. A load balancer that is to know of a drain, too, sees that new
/// connections are refused then.
fn healthz() -> Page {
    let page = Page::new("text/plain; charset=utf-8", &b"ok\n"[..]);
    page.with_header("Cache-Control", "no-store").expect("a name and a value fit for a header")
}
