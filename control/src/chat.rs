//! The chat page and what it asks for, as answers of the data plane.

use std::sync::Arc;

use hioload_config::{Config, Publish};
use hioload_engine::{GetRequest, Page, Route, Site};

use crate::site::fixed;

const CHAT_PAGE: &str = include_str!("../assets/chat.html");

/// Where the page says what it connects to.
const WEBSOCKET_DEFAULT: &str = r#"name="websocket" content="./ws""#;

/// Where the page says who may publish.
const PUBLISH_DEFAULT: &str = r#"name="publish" content="clients""#;

/// For browsers that ask for it whatever the page says.
const ICON: &str = concat!(
    r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">"##,
    r##"<rect width="16" height="16" rx="4" fill="#0b5cad"/>"##,
    r##"<path d="M4 4v8M4 8h8M12 4v8" stroke="#fff" stroke-width="2" stroke-linecap="round"/>"##,
    "</svg>\n"
);

/// `site` with the chat page at `/`, the number of clients at `/clients`, and an icon. The page
/// connects to the configured path, and lets write where clients may publish.
pub(crate) fn site(
    site: Site,
    config: &Config,
    active_clients: Arc<dyn Fn() -> u64 + Send + Sync>,
) -> Site {
    let count = move |_: &GetRequest<'_>| Ok(clients(active_clients()));
    site.route("/", fixed(chat_page(&config.websocket.path, config.broadcast.publish)))
        .route("/clients", Route::Computed(Arc::new(count)))
        .route("/favicon.ico", fixed(icon()))
}

/// Always asked for anew, and fetched anew only when the program has changed.
fn chat_page(websocket_path: &str, publish: Publish) -> Page {
    // No other page may show this one in a frame; a page cannot say that of itself in HTML.
    let policy = format!("{}; frame-ancestors 'none'", policy());
    let mut html = connecting_to(websocket_path);
    if publish == Publish::Admin {
        html = html.replacen(PUBLISH_DEFAULT, &PUBLISH_DEFAULT.replace("clients", "admin"), 1);
    }
    let page = Page::new("text/html; charset=utf-8", html.into_bytes()).with_etag();
    let page = with(page, "Content-Security-Policy", policy);
    let page = with(page, "Cache-Control", "no-cache");
    with(page, "Referrer-Policy", "no-referrer")
}

/// The page with the path that it is to connect to, relative to its own: a proxy may serve it below
/// a path of the proxy's choice. It stands in an attribute and not in the script, whose hash the
/// policy names.
fn connecting_to(websocket_path: &str) -> String {
    // Of what a path may hold (`websocket.path` is checked), HTML reads only this otherwise.
    let path = websocket_path.replace('&', "&amp;");
    CHAT_PAGE.replacen(WEBSOCKET_DEFAULT, &format!("name=\"websocket\" content=\".{path}\""), 1)
}

/// The policy that the page states: nothing but its own style and script, by hash, and requests to
/// this server. It is read from the page, so that there is one place for the hashes.
fn policy() -> &'static str {
    let stated = CHAT_PAGE.split_once("http-equiv=\"Content-Security-Policy\" content=\"");
    let policy = stated.and_then(|(_, rest)| rest.split_once('"')).map(|(policy, _)| policy);
    policy.unwrap_or("default-src 'none'")
}

fn clients(active: u64) -> Page {
    let body = format!("{{\"active_clients\":{active}}}\n");
    with(Page::new("application/json", body.into_bytes()), "Cache-Control", "no-store")
}

fn icon() -> Page {
    let page = Page::new("image/svg+xml", ICON.as_bytes()).with_etag();
    with(page, "Cache-Control", "max-age=86400")
}

fn with(page: Page, name: &'static str, value: impl Into<std::borrow::Cow<'static, str>>) -> Page {
    page.with_header(name, value).expect("names and values in this file are fit for a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(page: &'a Page, name: &str) -> &'a str {
        page.headers().iter().find(|(there, _)| *there == name).expect(name).1
    }

    #[test]
    fn the_page_may_run_its_own_script_by_hash_and_nothing_else() {
        let page = chat_page("/ws", Publish::Clients);
        let policy = header(&page, "Content-Security-Policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(policy.ends_with("; frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(policy.is_ascii() && !policy.contains(','), "one policy: {policy}");
    }

    #[test]
    fn a_browser_asks_again_and_gets_the_page_only_when_it_has_changed() {
        let page = chat_page("/ws", Publish::Clients);
        assert_eq!(header(&page, "Cache-Control"), "no-cache");
        assert!(page.etag().is_some());
        assert_eq!(page.body(), CHAT_PAGE.as_bytes());
    }

    #[test]
    fn the_page_connects_to_the_path_of_the_configuration_and_says_no_other() {
        assert_eq!(CHAT_PAGE.matches(WEBSOCKET_DEFAULT).count(), 1);
        let page = chat_page("/a&lt;b/feed", Publish::Clients);
        let html = std::str::from_utf8(page.body()).unwrap();
        assert!(html.contains(r#"<meta name="websocket" content="./a&amp;lt;b/feed">"#), "{html}");
        assert!(!html.contains("/ws"), "{html}");
    }

    #[test]
    fn the_page_says_who_may_publish() {
        assert_eq!(CHAT_PAGE.matches(PUBLISH_DEFAULT).count(), 1);
        let page = chat_page("/ws", Publish::Admin);
        let html = std::str::from_utf8(page.body()).unwrap();
        assert!(html.contains(r#"<meta name="publish" content="admin">"#), "{html}");
    }

    #[test]
    fn the_number_of_clients_is_json_that_nobody_keeps() {
        let page = clients(17);
        assert_eq!(page.body(), b"{\"active_clients\":17}\n");
        assert_eq!(
            (page.content_type(), header(&page, "Cache-Control")),
            ("application/json", "no-store")
        );
    }
}
