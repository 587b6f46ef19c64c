//! However the bytes of a connection are split, the same requests and refusals come out.

use hioload_protocol::http::{Refusal, Request, RequestLimits, RequestReader};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What a request says, for comparison.
#[derive(Debug, PartialEq)]
struct Seen {
    method: String,
    target: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    keep_alive: bool,
}

impl From<Request> for Seen {
    fn from(request: Request) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            method: request.method_name().to_owned(),
            target: request.target().to_owned(),
            path: request.path().to_owned(),
            query: request.query().map(str::to_owned),
            headers: request.headers().map(owned).collect(),
            keep_alive: request.keep_alive(),
        }
    }
}

/// Small, so that random bytes reach them.
const LIMITS: RequestLimits = RequestLimits { head_bytes_max: 200, headers_max: 6 };

/// The requests in `chunks` with the position after each, and the refusal that ended it.
fn read_all(chunks: &[&[u8]]) -> (Vec<(usize, Seen)>, Option<Refusal>) {
    let mut reader = RequestReader::new();
    let (mut requests, mut refusal, mut position) = (Vec::new(), None, 0);
    for chunk in chunks {
        let mut rest = *chunk;
        while !rest.is_empty() {
            match reader.read(rest, &LIMITS) {
                Ok((consumed, request)) => {
                    // Each call gets on, and one without a request takes everything.
                    assert!(consumed > 0 && (request.is_some() || consumed == rest.len()));
                    position += consumed;
                    rest = &rest[consumed..];
                    requests.extend(request.map(|request| (position, Seen::from(request))));
                }
                Err(found) => {
                    assert_eq!(refusal.replace(found), None, "a second refusal");
                }
            }
        }
    }
    (requests, refusal)
}

fn split<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut chunks = Vec::new();
    let mut start = 0;
    for cut in cuts {
        chunks.push(&bytes[start..cut]);
        start = cut;
    }
    chunks.push(&bytes[start..]);
    chunks
}

/// Pieces that requests are made of, and some that break them.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "GET / HTTP/1.1\r\n",
        "HEAD /a?b HTTP/1.0\r\n",
        "GET http://a/ HTTP/1.1\r\n",
        "Host: a\r\n",
        "Connection: close\r\n",
        "Content-Length: 0\r\n",
        "X:  y z \r\n",
        "\r\n",
        "\r\n\r\n",
        "X",
        ": ",
        " ",
        "\r",
        "\n",
        "\0",
        "\u{e9}",
    ]);
    vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Whole requests, one after the other.
fn pipeline() -> impl Strategy<Value = Vec<u8>> {
    let request = ("[A-Z]{1,6}", "/[a-z?/%]{0,20}", "[ -~]{0,30}", "(\r\n){0,2}").prop_map(
        |(method, target, value, lead)| {
            format!("{lead}{method} {target} HTTP/1.1\r\nHost: a:80\r\nX: {value}\r\n\r\n")
        },
    );
    vec(request, 0..6).prop_map(|requests| requests.concat().into_bytes())
}

proptest! {
    #[test]
    fn a_pipeline_of_requests_is_read_alike_in_any_splits(
        bytes in pipeline(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let whole = read_all(&[&bytes]);
        prop_assert_eq!(&whole.1, &None);
        prop_assert_eq!(whole.0.last().map_or(0, |(position, _)| *position), bytes.len());
        prop_assert_eq!(read_all(&split(&bytes, &cuts)), whole);
    }

    #[test]
    fn requests_and_pieces_of_them_are_read_or_refused_alike_in_any_splits(
        requests in pipeline(),
        pieces in pieces(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let bytes = [requests, pieces].concat();
        prop_assert_eq!(read_all(&split(&bytes, &cuts)), read_all(&[&bytes]));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_alike_in_any_splits(
        bytes in vec(any::<u8>(), 0..400),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        prop_assert_eq!(read_all(&split(&bytes, &cuts)), read_all(&[&bytes]));
    }
}

#[test]
fn bytes_behind_a_handshake_are_left_to_the_next_stage() {
    let handshake = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
    let bytes = [handshake.as_slice(), b"\x81\x85mask!"].concat();
    let mut reader = RequestReader::new();
    let (consumed, request) = reader.read(&bytes, &LIMITS).unwrap();
    assert_eq!(consumed, handshake.len());
    assert!(request.is_some_and(|request| request.wants_upgrade()));
    assert!(reader.is_empty());
}

#[test]
fn a_head_of_exactly_the_limit_is_read_and_one_more_byte_is_not() {
    let head = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4)).into_bytes()
    };
    let read = |bytes: &[u8]| RequestReader::new().read(bytes, &LIMITS);
    assert!(matches!(read(&head(200)), Ok((200, Some(_)))));
    assert_eq!(read(&head(201)).unwrap_err().status(), 431);
}

#[test]
fn what_follows_a_refused_request_is_thrown_away() {
    let mut reader = RequestReader::new();
    assert!(reader.read(b"GET / HTTP/1.1\n", &LIMITS).is_err());
    let next = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(matches!(reader.read(next, &LIMITS), Ok((len, None)) if len == next.len()));
}

#[test]
fn a_request_line_is_refused_before_the_head_is_complete() {
    let mut reader = RequestReader::new();
    let refusal = reader.read(b"HELO chat.example\r\n", &LIMITS).unwrap_err();
    assert_eq!(refusal.status(), 400);
    assert!(refusal.must_close());
}
