//! The opening handshake, seen from the server (RFC 6455 section 4.2).

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest as _, Sha1};

use super::header::is_token;
use super::{Method, OriginPolicy, Refusal, Request};

/// Bytes of the client's nonce (RFC 6455 section 4.1).
const NONCE_BYTES: usize = 16;

/// Appended to the key before hashing (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The bits that pad the last character may be anything: the example key of RFC 6455 section 4.1
/// has some set.
const NONCE_BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Which upgrades are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpgradePolicy {
    /// The pages that may connect.
    pub origins: OriginPolicy,
    /// Subprotocols that the server speaks, the one it likes best first; their letters' case counts.
    pub subprotocols: Vec<String>,
}

/// An upgrade that can be accepted by [`response::switching_protocols`].
///
/// [`response::switching_protocols`]: super::response::switching_protocols
#[derive(Clone, Debug)]
pub struct Upgrade {
    accept: [u8; 28],
    subprotocol: Option<String>,
}

impl Upgrade {
    /// The value of `Sec-WebSocket-Accept`.
    pub fn accept(&self) -> &[u8; 28] {
        &self.accept
    }

    /// The subprotocol that the connection will use.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }
}

/// Decides on a request to a path that speaks WebSocket.
///
/// The subprotocol is the first of the policy's list that the client offers. None in common is no
/// reason to refuse (RFC 6455 section 4.2.2): the answer names none, and the client decides.
///
/// # Errors
/// 405 for another method than `GET`; 426 when no upgrade to WebSocket version 13 is asked for;
/// 400 for HTTP/1.0 and for a malformed handshake; 403 for an origin that may not connect.
pub fn negotiate(request: &Request, policy: &UpgradePolicy) -> Result<Upgrade, Refusal> {
    if request.method() != Method::Get {
        return Err(Refusal::method_not_allowed("GET"));
    }
    if !request.wants_upgrade() {
        return Err(Refusal::upgrade_required("this path speaks WebSocket, ask for an upgrade"));
    }
    // RFC 9110 section 7.8: Upgrade means nothing in HTTP/1.0.
    if request.is_http_1_0() {
        return Err(Refusal::new(400, "HTTP/1.0 cannot upgrade to WebSocket"));
    }
    if !request.list_has("connection", "upgrade") {
        return Err(Refusal::new(400, "Connection does not name Upgrade"));
    }
    check_version(request)?;
    let accept = accept_of(check_key(request)?);
    policy.origins.check(request)?;
    let subprotocol = choose_subprotocol(request, &policy.subprotocols)?;
    Ok(Upgrade { accept, subprotocol })
}

/// RFC 6455 sections 4.2.1 and 4.4.
fn check_version(request: &Request) -> Result<(), Refusal> {
    let mut versions = request.header_values("sec-websocket-version");
    match (versions.next(), versions.next()) {
        (Some("13"), None) => Ok(()),
        (None, _) => Err(Refusal::upgrade_required("no Sec-WebSocket-Version header field")),
        _ => Err(Refusal::upgrade_required("the WebSocket version must be 13")),
    }
}

/// The key as it was sent; the nonce itself has no use (RFC 6455 section 4.2.1).
fn check_key(request: &Request) -> Result<&str, Refusal> {
    let mut keys = request.header_values("sec-websocket-key");
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) => key,
        (None, _) => return Err(Refusal::new(400, "no Sec-WebSocket-Key header field")),
        _ => return Err(Refusal::new(400, "more than one Sec-WebSocket-Key header field")),
    };
    let mut nonce = [0; NONCE_BYTES + 2];
    match NONCE_BASE64.decode_slice(key, &mut nonce) {
        Ok(NONCE_BYTES) => Ok(key),
        _ => Err(Refusal::new(400, "Sec-WebSocket-Key is not 16 bytes in base64")),
    }
}

/// RFC 6455 section 4.2.2: 20 bytes of SHA-1 are 28 characters of base64.
fn accept_of(key: &str) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    let written = STANDARD.encode_slice(digest, &mut accept);
    debug_assert_eq!(written, Ok(28));
    accept
}

/// RFC 6455 section 11.3.4: the client offers tokens, over any number of header fields.
fn choose_subprotocol(request: &Request, spoken: &[String]) -> Result<Option<String>, Refusal> {
    let offered = || request.header_list("sec-websocket-protocol");
    if !offered().all(is_token) {
        return Err(Refusal::new(400, "Sec-WebSocket-Protocol is not a list of tokens"));
    }
    // Offers may be many, and are gone through once.
    let rank = |offered: &str| spoken.iter().position(|name| name == offered);
    Ok(offered().filter_map(rank).min().map(|first| spoken[first].clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_key_of_the_rfc_is_answered_with_its_sample_accept() {
        assert_eq!(&accept_of("dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
