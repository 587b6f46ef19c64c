//! Plain requests: what they say, and pages and refusals in answer.

use hioload_buffer::{Pool, PoolOptions};
use hioload_protocol::http::{
    HeaderError, Method, Page, Refusal, Request, RequestLimits, RequestReader, response,
};

fn parse(head: &str) -> Request {
    let (_, request) =
        RequestReader::new().read(head.as_bytes(), &RequestLimits::default()).unwrap();
    request.unwrap()
}

fn answer(page: &Page, head: &str) -> String {
    let request = parse(head);
    let mut pool = Pool::new(PoolOptions::default());
    let frame = response::answer(page, &request, request.keep_alive(), &mut pool);
    String::from_utf8(frame.to_vec()).unwrap()
}

fn chat_page() -> Page {
    let page = Page::new("text/html; charset=utf-8", b"<h1>chat</h1>".as_slice()).with_etag();
    page.with_header("Cache-Control", "no-cache").unwrap()
}

#[test]
fn a_request_says_what_was_sent() {
    let request = parse(
        "GET /a%20b?c=d?e HTTP/1.1\r\nHost: chat.example:80\r\nX-Tag:  one \r\nx-tag: two,\t3\r\n\
         Empty:\r\n\r\n",
    );
    assert_eq!(request.method(), Method::Get);
    assert_eq!(request.target(), "/a%20b?c=d?e");
    assert_eq!((request.path(), request.query()), ("/a%20b", Some("c=d?e")));
    assert_eq!(request.host(), Some("chat.example:80"));
    assert_eq!(request.header("X-TAG"), Some("one"));
    assert_eq!(request.header_values("x-tag").collect::<Vec<_>>(), ["one", "two,\t3"]);
    assert_eq!(request.header_list("x-tag").collect::<Vec<_>>(), ["one", "two", "3"]);
    assert_eq!(request.header("empty"), Some(""));
    assert_eq!(request.header("none"), None);
    assert_eq!(request.headers().map(|(name, _)| name).last(), Some("Empty"));
}

#[test]
fn values_beyond_ascii_and_white_space_at_both_ends_are_read() {
    let request = parse("get / HTTP/1.1\r\nHost: a\r\nX: \t \u{e9}t\u{e9}\t \r\n\r\n");
    assert_eq!(request.header("x"), Some("\u{e9}t\u{e9}"));
    assert_eq!((request.method(), request.method_name()), (Method::Other, "get"));
}

#[test]
fn an_absolute_target_is_read_as_its_path() {
    let request = parse("GET http://A:80?b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((request.path(), request.query()), ("/", Some("b")));
    assert_eq!(request.target(), "http://A:80?b");
}

#[test]
fn a_log_line_of_a_request_holds_no_credentials() {
    let request =
        parse("GET /ws?token=secret HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n\r\n");
    let line = format!("{request:?}");
    assert!(line.contains("/ws") && !line.contains("secret"), "{line}");
}

#[test]
fn connections_are_kept_as_version_and_connection_say() {
    let keep_alive = |version: &str, line: &str| {
        parse(&format!("GET / {version}\r\nHost: a\r\n{line}\r\n")).keep_alive()
    };
    assert!(keep_alive("HTTP/1.1", ""));
    assert!(!keep_alive("HTTP/1.1", "Connection: Close\r\n"));
    assert!(!keep_alive("HTTP/1.1", "Connection: keep-alive\r\nConnection: x, close\r\n"));
    assert!(!keep_alive("HTTP/1.0", ""));
    assert!(keep_alive("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keep_alive("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn http_1_0_may_leave_the_host_out_and_expect_what_it_likes() {
    let request = parse("GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 00\r\n\r\n");
    assert!(request.is_http_1_0());
    assert_eq!(request.host(), None);
}

#[test]
fn a_page_is_sent_whole_to_get_and_without_its_body_to_head() {
    let page = chat_page();
    let get = answer(&page, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let etag = page.etag().unwrap();
    assert_eq!(
        get,
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 13\r\n\
             X-Content-Type-Options: nosniff\r\nETag: {etag}\r\nCache-Control: no-cache\r\n\
             Connection: keep-alive\r\n\r\n<h1>chat</h1>"
        )
    );
    let head = answer(&page, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(get.strip_prefix(&head), Some("<h1>chat</h1>"));
}

#[test]
fn a_client_that_has_the_page_is_not_sent_it_again() {
    let page = chat_page();
    let asked = |tags: &str| {
        answer(&page, &format!("GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tags}\r\n\r\n"))
    };
    let etag = page.etag().unwrap();
    let not_modified = format!(
        "HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\nCache-Control: no-cache\r\n\
         Connection: keep-alive\r\n\r\n"
    );
    assert_eq!(asked(etag), not_modified);
    assert_eq!(asked(&format!("\"other\", W/{etag}")), not_modified);
    assert_eq!(asked("*"), not_modified);
    assert!(asked("\"other\"").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_page_of_another_status_is_sent_under_it_whatever_the_client_has() {
    let missing = chat_page().with_status(404);
    let text = answer(&missing, "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n<h1>chat</h1>"), "{text}");
}

#[test]
fn a_status_that_has_no_body_cannot_be_that_of_a_page() {
    for status in [0, 101, 204, 205, 304, 600] {
        assert_eq!(chat_page().with_status(status).status(), 500, "{status}");
    }
    assert_eq!(chat_page().with_status(299).status(), 299);
}

#[test]
fn pages_with_other_bodies_have_other_tags() {
    let other = Page::new("text/html", b"<h1>chat!</h1>".as_slice()).with_etag();
    assert_ne!(other.etag(), chat_page().etag());
}

#[test]
fn a_connection_that_ends_says_so() {
    let last = answer(&chat_page(), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(last.contains("\r\nConnection: close\r\n"));
}

#[test]
fn a_page_takes_no_header_field_or_type_that_would_break_its_head() {
    let page = Page::new("text/html\r\nX: y", b"".as_slice());
    assert_eq!(page.content_type(), "application/octet-stream");
    assert_eq!(page.with_header("X", "a\nb").unwrap_err(), HeaderError::Value);
}

#[test]
fn a_refusal_is_plain_text_and_says_whether_the_connection_goes_on() {
    let mut pool = Pool::new(PoolOptions::default());
    let mut encoded = |refusal: &Refusal, head_only, keep_alive| {
        let frame = response::refusal(refusal, head_only, keep_alive, &mut pool);
        String::from_utf8(frame.to_vec()).unwrap()
    };
    let missing = Refusal::new(404, "no such page");
    let text = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Length: 13\r\nX-Content-Type-Options: nosniff\r\n\
                Connection: keep-alive\r\n\r\n";
    assert_eq!(encoded(&missing, false, true), format!("{text}no such page\n"));
    assert_eq!(encoded(&missing, true, true), text);
    assert!(encoded(&missing, false, false).contains("\r\nConnection: close\r\n"));
    let full = Refusal::unavailable("too many sessions", 5);
    let text = encoded(&full, false, true);
    assert!(text.contains("\r\nRetry-After: 5\r\nConnection: close\r\n"));
}
