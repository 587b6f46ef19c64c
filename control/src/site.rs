//! What the addresses of the clients answer besides WebSocket.

use std::sync::Arc;

use hioload_config::Config;
use hioload_engine::{Page, Route, Site};
use tracing::warn;

use crate::Handle;
use crate::chat;

/// `/healthz`, the chat page where it is wanted, and the pages of the embedder, which replace those
/// of the same path.
pub(crate) fn site(
    config: &Config,
    chat_page: bool,
    pages: Vec<(String, Route)>,
    handle: &Handle,
) -> Site {
    let websocket_path = config.websocket.path.as_str();
    let mut site = Site::new(websocket_path).route("/healthz", fixed(healthz()));
    if chat_page {
        let handle = handle.clone();
        site = chat::site(site, config, Arc::new(move || handle.active_clients()));
    }
    for (path, page) in pages {
        if path == websocket_path {
            warn!(path, "this page is hidden: websocket.path is the same");
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
