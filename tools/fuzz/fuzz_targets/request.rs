//! Bytes of a connection, whole and split: nothing panics, both are read alike, and what comes out
//! keeps its promises.
#![no_main]

use hioload_protocol::http::{
    OriginPolicy, Refusal, Request, RequestLimits, RequestReader, UpgradePolicy, negotiate,
};
use libfuzzer_sys::fuzz_target;

/// Small, so that short inputs reach them.
const LIMITS: RequestLimits = RequestLimits { head_bytes_max: 1024, headers_max: 16 };

fuzz_target!(|bytes: &[u8]| {
    let whole = read_all(bytes, bytes.len());
    assert_eq!(read_all(bytes, 1), whole);
    // A length that the fuzzer can steer without giving up that any file of requests is an input.
    let chunk_len = bytes.last().map_or(1, |&byte| usize::from(byte) % 61 + 2);
    assert_eq!(read_all(bytes, chunk_len), whole);
});

/// What comes out of `bytes` in chunks of `chunk_len`, told as text.
fn read_all(bytes: &[u8], chunk_len: usize) -> Vec<String> {
    let mut reader = RequestReader::new();
    let mut seen = Vec::new();
    for chunk in bytes.chunks(chunk_len.max(1)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match reader.read(rest, &LIMITS) {
                Ok((consumed, request)) => {
                    assert!(consumed > 0 && (request.is_some() || consumed == rest.len()));
                    rest = &rest[consumed..];
                    seen.extend(request.map(|request| tell(&request)));
                }
                Err(refusal) => {
                    assert!(refusal.must_close());
                    seen.push(tell_refusal(&refusal));
                }
            }
        }
    }
    seen
}

fn tell(request: &Request) -> String {
    let text = request.headers().map(|(name, value)| format!("{name}={value};"));
    let text: String = text.collect();
    assert!(!text.contains(['\r', '\n', '\0']), "a line break within a header field");
    assert!(request.path().starts_with('/') || request.path() == "*");
    assert!(request.host().is_some() || request.is_http_1_0());
    assert!(request.header_values("host").count() <= 1, "a second host");
    let lengths: Vec<_> = request.header_values("content-length").collect();
    assert!(lengths.len() <= 1 && lengths.iter().all(|length| length.trim_matches('0').is_empty()));
    assert_eq!(request.header("transfer-encoding"), None, "a body that would be read as a request");
    let policy =
        UpgradePolicy { origins: OriginPolicy::SameOrigin, subprotocols: vec!["chat".into()] };
    let upgrade = match negotiate(request, &policy) {
        Ok(upgrade) => format!("{:?}", upgrade.subprotocol()),
        Err(refusal) => tell_refusal(&refusal),
    };
    let (method, path, query) = (request.method_name(), request.path(), request.query());
    format!("{method} {path} {query:?} {} {text} {upgrade}", request.keep_alive())
}

fn tell_refusal(refusal: &Refusal) -> String {
    assert!(!refusal.detail().is_empty() && !refusal.detail().contains(char::is_control));
    format!("{} {}", refusal.status(), refusal.detail())
}
