//! What every request must keep, whatever it asks for: one host, no body, no expectation.

use super::header::list_items;
use super::host::Authority;
use super::line::Target;
use super::{Refusal, Request};

/// Checks a request whose syntax is right.
pub(super) fn check(request: &Request, target: &Target) -> Result<(), Refusal> {
    check_host(request, target)?;
    check_body(request)
}

/// RFC 9112 section 3.2: exactly one valid `Host` in HTTP/1.1, at most one in HTTP/1.0.
fn check_host(request: &Request, target: &Target) -> Result<(), Refusal> {
    let mut hosts = request.header_values("host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(Refusal::malformed("more than one Host header field")),
        (Some(host), None) => Some(
            Authority::parse(host)
                .ok_or_else(|| Refusal::malformed("Host is not a host and perhaps a port"))?,
        ),
        (None, _) if request.is_http_1_0() => None,
        (None, _) => return Err(Refusal::malformed("no Host header field")),
    };
    let Some((range, default_port)) = &target.authority else { return Ok(()) };
    let authority = Authority::parse(request.text(range.clone()))
        .ok_or_else(|| Refusal::malformed("request target names no host"))?;
    // Section 3.2.2 has the target win over `Host`. Clients must send both alike, so that a
    // difference is an attempt to be read in two ways.
    match host {
        Some(host) if !host.matches(&authority, *default_port) => {
            Err(Refusal::malformed("request target and Host name different hosts"))
        }
        _ => Ok(()),
    }
}

/// RFC 9112 section 6: where the request ends. There is no body to take here, so every request that
/// announces one closes the connection.
fn check_body(request: &Request) -> Result<(), Refusal> {
    let mut lengths = request.header_values("content-length");
    let length = lengths.next();
    if request.header_values("transfer-encoding").next().is_some() {
        return Err(match length {
            Some(_) => Refusal::malformed("Content-Length beside Transfer-Encoding"),
            None => Refusal::new(501, "Transfer-Encoding is not taken in a request").closing(),
        });
    }
    if lengths.next().is_some() {
        return Err(Refusal::malformed("more than one Content-Length header field"));
    }
    if length.is_some_and(|length| !is_number(length)) {
        return Err(Refusal::malformed("Content-Length is not a number"));
    }
    // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is to be ignored.
    if !request.is_http_1_0() && request.header_values("expect").flat_map(list_items).count() > 0 {
        return Err(Refusal::new(417, "no expectation can be met, a body is not taken").closing());
    }
    if length.is_some_and(|length| length.bytes().any(|digit| digit != b'0')) {
        return Err(Refusal::new(413, "a request with a body is not taken").closing());
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
