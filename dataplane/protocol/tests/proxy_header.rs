//! PROXY headers: good and broken ones, in any splits.

use std::net::SocketAddr;

use hioload_protocol::http::Refusal;
use hioload_protocol::proxy::ProxyReader;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const BYTES_MAX: usize = 300;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What comes of bytes in pieces: the length of the header and the client, or what is refused and
/// after how many bytes at most.
#[derive(Debug, PartialEq)]
enum Outcome {
    Header { length: usize, client: Option<SocketAddr> },
    Refused { detail: String },
    Unfinished,
}

fn read(pieces: &[&[u8]]) -> Outcome {
    let mut reader = ProxyReader::new();
    let mut length = 0;
    for piece in pieces {
        match reader.read(piece, BYTES_MAX) {
            Ok((consumed, Some(header))) => {
                return Outcome::Header { length: length + consumed, client: header.client() };
            }
            Ok((consumed, None)) => {
                assert_eq!(consumed, piece.len(), "all is taken while the header goes on");
                length += consumed;
            }
            Err(refusal) => return refused(&refusal),
        }
    }
    Outcome::Unfinished
}

fn refused(refusal: &Refusal) -> Outcome {
    assert_eq!((refusal.status(), refusal.must_close()), (400, true));
    Outcome::Refused { detail: refusal.detail().to_owned() }
}

/// A header of version 2: command, family, and what comes behind the length.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a short header").to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// The addresses of a header of version 2, and then a TLV of no meaning.
fn addresses(client: SocketAddr, tlv: &[u8]) -> Vec<u8> {
    let ip = match client {
        SocketAddr::V4(client) => client.ip().octets().to_vec(),
        SocketAddr::V6(client) => client.ip().octets().to_vec(),
    };
    let server = vec![1; ip.len()];
    [&ip, &server, &client.port().to_be_bytes()[..], &[1, 187], tlv].concat()
}

/// Headers, and whom they are for.
fn good() -> Vec<(Vec<u8>, Option<SocketAddr>)> {
    let v4: SocketAddr = "192.0.2.1:56324".parse().unwrap();
    let v6: SocketAddr = "[2001:db8::7]:443".parse().unwrap();
    let mapped: SocketAddr = "[::ffff:192.0.2.1]:56324".parse().unwrap();
    let tlv = [4, 0, 3, b'x', b'y', b'z'];
    let line = |line: &str| line.as_bytes().to_vec();
    vec![
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"), Some(v4)),
        (line("PROXY TCP6 2001:db8::7 2001:db8::1 443 8080\r\n"), Some(v6)),
        (line("PROXY UNKNOWN\r\n"), None),
        (line("PROXY UNKNOWN ffff:f::ffff ffff:f::ffff 65535 65535\r\n"), None),
        (version_2(0x21, 0x11, &addresses(v4, &[])), Some(v4)),
        (version_2(0x21, 0x21, &addresses(v6, &tlv)), Some(v6)),
        (version_2(0x21, 0x21, &addresses(mapped, &[])), Some(v4)),
        // The proxy itself, whatever else it says (section 2.2).
        (version_2(0x20, 0x00, &[]), None),
        (version_2(0x20, 0xff, &tlv), None),
        // A client without an address, and one with the path of a Unix socket.
        (version_2(0x21, 0x00, &tlv), None),
        (version_2(0x21, 0x31, &[b'/'; 216]), None),
    ]
}

fn broken() -> Vec<(Vec<u8>, &'static str)> {
    let v4: SocketAddr = "192.0.2.1:56324".parse().unwrap();
    let missing = "no PROXY header, which a trusted proxy sends ahead of everything else";
    let malformed = "malformed PROXY header";
    let line = |line: &str| line.as_bytes().to_vec();
    vec![
        (line("GET / HTTP/1.1\r\n"), missing),
        (line("PROXYTCP4 192.0.2.1"), missing),
        (line("PRI * HTTP/2.0\r\n"), missing),
        (line("\r\n\r\nGET /"), missing),
        (line("\x16\x03\x01"), missing),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n"), malformed),
        (line("PROXY TCP4 192.0.2.256 198.51.100.1 56324 443\r\n"), malformed),
        (line("PROXY TCP4 2001:db8::7 2001:db8::1 443 8080\r\n"), malformed),
        (line("PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n"), malformed),
        (line("PROXY UDP4 192.0.2.1 198.51.100.1 56324 443\r\n"), malformed),
        (line("PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n"), malformed),
        (line("PROXY TCP4 192.0.2.1\n"), malformed),
        (line("PROXY TCP4 192.0.2.1\rX"), malformed),
        (line("PROXY \r\n"), malformed),
        (line(&format!("PROXY UNKNOWN {}", "x".repeat(93))), "PROXY header of more than 107 bytes"),
        (version_2(0x11, 0x11, &addresses(v4, &[])), malformed),
        (version_2(0x22, 0x11, &addresses(v4, &[])), malformed),
        (version_2(0x21, 0x41, &addresses(v4, &[])), malformed),
        (version_2(0x21, 0x11, &[0; 11]), malformed),
        (version_2(0x21, 0x21, &[0; 35]), malformed),
        (version_2(0x21, 0x12, &addresses(v4, &[])), "PROXY header for datagrams"),
        ([SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(), "PROXY header of more than 300 bytes"),
    ]
}

#[test]
fn a_header_names_the_client_and_what_follows_is_left() {
    for (header, client) in good() {
        let bytes = [header.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
        let outcome = read(&[&bytes]);
        let shown = header.escape_ascii();
        assert_eq!(outcome, Outcome::Header { length: header.len(), client }, "{shown}");
        assert_eq!(read(&[&header[..header.len() - 1]]), Outcome::Unfinished, "{shown}");
    }
}

#[test]
fn what_is_no_header_is_refused_as_soon_as_that_is_known() {
    for (bytes, detail) in broken() {
        let expected = Outcome::Refused { detail: detail.to_owned() };
        assert_eq!(read(&[&bytes]), expected, "{}", bytes.escape_ascii());
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&each), expected, "{}", bytes.escape_ascii());
    }
    for too_early in ["X", "PX", "\rX"] {
        assert!(matches!(read(&[too_early.as_bytes()]), Outcome::Refused { .. }), "{too_early:?}");
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        header in select(good().into_iter().map(|(it, _)| it).chain(broken().into_iter().map(|(it, _)| it)).collect::<Vec<_>>()),
        edit in proptest::option::weighted(0.3, any::<(Index, u8)>()),
        behind in vec(any::<u8>(), 0..20),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut bytes = [header, behind].concat();
        if let Some((at, byte)) = edit {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for end in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[start..end]);
            start = end;
        }
        prop_assert_eq!(read(&pieces), read(&[&bytes]));
    }

    #[test]
    fn any_client_is_read_from_both_versions(ip: std::net::IpAddr, port: u16) {
        let client = SocketAddr::new(ip, port);
        let expected = Some(SocketAddr::new(ip.to_canonical(), port));
        let (word, family) = if ip.is_ipv4() { ("TCP4", 0x11) } else { ("TCP6", 0x21) };
        let line = format!("PROXY {word} {ip} {ip} {port} 443\r\n").into_bytes();
        for header in [line, version_2(0x21, family, &addresses(client, &[]))] {
            let length = header.len();
            prop_assert_eq!(read(&[&header]), Outcome::Header { length, client: expected });
        }
    }
}
