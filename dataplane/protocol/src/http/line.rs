//! The request line: method, target, version (RFC 9112 section 3).

use std::ops::Range;

use super::Refusal;
use super::header::is_token;
use super::host::default_port;

/// A request line that keeps the rules, as ranges of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: Range<usize>,
    pub(super) target: Target,
    /// The digit after `HTTP/1.`
    pub(super) version_minor: u8,
}

/// The request target (RFC 9112 section 3.2), as ranges of the request line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) whole: Range<usize>,
    /// Host and port of a target in absolute form, and the default port of its scheme.
    pub(super) authority: Option<(Range<usize>, u16)>,
    /// What comes before the question mark; may be empty in absolute form.
    pub(super) path: Range<usize>,
    pub(super) query: Option<Range<usize>>,
}

impl RequestLine {
    /// Reads a request line without its line break.
    ///
    /// Exactly one space between the parts: RFC 9112 section 3 allows to be lenient, and warns that
    /// leniency lets two parties read two requests into the same bytes.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let Ok(line) = str::from_utf8(line) else {
            return Err(Refusal::malformed("request line holds a character outside ASCII"));
        };
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(not_three_parts(line));
        };
        if !is_token(method) {
            return Err(Refusal::malformed("method is not a token"));
        }
        let version_minor = parse_version(version)?;
        let start = method.len() + 1;
        let target = Target::parse(line, start..start + target.len(), method)?;
        Ok(Self { method: 0..method.len(), target, version_minor })
    }
}

/// What is no request line may be the PROXY protocol, version 1.
fn not_three_parts(line: &str) -> Refusal {
    match line.split_once(' ') {
        Some(("PROXY", rest)) if rest == "UNKNOWN" || rest.starts_with("TCP") => {
            Refusal::proxy_header()
        }
        _ => Refusal::malformed("request line is not a method, a target and a version"),
    }
}

impl Target {
    fn parse(line: &str, whole: Range<usize>, method: &str) -> Result<Self, Refusal> {
        let text = &line[whole.clone()];
        if text.contains('#') {
            return Err(Refusal::malformed("request target has a fragment"));
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::malformed("request target holds a character that is not allowed"));
        }
        let authority = match text.split_once("://") {
            Some((scheme, rest)) if !text.starts_with('/') => {
                let port = default_port(scheme)
                    .ok_or_else(|| Refusal::malformed("request target is not an http address"))?;
                let start = whole.start + scheme.len() + "://".len();
                let len = rest.find(['/', '?']).unwrap_or(rest.len());
                Some((start..start + len, port))
            }
            // The asterisk belongs to OPTIONS (RFC 9112 section 3.2.4).
            _ if text.starts_with('/') || (text == "*" && method == "OPTIONS") => None,
            _ => return Err(Refusal::malformed("request target does not begin with a slash")),
        };
        let start = authority.as_ref().map_or(whole.start, |(authority, _)| authority.end);
        let rest = start..whole.end;
        let (path, query) = match line[rest.clone()].find('?') {
            Some(at) => (start..start + at, Some(start + at + 1..whole.end)),
            None => (rest, None),
        };
        Ok(Self { whole, authority, path, query })
    }
}

/// The minor version of `HTTP/1.x`. A minor version above 1 is served as 1.1 (RFC 9110 section 2.5).
fn parse_version(version: &str) -> Result<u8, Refusal> {
    let digits = version.strip_prefix("HTTP/").map(str::as_bytes);
    match digits {
        Some([b'1', b'.', minor @ b'0'..=b'9']) => Ok((minor - b'0').min(1)),
        Some([b'0'..=b'9', b'.', b'0'..=b'9'] | [b'0'..=b'9']) => {
            Err(Refusal::new(505, format!("{version} is not spoken here, HTTP/1.1 is")).closing())
        }
        _ => Err(Refusal::malformed("protocol version is not HTTP/1.1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_and_query(line: &str) -> (String, Option<String>) {
        let target = RequestLine::parse(line.as_bytes()).unwrap().target;
        (line[target.path].to_owned(), target.query.map(|query| line[query].to_owned()))
    }

    #[test]
    fn a_target_is_a_path_and_perhaps_a_query() {
        assert_eq!(path_and_query("GET /a%20b HTTP/1.1"), ("/a%20b".into(), None));
        assert_eq!(path_and_query("GET /?a=b?c HTTP/1.1"), ("/".into(), Some("a=b?c".into())));
        assert_eq!(path_and_query("GET /a://b HTTP/1.1"), ("/a://b".into(), None));
        assert_eq!(path_and_query("OPTIONS * HTTP/1.1"), ("*".into(), None));
    }

    #[test]
    fn an_absolute_target_names_its_host() {
        let line = "GET http://chat.example:8080/a?b HTTP/1.1";
        let target = RequestLine::parse(line.as_bytes()).unwrap().target;
        let (authority, port) = target.authority.unwrap();
        assert_eq!((&line[authority], port), ("chat.example:8080", 80));
        assert_eq!(path_and_query(line), ("/a".into(), Some("b".into())));
        assert_eq!(path_and_query("GET https://a?b HTTP/1.1"), (String::new(), Some("b".into())));
    }

    #[test]
    fn a_version_above_1_1_is_served_as_1_1_and_one_above_1_is_not() {
        let minor = |line: &str| RequestLine::parse(line.as_bytes()).map(|line| line.version_minor);
        assert_eq!(minor("GET / HTTP/1.0"), Ok(0));
        assert_eq!(minor("GET / HTTP/1.1"), Ok(1));
        assert_eq!(minor("GET / HTTP/1.9"), Ok(1));
        for (line, status) in [
            ("PRI * HTTP/2.0", 505),
            ("GET / HTTP/0.9", 505),
            ("GET / HTTP/3", 505),
            ("GET / HTTP/1", 505),
            ("GET / http/1.1", 400),
            ("GET / HTTP/1.10", 400),
            ("GET / HTTPS/1.1", 400),
        ] {
            assert_eq!(minor(line).unwrap_err().status(), status, "{line}");
        }
    }
}
