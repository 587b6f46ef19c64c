//! The PROXY protocol: what a proxy says ahead of a connection about whom it is for.
//!
//! Versions 1 and 2 of HAProxy's `proxy-protocol.txt`. Bytes go in through [`ProxyReader::read`] in
//! any splits, and no byte behind the header is taken. Only the address of the client comes out;
//! what else a header tells is skipped.
//!
//! ```
//! use hioload_protocol::proxy::ProxyReader;
//!
//! let mut reader = ProxyReader::new();
//! let input = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
//! let (consumed, header) = reader.read(input, 1024)?;
//! let client = header.and_then(|header| header.client());
//! assert_eq!(client, Some(([192, 0, 2, 7], 56324).into()));
//! assert_eq!(&input[consumed..], b"GET / HTTP/1.1\r\n");
//! # Ok::<(), hioload_protocol::http::Refusal>(())
//! ```

use std::mem;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader as Parsed};

use crate::http::Refusal;

/// How a header of version 1 begins (section 2.1).
const SIGNATURE_V1: &[u8] = b"PROXY ";
/// The longest header of version 1 (section 2.1).
const BYTES_MAX_V1: usize = 107;

/// How a header of version 2 begins (section 2.2).
const SIGNATURE_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length of the rest.
const FIXED_BYTES_V2: usize = 16;
/// Version 2, command `LOCAL`.
const LOCAL_V2: u8 = 0x20;

/// Whom a connection is for, according to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    client: Option<SocketAddr>,
}

impl ProxyHeader {
    /// The client; `None` when the proxy speaks for itself (`LOCAL`), or for a client that has no
    /// IP address or none that the proxy knows (`UNKNOWN`): it is then as if there were no header.
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }
}

/// Finds the header at the beginning of one connection. What is wrong with one is found at the same
/// byte however the bytes are split.
#[derive(Debug, Default)]
pub struct ProxyReader {
    /// The header so far.
    head: Vec<u8>,
}

impl ProxyReader {
    /// A reader at the beginning of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no byte was read.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// Takes bytes from `input` and says how many, and the header that they completed, if they did.
    /// Bytes after the header are left; without a header, all of `input` was taken. No more than
    /// `bytes_max` are kept, 16 at least.
    ///
    /// # Errors
    /// The answer to a connection that does not begin with a header, or with a malformed one, or
    /// with one of more than `bytes_max` bytes. The connection is to be closed after it.
    pub fn read(
        &mut self,
        input: &[u8],
        bytes_max: usize,
    ) -> Result<(usize, Option<ProxyHeader>), Refusal> {
        let mut rest = input;
        loop {
            let missing = self.missing(bytes_max)?;
            if missing == 0 {
                let header = parse(&mem::take(&mut self.head))?;
                return Ok((input.len() - rest.len(), Some(header)));
            }
            if rest.is_empty() {
                return Ok((input.len(), None));
            }
            let (taken, left) = rest.split_at(missing.min(rest.len()));
            self.head.extend_from_slice(taken);
            rest = left;
        }
    }

    /// How many more bytes belong to the header for sure; zero when it is complete.
    fn missing(&self, bytes_max: usize) -> Result<usize, Refusal> {
        let head = self.head.as_slice();
        if head.starts_with(SIGNATURE_V1) {
            return match head {
                [.., b'\r', b'\n'] => Ok(0),
                // The one that ends the line is not part of a longer one.
                [.., b'\r', _] => Err(malformed()),
                [.., last] if *last != b'\r' && !(b' '..=b'~').contains(last) => Err(malformed()),
                _ if head.len() >= BYTES_MAX_V1.min(bytes_max) => {
                    Err(too_long(BYTES_MAX_V1.min(bytes_max)))
                }
                _ => Ok(1),
            };
        }
        if head.starts_with(SIGNATURE_V2) {
            let Some(&[high, low]) = head.get(FIXED_BYTES_V2 - 2..FIXED_BYTES_V2) else {
                return Ok(FIXED_BYTES_V2 - head.len());
            };
            let whole = FIXED_BYTES_V2 + usize::from(u16::from_be_bytes([high, low]));
            if whole > bytes_max {
                return Err(too_long(bytes_max));
            }
            return Ok(whole - head.len());
        }
        if SIGNATURE_V1.starts_with(head) || SIGNATURE_V2.starts_with(head) {
            return Ok(1);
        }
        Err(refusal("no PROXY header, which a trusted proxy sends ahead of everything else"))
    }
}

/// Reads a complete header.
fn parse(head: &[u8]) -> Result<ProxyHeader, Refusal> {
    // Section 2.2: whatever else is in a header with this command counts for nothing.
    if head.starts_with(SIGNATURE_V2) && head.get(SIGNATURE_V2.len()) == Some(&LOCAL_V2) {
        return Ok(ProxyHeader { client: None });
    }
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (parsed, _) = Parsed::parse(head, config)
        .ok()
        .filter(|(_, length)| *length == head.len())
        .ok_or_else(malformed)?;
    match parsed.proxied_address() {
        Some(address) if address.protocol != Protocol::Stream => {
            Err(refusal("PROXY header for datagrams"))
        }
        Some(address) => {
            let (ip, port) = (address.source.ip().to_canonical(), address.source.port());
            Ok(ProxyHeader { client: Some((ip, port).into()) })
        }
        None => Ok(ProxyHeader { client: None }),
    }
}

fn malformed() -> Refusal {
    refusal("malformed PROXY header")
}

fn too_long(bytes_max: usize) -> Refusal {
    Refusal::new(400, format!("PROXY header of more than {bytes_max} bytes")).closing()
}

fn refusal(why: &'static str) -> Refusal {
    Refusal::new(400, why).closing()
}
