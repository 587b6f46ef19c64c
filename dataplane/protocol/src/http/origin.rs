//! Which web pages may connect (RFC 6455 section 10.2, RFC 6454).

use super::host::{Authority, default_port};
use super::{Refusal, Request};

/// The pages that may open a WebSocket.
///
/// A request without `Origin` is let in by every policy: browsers always send it, so there is no
/// page behind such a request to protect from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Pages of the host and port that the request itself names in `Host`.
    #[default]
    SameOrigin,
    /// Every page.
    Any,
    /// Pages of these origins: `https://chat.example`, `http://localhost:3000`. An entry that is
    /// not an `http` or `https` origin is compared with the field letter by letter.
    List(Vec<String>),
}

impl OriginPolicy {
    /// Checks the `Origin` of `request`.
    ///
    /// # Errors
    /// 403 when the policy does not name the origin, or when there is more than one.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        if *self == OriginPolicy::Any {
            return Ok(());
        }
        let mut origins = request.header_values("origin");
        let Some(origin) = origins.next() else { return Ok(()) };
        if origins.next().is_some() {
            return Err(Refusal::new(403, "more than one Origin header field"));
        }
        let allowed = match self {
            OriginPolicy::Any => true,
            OriginPolicy::SameOrigin => is_same_origin(origin, request.host()),
            OriginPolicy::List(list) => list.iter().any(|entry| are_equal(entry, origin)),
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal::new(403, format!("origin {origin} is not allowed to connect")))
        }
    }
}

/// Host and port alone are compared: where TLS ends in front of the server, the page says `https`
/// and the request does not. A `Host` without a port means the default one of the page's scheme.
fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    let Some((_, page, default_port)) = parse(origin) else { return false };
    let Some(host) = host.and_then(Authority::parse) else { return false };
    page.matches(&host, default_port)
}

fn are_equal(entry: &str, origin: &str) -> bool {
    match (parse(entry), parse(origin)) {
        (Some((ours, our_host, port)), Some((theirs, their_host, _))) => {
            ours.eq_ignore_ascii_case(theirs) && our_host.matches(&their_host, port)
        }
        _ => entry == origin,
    }
}

/// Scheme, host and default port of an `http` or `https` origin; `None` for `null` and the rest.
fn parse(origin: &str) -> Option<(&str, Authority<'_>, u16)> {
    let (scheme, authority) = origin.split_once("://")?;
    Some((scheme, Authority::parse(authority)?, default_port(scheme)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_the_server_share_host_and_port() {
        assert!(is_same_origin("http://chat.example", Some("chat.example")));
        assert!(is_same_origin("http://chat.example", Some("chat.example:80")));
        assert!(is_same_origin("https://CHAT.example", Some("chat.example")));
        assert!(is_same_origin("http://[::1]:8080", Some("[::1]:8080")));
    }

    #[test]
    fn another_host_port_or_no_origin_at_all_is_another_origin() {
        assert!(!is_same_origin("http://evil.example", Some("chat.example")));
        assert!(!is_same_origin("http://chat.example:81", Some("chat.example")));
        assert!(!is_same_origin("https://chat.example", Some("chat.example:80")));
        assert!(!is_same_origin("null", Some("null")));
        assert!(!is_same_origin("http://chat.example/", Some("chat.example")));
        assert!(!is_same_origin("http://chat.example@evil.example", Some("chat.example")));
        assert!(!is_same_origin("http://chat.example http://a", Some("chat.example")));
        assert!(!is_same_origin("http://chat.example", None));
    }

    #[test]
    fn a_listed_origin_matches_with_scheme_and_effective_port() {
        assert!(are_equal("https://chat.example:443", "https://chat.example"));
        assert!(!are_equal("https://chat.example", "http://chat.example"));
        assert!(!are_equal("https://chat.example", "https://chat.example.net"));
        assert!(are_equal("app://one", "app://one"));
    }
}
