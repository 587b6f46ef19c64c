//! What a client can do wrong after the handshake, one rule at a time, and the answer due.
//!
//! A plain table without dependencies, so that tests of other crates can include this file by path
//! and play it over a socket: connect, send `bytes`, expect a Close with `close_code` and `reason`.
//! The limit of a message must be [`MESSAGE_BYTES_MAX`]. Most masks are zero, so that payloads
//! read as they are.

/// The size limit that the table is written for.
pub(crate) const MESSAGE_BYTES_MAX: usize = 65_536;

/// A sequence of frames of which the last breaks a rule.
pub(crate) struct BrokenFrames {
    /// What is wrong.
    pub(crate) name: &'static str,
    /// What the client sends.
    pub(crate) bytes: &'static [u8],
    /// The code of the Close that answers it.
    pub(crate) close_code: u16,
    /// The reason of that Close.
    pub(crate) reason: &'static str,
}

const fn broken(
    name: &'static str,
    bytes: &'static [u8],
    close_code: u16,
    reason: &'static str,
) -> BrokenFrames {
    BrokenFrames { name, bytes, close_code, reason }
}

/// The table. Sections are those of RFC 6455.
#[rustfmt::skip]
pub(crate) const BROKEN_FRAMES: &[BrokenFrames] = &[
    // Section 5.2: reserved bits and opcodes.
    broken("RSV1 on a text", b"\xc1\x82\0\0\0\0hi", 1002, "reserved bit set"),
    broken("RSV2 on a binary", b"\xa2\x82\0\0\0\0hi", 1002, "reserved bit set"),
    broken("RSV3 on a ping", b"\x99\x80\0\0\0\0", 1002, "reserved bit set"),
    broken("data opcode 3", b"\x83\x80\0\0\0\0", 1002, "reserved opcode"),
    broken("data opcode 7 behind a ping", b"\x89\x80\0\0\0\0\x87\x80\0\0\0\0", 1002, "reserved opcode"),
    broken("control opcode 11", b"\x8b\x80\0\0\0\0", 1002, "reserved opcode"),
    broken("control opcode 15", b"\x8f\x80\0\0\0\0", 1002, "reserved opcode"),

    // Section 5.1: every frame of a client is masked.
    broken("text without a mask", b"\x81\x02hi", 1002, "frame not masked"),
    broken("ping without a mask", b"\x89\x00", 1002, "frame not masked"),

    // Section 5.5: control frames are short and whole.
    broken("ping without FIN", b"\x09\x80\0\0\0\0", 1002, "control frame fragmented"),
    broken("Close without FIN", b"\x08\x82\0\0\0\0\x03\xe8", 1002, "control frame fragmented"),
    broken("ping of 126 bytes", b"\x89\xfe\x00\x7e\0\0\0\0", 1002, "control frame over 125 bytes"),
    broken("Close with an 8-byte length", b"\x88\xff\0\0\0\0\0\x01\0\0\0\0\0\0", 1002, "control frame over 125 bytes"),

    // Section 5.2: lengths.
    broken("125 in two bytes", b"\x82\xfe\x00\x7d\0\0\0\0", 1002, "length not in its shortest form"),
    broken("65,535 in eight bytes", b"\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 1002, "length not in its shortest form"),
    broken("a length of 2^63", b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002, "length over 63 bits"),

    // Section 5.4: fragments.
    broken("continuation at the start", b"\x80\x82\0\0\0\0hi", 1002, "continuation of no message"),
    broken("continuation of a whole message", b"\x81\x82\0\0\0\0hi\x80\x81\0\0\0\0!", 1002, "continuation of no message"),
    broken("continuation of a message that has ended", b"\x01\x81\0\0\0\0h\x80\x81\0\0\0\0i\x00\x81\0\0\0\0!", 1002, "continuation of no message"),
    broken("text within a text", b"\x01\x82\0\0\0\0hi\x81\x82\0\0\0\0ho", 1002, "new message before the last one ended"),
    broken("binary fragment within a text, a ping between", b"\x01\x82\0\0\0\0hi\x89\x80\0\0\0\0\x02\x80\0\0\0\0", 1002, "new message before the last one ended"),

    // Section 8.1: text is UTF-8.
    broken("a lead byte without its continuation", b"\x81\x82\0\0\0\0\xc3(", 1007, "text not UTF-8"),
    broken("the same under a mask", b"\x81\x82\x12\x34\x56\x78\xd1\x1c", 1007, "text not UTF-8"),
    broken("an overlong form", b"\x81\x82\0\0\0\0\xc0\xaf", 1007, "text not UTF-8"),
    broken("a surrogate", b"\x81\x83\0\0\0\0\xed\xa0\x80", 1007, "text not UTF-8"),
    broken("a bad byte in the first fragment", b"\x01\x81\0\0\0\0\xff", 1007, "text not UTF-8"),
    broken("a bad byte in a frame that is not complete", b"\x81\xfe\x10\x00\0\0\0\0good until \xf5", 1007, "text not UTF-8"),
    broken("a character over two fragments, badly", b"\x01\x82\0\0\0\0\xe2\x82\x80\x81\0\0\0\0A", 1007, "text not UTF-8"),
    broken("a text that ends within a character", b"\x81\x81\0\0\0\0\xc3", 1007, "text not UTF-8"),
    broken("a fragmented text that ends within a character", b"\x01\x81\0\0\0\0\xc3\x80\x80\0\0\0\0", 1007, "text not UTF-8"),

    // Sections 5.5.1 and 7.4: the payload of a Close.
    broken("Close with one byte", b"\x88\x81\0\0\0\0\x03", 1002, "close code of one byte"),
    broken("Close 999", b"\x88\x82\0\0\0\0\x03\xe7", 1002, "close code not allowed"),
    broken("Close 1004", b"\x88\x82\0\0\0\0\x03\xec", 1002, "close code not allowed"),
    broken("Close 1005, for local use", b"\x88\x82\0\0\0\0\x03\xed", 1002, "close code not allowed"),
    broken("Close 1015, for local use", b"\x88\x82\0\0\0\0\x03\xf7", 1002, "close code not allowed"),
    broken("Close 2999, unassigned", b"\x88\x82\0\0\0\0\x0b\xb7", 1002, "close code not allowed"),
    broken("Close 5000, out of range", b"\x88\x82\0\0\0\0\x13\x88", 1002, "close code not allowed"),
    broken("Close with a reason that is not UTF-8", b"\x88\x84\0\0\0\0\x03\xe8\xc3(", 1007, "close reason not UTF-8"),

    // Section 10.4: our limit, found in the header, before any payload.
    broken("65,537 bytes in one frame", b"\x82\xff\0\0\0\0\0\x01\0\x01\0\0\0\0", 1009, "message too big"),
    broken("65,537 bytes in two fragments", b"\x02\x84\0\0\0\0four\x80\xfe\xff\xfd\0\0\0\0", 1009, "message too big"),
    broken("a length of 2^63 - 1", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009, "message too big"),
];
