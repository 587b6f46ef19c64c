//! Texts with a grammar of their own.

use toml::de::DeValue;

use super::{Kind, Refusal, collect, quoted, repeated, shown, strings, toml_array, toml_string};
use crate::secret::HIDDEN;
use crate::{Origins, Secret};

const PATH_BYTES_MAX: usize = 255;
const ORIGINS_MAX: usize = 256;
const ORIGIN_BYTES_MAX: usize = 255;
const SUBPROTOCOLS_MAX: usize = 64;
const SUBPROTOCOL_BYTES_MAX: usize = 128;
const TOKEN_BYTES_MAX: usize = 256;

/// An absolute path as it stands in a request line (RFC 3986, section 3.3).
pub(crate) struct UrlPath;

impl Kind<String> for UrlPath {
    fn read(&self, value: &DeValue<'_>) -> Result<String, Vec<Refusal>> {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| vec![Refusal::new("a path such as \"/ws\"", shown(value))])
    }

    fn check(&self, path: &String) -> Vec<Refusal> {
        let expected = if !path.starts_with('/') {
            "a path that begins with \"/\"".to_owned()
        } else if path.len() > PATH_BYTES_MAX {
            format!("a path of at most {PATH_BYTES_MAX} bytes")
        } else if path.split('/').any(is_dot_segment) {
            // Clients resolve these away (RFC 3986, section 5.2.4): such a path is never asked for.
            "a path without \".\" and \"..\" segments".to_owned()
        } else if !is_path(path) {
            "a path of letters, digits, %XX and /-._~!$&'()*+,;=:@".to_owned()
        } else {
            return Vec::new();
        };
        vec![Refusal::new(expected, quoted(path))]
    }

    fn print(&self, path: &String) -> String {
        toml_string(path)
    }
}

/// Which web pages may connect.
pub(crate) struct OriginList;

impl Kind<Origins> for OriginList {
    fn read(&self, value: &DeValue<'_>) -> Result<Origins, Vec<Refusal>> {
        const EXPECTED: &str =
            "\"same-origin\", \"any\" or a list of origins such as [\"https://chat.example\"]";
        match value {
            DeValue::String(text) if text == "same-origin" => Ok(Origins::SameOrigin),
            DeValue::String(text) if text == "any" => Ok(Origins::Any),
            DeValue::Array(array) => {
                let texts = strings(array, "an origin such as \"https://chat.example\"")?;
                Ok(Origins::List(texts.into_iter().map(str::to_owned).collect()))
            }
            _ => Err(vec![Refusal::new(EXPECTED, shown(value))]),
        }
    }

    fn check(&self, origins: &Origins) -> Vec<Refusal> {
        let Origins::List(origins) = origins else {
            return Vec::new();
        };
        if origins.is_empty() || origins.len() > ORIGINS_MAX {
            let expected = format!("1 to {ORIGINS_MAX} origins");
            return vec![Refusal::new(expected, origins.len().to_string())];
        }
        let malformed = origins.iter().enumerate().filter_map(|(index, origin)| {
            let expected = origin_fault(origin)?;
            Some(Refusal::new(expected, quoted(origin)).of_element(index))
        });
        malformed.chain(repeated(origins)).collect()
    }

    fn print(&self, origins: &Origins) -> String {
        match origins {
            Origins::SameOrigin => toml_string("same-origin"),
            Origins::Any => toml_string("any"),
            Origins::List(origins) => toml_array(origins),
        }
    }
}

/// The subprotocols the server speaks, each a token (RFC 6455, section 4.2.2; RFC 9110, section
/// 5.6.2).
pub(crate) struct Subprotocols;

impl Kind<Vec<String>> for Subprotocols {
    fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, Vec<Refusal>> {
        let expected = "a list of subprotocols such as [\"chat.v1\"]";
        let array = value.as_array().ok_or_else(|| vec![Refusal::new(expected, shown(value))])?;
        let texts = strings(array, "a subprotocol such as \"chat.v1\"")?;
        Ok(texts.into_iter().map(str::to_owned).collect())
    }

    fn check(&self, subprotocols: &Vec<String>) -> Vec<Refusal> {
        if subprotocols.len() > SUBPROTOCOLS_MAX {
            let expected = format!("at most {SUBPROTOCOLS_MAX} subprotocols");
            return vec![Refusal::new(expected, subprotocols.len().to_string())];
        }
        let expected = format!(
            "a token of 1 to {SUBPROTOCOL_BYTES_MAX} letters, digits and !#$%&'*+-.^_`|~ \
             (RFC 9110, section 5.6.2)"
        );
        let malformed = subprotocols.iter().enumerate().map(|(index, text)| {
            let accepted = (1..=SUBPROTOCOL_BYTES_MAX).contains(&text.len())
                && text.bytes().all(is_token_byte);
            let refusal = || Refusal::new(expected.as_str(), quoted(text)).of_element(index);
            if accepted { Ok(()) } else { Err(refusal()) }
        });
        let malformed = collect(malformed).err().unwrap_or_default();
        malformed.into_iter().chain(repeated(subprotocols)).collect()
    }

    fn print(&self, subprotocols: &Vec<String>) -> String {
        toml_array(subprotocols)
    }
}

/// The admin token, or `"off"`. Its value is in no message.
pub(crate) struct Token;

impl Kind<Option<Secret>> for Token {
    fn read(&self, value: &DeValue<'_>) -> Result<Option<Secret>, Vec<Refusal>> {
        match value {
            DeValue::String(text) if text == "off" => Ok(None),
            DeValue::String(text) => Ok(Some(Secret::new(text.as_ref()))),
            other => {
                let got = format!("{} (not shown)", type_of(other));
                Err(vec![Refusal::new("a token in quotes or \"off\"", got)])
            }
        }
    }

    fn check(&self, token: &Option<Secret>) -> Vec<Refusal> {
        let Some(token) = token.as_ref().map(Secret::expose) else {
            return Vec::new();
        };
        if token == HIDDEN {
            // Else a printed configuration, used as it is, would open the door to who knows this.
            let got = format!("\"{HIDDEN}\", which stands for a token that was hidden in print");
            return vec![Refusal::new("the token itself", got)];
        }
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=TOKEN_BYTES_MAX).contains(&token.len()) {
            return Vec::new();
        }
        let expected = format!("1 to {TOKEN_BYTES_MAX} visible ASCII characters");
        let got = if token.is_empty() { "none" } else { "something else (not shown)" };
        vec![Refusal::new(expected, got)]
    }

    fn print(&self, token: &Option<Secret>) -> String {
        toml_string(if token.is_some() { HIDDEN } else { "off" })
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// In a URL, `%2e` is a dot as well (RFC 3986, section 6.2.2.2; WHATWG URL, "double-dot path
/// segment").
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

fn is_path(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let accepted = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
                hex() && hex()
            }
            byte => byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !accepted {
            return false;
        }
    }
    true
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What should stand in the place of `origin`, unless a browser sends exactly this in its `Origin`
/// field (RFC 6454, section 6.2): scheme and host in lower case, a port only where it is not the
/// scheme's own, nothing behind it.
fn origin_fault(origin: &str) -> Option<String> {
    let general = || Some("an origin such as \"https://chat.example\"".to_owned());
    let Some((scheme, authority)) = origin.split_once("://") else {
        return general();
    };
    if origin.len() > ORIGIN_BYTES_MAX || !is_scheme(scheme) {
        return general();
    }
    if let Some((authority, _)) = authority.split_once(['/', '?', '#']) {
        return Some(format!("an origin without a path, {}", quoted(&join(scheme, authority))));
    }
    if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(format!("an origin in lower case, {}", quoted(&origin.to_ascii_lowercase())));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if !is_host(host) || !port.is_none_or(is_port) {
        return general();
    }
    match (scheme, port) {
        ("http" | "ws", Some("80")) | ("https" | "wss", Some("443")) => Some(format!(
            "an origin without the port that {scheme} implies, {}",
            quoted(&join(scheme, host))
        )),
        _ => None,
    }
}

fn join(scheme: &str, authority: &str) -> String {
    format!("{scheme}://{authority}")
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

fn is_host(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(address) = address {
        // A browser sends the shortest form (RFC 5952).
        return address.parse().is_ok_and(|ip: std::net::Ipv6Addr| ip.to_string() == address);
    }
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
        })
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0 && port.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_as_a_browser_sends_it() {
        for origin in [
            "https://chat.example",
            "http://localhost:3000",
            "https://xn--bcher-kva.example:8443",
            "http://[::1]:8080",
            "http://127.0.0.1",
            "https://chat.example:80",
            "chrome-extension://abcdefghijklmnop",
        ] {
            assert_eq!(origin_fault(origin), None, "{origin}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_what_it_does_send() {
        let table = [
            ("https://chat.example/", "an origin without a path, \"https://chat.example\""),
            ("https://a.example?b", "an origin without a path, \"https://a.example\""),
            ("https://Chat.example", "an origin in lower case, \"https://chat.example\""),
            (
                "https://a.example:443",
                "an origin without the port that https implies, \"https://a.example\"",
            ),
            ("http://[::1]:80", "an origin without the port that http implies, \"http://[::1]\""),
        ];
        for (origin, expected) in table {
            assert_eq!(origin_fault(origin).as_deref(), Some(expected), "{origin}");
        }
        for origin in [
            "",
            "null",
            "*",
            "chat.example",
            "https://",
            "https://*.example",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:080",
            "https://a.example:65536",
            "https://user@a.example",
            "https://b\u{fc}cher.example",
            "HTTPS://a.example",
            "https://a.example b",
            "://a",
            "https://[0::1]",
            "https://[::1",
            "https://:80",
        ] {
            let expected = "an origin such as \"https://chat.example\"";
            assert_eq!(origin_fault(origin).as_deref(), Some(expected), "{origin}");
        }
    }

    #[test]
    fn a_path_is_taken_as_it_stands_in_a_request_line() {
        for path in ["/", "/ws", "/a/b-c_d.e~f", "/%C3%A9", "/a//b", "/@:!$&'()*+,;=", "/..."] {
            assert_eq!(UrlPath.check(&path.to_owned()), [], "{path:?}");
        }
        let long = format!("/{}", "a".repeat(255));
        for path in ["", "ws", "/a b", "/a?b", "/a#b", "/%", "/%2", "/%zz", "/\u{e9}", "/.", &long]
        {
            assert_eq!(UrlPath.check(&path.to_owned()).len(), 1, "{path:?}");
        }
        for path in ["/a/..", "/%2e/a", "/.%2E", "/a/%2E%2e/b"] {
            assert_eq!(UrlPath.check(&path.to_owned()).len(), 1, "{path:?}");
        }
    }
}
