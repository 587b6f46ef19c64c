//! Who may ask: the rules that every request to the admin interface passes first.
//!
//! A web page that a user of this host looks at can send requests to 127.0.0.1. Its browser says
//! so in `Origin` or `Sec-Fetch-Site`; a page that has its own name resolve to 127.0.0.1 (DNS
//! rebinding) names itself in `Host`. None of these comes any further.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hioload_config::Secret;

use super::routes::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How much of a refused `Host` is shown.
const HOST_BYTES_SHOWN_MAX: usize = 100;

/// What a request is checked against.
#[derive(Debug)]
pub(super) struct Protection {
    /// Where the server listens; `None` for a Unix socket, to which a name means nothing.
    address: Option<SocketAddr>,
    token: Option<Secret>,
}

/// Answers a request that breaks a rule, and passes on the others.
pub(super) async fn protect(
    State(protection): State<Arc<Protection>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = protection.check(request.method(), request.uri(), request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Protection {
    /// Rules for a server that listens on the TCP `address`, or on a Unix socket.
    pub(super) fn new(address: Option<SocketAddr>, token: Option<Secret>) -> Self {
        Self { address, token }
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = self.check_host(uri, headers)?;
        self.check_origin(host, headers)?;
        self.check_token(method, headers)
    }

    /// The host that the request names, which is this one.
    fn check_host<'a>(&self, uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
        let host = single(headers, &header::HOST)?;
        // RFC 9112 section 3.2.2: a target in absolute form counts, not the Host beside it.
        let target = uri.authority().map(axum::http::uri::Authority::as_str);
        let Some(host) = target.or(host) else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request has no Host header"));
        };
        match self.address {
            Some(address) if !names(host, address) => {
                // A proxy on the way may have written it, so the client is told.
                let host = host.get(..HOST_BYTES_SHOWN_MAX).unwrap_or(host);
                let reason = format!(
                    "the host {host:?} is refused: this interface answers to {}, and to no name, \
                     since any web page may have one that leads here (control.admin is where it \
                     listens)",
                    names_of(address)
                );
                Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, reason))
            }
            _ => Ok(host),
        }
    }

    fn check_origin(&self, host: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(origin) = single(headers, &header::ORIGIN)? {
            let page = origin.strip_prefix("http://");
            let own = page.is_some_and(|page| match self.address {
                Some(address) => names(page, address),
                None => page.eq_ignore_ascii_case(host),
            });
            if !own {
                let reason = "requests of other web pages are refused (Origin)";
                return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
            }
        }
        // Browsers that send this send it with every request, those without Origin included.
        match single(headers, &SEC_FETCH_SITE)? {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => {
                let reason = "requests of other web pages are refused (Sec-Fetch-Site)";
                Err(Refusal::new(StatusCode::FORBIDDEN, reason))
            }
        }
    }

    /// Whoever wants more than to look shows the token, where there is one (RFC 6750 section 2.1).
    fn check_token(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        let shown = single(headers, &header::AUTHORIZATION)?.and_then(|field| {
            let (scheme, shown) = field.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(shown.trim_start_matches(' '))
        });
        let reason = match shown {
            Some(shown) if token.matches(shown.as_bytes()) => return Ok(()),
            Some(_) => "the token is not that of control.admin_token",
            None => "this needs the header Authorization: Bearer TOKEN, see control.admin_token",
        };
        Err(Refusal::new(StatusCode::UNAUTHORIZED, reason)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
    }
}

/// The value of a header that may be there once. Two of it might be read differently by another
/// program on the way here.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value)),
        _ => {
            let reason = format!("the header {name} must be there once, in ASCII");
            Err(Refusal::new(StatusCode::BAD_REQUEST, reason))
        }
    }
}

/// Whether `authority` (host and perhaps port, as in `Host`) is the server at `address`.
///
/// A server on all addresses is named by any of them: a page that plays tricks with DNS has a name,
/// not an address, to show.
fn names(authority: &str, address: SocketAddr) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        // The colon is one within an IPv6 address.
        Some((_, port)) if port.ends_with(']') => (authority, Some(80)),
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, port.parse().ok())
        }
        Some(_) => return false,
        None => (authority, Some(80)),
    };
    let everywhere = address.ip().is_unspecified();
    let named = match ip(host) {
        Some(ip) => ip == address.ip() || everywhere,
        None => {
            host.eq_ignore_ascii_case("localhost") && (address.ip().is_loopback() || everywhere)
        }
    };
    named && port == Some(address.port())
}

/// What [`names`] takes for the server at `address`, in words.
fn names_of(address: SocketAddr) -> String {
    let port = address.port();
    if address.ip().is_unspecified() {
        format!("the addresses of this host and to localhost, with port {port}")
    } else if address.ip().is_loopback() {
        format!("{address} and to localhost:{port}")
    } else {
        address.to_string()
    }
}

/// An address as a URL writes it: IPv6 in brackets (RFC 3986 section 3.2.2).
fn ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => Some(IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?)),
        None => Some(IpAddr::V4(host.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_names(address: &str, named: &[&str], not_named: &[&str]) {
        let address = address.parse().unwrap();
        for host in named {
            assert!(names(host, address), "{host} names {address}");
        }
        for host in not_named {
            assert!(!names(host, address), "{host} does not name {address}");
        }
    }

    #[test]
    fn a_loopback_server_is_named_by_its_address_or_as_localhost() {
        assert_names(
            "127.0.0.1:9090",
            &["127.0.0.1:9090", "localhost:9090", "LOCALHOST:9090"],
            &[
                "127.0.0.1",
                "127.0.0.1:",
                "127.0.0.1:9091",
                "127.0.0.1:+9090",
                "127.0.0.1:99090",
                "127.0.0.2:9090",
                "[::1]:9090",
                "localhost.evil.example:9090",
                "evil.example:9090",
                "user@127.0.0.1:9090",
                "",
                ":9090",
            ],
        );
        assert_names("[::1]:9090", &["[::1]:9090", "[0::1]:9090"], &["::1:9090", "[::1", "[::1]"]);
    }

    #[test]
    fn port_80_may_be_left_out() {
        assert_names("127.0.0.1:80", &["127.0.0.1", "localhost", "127.0.0.1:80"], &["127.0.0.2"]);
        assert_names("[::1]:80", &["[::1]"], &["[::2]"]);
    }

    #[test]
    fn a_server_on_every_address_is_named_by_any_address_and_by_no_name() {
        let named = ["10.1.2.3:9090", "[fe80::1]:9090", "localhost:9090"];
        assert_names("0.0.0.0:9090", &named, &["evil.example:9090", "10.1.2.3:9091"]);
        assert_names("10.1.2.3:9090", &["10.1.2.3:9090"], &["localhost:9090"]);
    }
}
