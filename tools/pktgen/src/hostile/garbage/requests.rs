//! Upgrades that are no good. Each breaks a rule after which a server must refuse it, whatever else
//! it is lenient about, and each is complete: there is nothing to wait for.

use fastrand::Rng;

use super::pick;

/// More than any server takes for a head.
const LONG_BYTES: usize = 70_000;
/// More header fields than any server takes.
const MANY_FIELDS: usize = 3_000;

/// What is wrong with a request, and the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadRequest {
    Noise,
    TlsHello,
    MethodNoToken,
    MethodPost,
    TargetWithoutSlash,
    NoVersion,
    VersionNoNumber,
    VersionTen,
    NoHost,
    TwoHosts,
    BadHost,
    FieldWithoutColon,
    SpaceBeforeColon,
    ContentLengths,
    ContentLengthNoNumber,
    TransferEncoding,
    NoKey,
    ShortKey,
    NulInKey,
    OldVersionOfWebSocket,
    LongTarget,
    LongField,
    ManyFields,
}

impl BadRequest {
    pub(super) const ALL: [Self; 23] = [
        Self::Noise,
        Self::TlsHello,
        Self::MethodNoToken,
        Self::MethodPost,
        Self::TargetWithoutSlash,
        Self::NoVersion,
        Self::VersionNoNumber,
        Self::VersionTen,
        Self::NoHost,
        Self::TwoHosts,
        Self::BadHost,
        Self::FieldWithoutColon,
        Self::SpaceBeforeColon,
        Self::ContentLengths,
        Self::ContentLengthNoNumber,
        Self::TransferEncoding,
        Self::NoKey,
        Self::ShortKey,
        Self::NulInKey,
        Self::OldVersionOfWebSocket,
        Self::LongTarget,
        Self::LongField,
        Self::ManyFields,
    ];

    /// What it is, and the section that it breaks.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Noise => "a request of random bytes",
            Self::TlsHello => "a ClientHello of TLS",
            Self::MethodNoToken => "a method that is no token (RFC 9110 section 9.1)",
            Self::MethodPost => "an upgrade by POST (RFC 6455 section 4.1)",
            Self::TargetWithoutSlash => "a target that begins with no slash (RFC 9112 section 3.2)",
            Self::NoVersion => "a request line without a version (RFC 9112 section 3)",
            Self::VersionNoNumber => "a version that is no number (RFC 9112 section 2.3)",
            Self::VersionTen => "HTTP/9.9 (RFC 9110 section 15.6.6)",
            Self::NoHost => "a request without Host (RFC 9112 section 3.2)",
            Self::TwoHosts => "a request with two Hosts (RFC 9112 section 3.2)",
            Self::BadHost => "a Host that is none (RFC 9112 section 3.2)",
            Self::FieldWithoutColon => "a header field without a colon (RFC 9112 section 5)",
            Self::SpaceBeforeColon => "a space ahead of a colon (RFC 9112 section 5.1)",
            Self::ContentLengths => "two Content-Lengths (RFC 9112 section 6.3)",
            Self::ContentLengthNoNumber => {
                "a Content-Length that is no number (RFC 9112 section 6.3)"
            }
            Self::TransferEncoding => "an unknown Transfer-Encoding (RFC 9112 section 6.1)",
            Self::NoKey => "an upgrade without a key (RFC 6455 section 4.2.1)",
            Self::ShortKey => "a key of less than 16 bytes (RFC 6455 section 4.2.1)",
            Self::NulInKey => "a NUL in a header field (RFC 9110 section 5.5)",
            Self::OldVersionOfWebSocket => {
                "a version of WebSocket before 13 (RFC 6455 section 4.4)"
            }
            Self::LongTarget => "a request line of 70,000 bytes (RFC 9110 section 15.5.15)",
            Self::LongField => "a header field of 70,000 bytes (RFC 6585 section 5)",
            Self::ManyFields => "3,000 header fields (RFC 6585 section 5)",
        }
    }

    /// Whether an answer with this status refuses it. A server may also close at once.
    pub(super) fn is_refused_by(status: u16) -> bool {
        // Not implemented, and version not supported: what RFC 9110 asks for in two cases here.
        matches!(status, 400..=499 | 501 | 505)
    }

    /// Appends such a request, which would be good but for the one thing.
    pub(super) fn write(self, random: &mut Rng, path: &str, host: &str, wire: &mut Vec<u8>) {
        match self {
            Self::Noise => {
                let len = random.usize(1..400);
                wire.extend(std::iter::repeat_with(|| random.u8(..)).take(len));
                return wire.extend_from_slice(b"\r\n\r\n");
            }
            Self::TlsHello => {
                wire.extend_from_slice(&[0x16, 3, 1, 0, 0x40, 1, 0, 0, 0x3c, 3, 3]);
                wire.extend(std::iter::repeat_with(|| random.u8(..)).take(64));
                return wire.extend_from_slice(b"\r\n\r\n");
            }
            _ => {}
        }
        let mut head = Head::new(random, path, host);
        match self {
            Self::Noise | Self::TlsHello => {}
            Self::MethodNoToken => head.method = pick(random, ["G(T", "{}", "GE\"T"]),
            Self::MethodPost => head.method = "POST",
            Self::TargetWithoutSlash => head.target = format!("x{}", head.target),
            Self::NoVersion => head.version = None,
            Self::VersionNoNumber => {
                head.version = pick(random, [Some("HTTP/x.1"), Some("HTTP/1.1.1"), Some("1.1")]);
            }
            Self::VersionTen => head.version = Some("HTTP/9.9"),
            Self::NoHost => head.remove("Host"),
            Self::TwoHosts => head.add("Host", "example.net"),
            Self::BadHost => head.set("Host", pick(random, ["a b", "a/b", "[::1", "a:b:c"])),
            Self::FieldWithoutColon => head.lines.push("X-Colon is missing".to_owned()),
            Self::SpaceBeforeColon => head.lines.push("X-Space : 1".to_owned()),
            Self::ContentLengths => {
                head.add("Content-Length", "5");
                head.add("Content-Length", "6");
            }
            Self::ContentLengthNoNumber => {
                head.add("Content-Length", pick(random, ["-1", "0x5", "five", "1 2"]));
            }
            Self::TransferEncoding => head.add("Transfer-Encoding", "gibberish"),
            Self::NoKey => head.remove("Sec-WebSocket-Key"),
            Self::ShortKey => head.set("Sec-WebSocket-Key", "c2hvcnQ="),
            Self::NulInKey => head.set("Sec-WebSocket-Key", "dGhlIHNhbXBs\0SBub25jZQ=="),
            Self::OldVersionOfWebSocket => {
                head.set("Sec-WebSocket-Version", pick(random, ["0", "8", "12"]));
            }
            Self::LongTarget => head.target.push_str(&"x".repeat(LONG_BYTES)),
            Self::LongField => head.add("X-Long", &"x".repeat(LONG_BYTES)),
            Self::ManyFields => (0..MANY_FIELDS).for_each(|_| head.add("X-Many", "1")),
        }
        head.write(wire);
    }
}

/// A request that is good, until something is changed about it.
struct Head {
    method: &'static str,
    target: String,
    version: Option<&'static str>,
    lines: Vec<String>,
}

impl Head {
    /// The order of the header fields is any, and so is the case of their names.
    fn new(random: &mut Rng, path: &str, host: &str) -> Self {
        let fields = [
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut lines: Vec<String> = fields
            .into_iter()
            .map(|(name, value)| {
                let name = if random.bool() { name.to_owned() } else { name.to_lowercase() };
                format!("{name}: {value}")
            })
            .collect();
        random.shuffle(&mut lines);
        Self { method: "GET", target: path.to_owned(), version: Some("HTTP/1.1"), lines }
    }

    fn remove(&mut self, name: &str) {
        self.lines.retain(|line| {
            let is_it = line.split(':').next().is_some_and(|it| it.eq_ignore_ascii_case(name));
            !is_it
        });
    }

    fn add(&mut self, name: &str, value: &str) {
        self.lines.push(format!("{name}: {value}"));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    fn write(&self, wire: &mut Vec<u8>) {
        let Self { method, target, version, lines } = self;
        let version = version.map_or(String::new(), |version| format!(" {version}"));
        wire.extend_from_slice(format!("{method} {target}{version}\r\n").as_bytes());
        for line in lines {
            wire.extend_from_slice(line.as_bytes());
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_requests_again() {
        for request in BadRequest::ALL {
            let written = |seed| {
                let mut wire = Vec::new();
                request.write(&mut Rng::with_seed(seed), "/ws", "a:80", &mut wire);
                wire
            };
            assert_eq!(written(7), written(7), "{request:?}");
            assert!(written(7).ends_with(b"\r\n\r\n"), "{request:?} is complete");
        }
    }

    #[test]
    fn refusals_are_told_from_success_and_failure() {
        for status in [400, 405, 414, 426, 431, 501, 505] {
            assert!(BadRequest::is_refused_by(status), "{status}");
        }
        for status in [101, 200, 302, 500, 503] {
            assert!(!BadRequest::is_refused_by(status), "{status}");
        }
    }
}
