//! The beginning of a connection from a proxy, whole and split: nothing panics, both are read alike,
//! and no more is kept than the limit says.
#![no_main]

use hioload_protocol::proxy::ProxyReader;
use libfuzzer_sys::fuzz_target;

/// Small, so that short inputs reach it.
const BYTES_MAX: usize = 256;

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, bytes.len());
    assert_eq!(read(bytes, 1), whole);
    // A length that the fuzzer can steer without giving up that any file of headers is an input.
    let chunk_len = bytes.last().map_or(1, |&byte| usize::from(byte) % 61 + 2);
    assert_eq!(read(bytes, chunk_len), whole);
});

/// What comes out of `bytes` in chunks of `chunk_len`, told as text.
fn read(bytes: &[u8], chunk_len: usize) -> String {
    let mut reader = ProxyReader::new();
    let mut length = 0;
    for chunk in bytes.chunks(chunk_len.max(1)) {
        match reader.read(chunk, BYTES_MAX) {
            Ok((consumed, None)) => {
                assert_eq!(consumed, chunk.len());
                length += consumed;
                assert!(length < BYTES_MAX, "kept {length} bytes");
            }
            Ok((consumed, Some(header))) => {
                length += consumed;
                assert!(length <= BYTES_MAX && consumed > 0 && reader.is_empty());
                return format!("{length} {:?}", header.client());
            }
            Err(refusal) => {
                assert!(refusal.must_close() && refusal.status() == 400);
                return refusal.detail().to_owned();
            }
        }
    }
    "unfinished".to_owned()
}
