//! From bytes in any splits to whole requests.

use std::mem;

use super::header::is_control;
use super::line::RequestLine;
use super::{Refusal, Request};

/// Empty lines that a client may send ahead of a request (RFC 9112 section 2.2).
const EMPTY_LINES_MAX: u8 = 4;

/// What no limit can be set above: positions within a head are small numbers.
const HEAD_BYTES_CEILING: usize = 1024 * 1024;

/// The first byte of a TLS handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// How much of a request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of a head, the empty line at its end included; no more than 1 MiB counts.
    pub head_bytes_max: usize,
    /// Header fields of a head.
    pub headers_max: usize,
}

impl Default for RequestLimits {
    /// 8 KiB and 64 header fields.
    fn default() -> Self {
        Self { head_bytes_max: 8 * 1024, headers_max: 64 }
    }
}

/// Finds requests in the bytes of one connection.
///
/// Every byte is looked at once to find the end of a head, however the bytes are split, and what
/// is wrong is found at the same byte however they are split. Between requests nothing is kept:
/// an empty reader holds no memory but its own 32 bytes.
#[derive(Debug)]
pub struct RequestReader {
    /// The head so far.
    head: Vec<u8>,
    /// Bytes of its request line with the line break, once that is complete.
    line_len: u32,
    headers_count: u16,
    empty_lines: u8,
    step: Step,
}

const _: () = assert!(size_of::<RequestReader>() <= 32);

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// An empty line, or the first byte of a request.
    Idle,
    /// The line feed of an empty line.
    IdleLineFeed,
    RequestLine,
    RequestLineFeed,
    /// A header field, or the carriage return of the empty line at the end.
    HeaderStart,
    Header,
    HeaderLineFeed,
    /// The line feed of the empty line at the end.
    EndLineFeed,
    /// Nothing: a request was refused, and where the next one begins is unknown.
    Refused,
}

impl RequestReader {
    /// A reader at the beginning of a connection.
    pub fn new() -> Self {
        Self { head: Vec::new(), line_len: 0, headers_count: 0, empty_lines: 0, step: Step::Idle }
    }

    /// Takes bytes from `input` and says how many, and the request that they completed, if they
    /// did. Bytes after a complete head are left: they are WebSocket frames or the next request.
    /// Without a request, all of `input` was taken.
    ///
    /// # Errors
    /// The answer to a request that breaks a rule. The connection is to be closed after it: what
    /// else is read is thrown away.
    pub fn read(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
    ) -> Result<(usize, Option<Request>), Refusal> {
        if self.step == Step::Refused {
            return Ok((input.len(), None));
        }
        let result = self.read_head(input, limits);
        if result.is_err() {
            *self = Self { step: Step::Refused, ..Self::new() };
        }
        result
    }

    /// Whether no byte of a request was read since the last complete one.
    pub fn is_empty(&self) -> bool {
        self.step == Step::Idle
    }

    fn read_head(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
    ) -> Result<(usize, Option<Request>), Refusal> {
        let skipped = self.skip_empty_lines(input)?;
        let mut rest = &input[skipped..];
        while !rest.is_empty() {
            let bytes_max = limits.head_bytes_max.min(HEAD_BYTES_CEILING);
            let room = bytes_max.saturating_sub(self.head.len());
            if room == 0 {
                return Err(self.too_large(bytes_max));
            }
            if self.head.is_empty() {
                // Most heads come in one piece: one allocation.
                self.head.reserve_exact(rest.len().min(room));
            }
            let (taken, is_end) = self.scan(&rest[..rest.len().min(room)], limits)?;
            self.head.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if self.step == Step::HeaderStart && self.line_len == 0 {
                self.end_request_line()?;
            }
            if is_end {
                let whole = mem::take(self);
                let (line_len, count) = (whole.line_len as usize, whole.headers_count.into());
                let request = Request::parse(whole.head, line_len, count)?;
                return Ok((input.len() - rest.len(), Some(request)));
            }
        }
        Ok((input.len(), None))
    }

    /// The count of bytes ahead of a request; none when one has begun.
    fn skip_empty_lines(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        for (at, &byte) in input.iter().enumerate() {
            match (self.step, byte) {
                (Step::Idle, b'\r') if self.empty_lines == EMPTY_LINES_MAX => {
                    return Err(Refusal::malformed("too many empty lines ahead of a request"));
                }
                (Step::Idle, b'\r') => self.step = Step::IdleLineFeed,
                (Step::Idle, b'\n') => return Err(bare_line_feed()),
                (Step::Idle, TLS_HANDSHAKE) => {
                    return Err(Refusal::malformed("this is TLS, only plain HTTP is spoken here"));
                }
                // Two empty lines and a NUL are how version 2 of the PROXY protocol begins.
                (Step::Idle, 0) if self.empty_lines == 2 => return Err(Refusal::proxy_header()),
                (Step::Idle, _) => {
                    self.step = Step::RequestLine;
                    return Ok(at);
                }
                (Step::IdleLineFeed, b'\n') => {
                    self.empty_lines += 1;
                    self.step = Step::Idle;
                }
                (Step::IdleLineFeed, _) => return Err(bare_carriage_return()),
                _ => return Ok(at),
            }
        }
        Ok(input.len())
    }

    /// Takes bytes up to the end of the request line, of the head, or of `bytes`: how many, and
    /// whether the head ends with them.
    fn scan(&mut self, bytes: &[u8], limits: &RequestLimits) -> Result<(usize, bool), Refusal> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            self.step = match (self.step, byte) {
                (Step::RequestLineFeed, b'\n') => {
                    self.step = Step::HeaderStart;
                    return Ok((at, false));
                }
                (Step::EndLineFeed, b'\n') => return Ok((at, true)),
                (Step::HeaderLineFeed, b'\n') => Step::HeaderStart,
                (Step::RequestLineFeed | Step::HeaderLineFeed | Step::EndLineFeed, _) => {
                    return Err(bare_carriage_return());
                }
                (Step::HeaderStart, b'\r') => Step::EndLineFeed,
                (Step::HeaderStart, b' ' | b'\t') => return Err(self.indented_line()),
                (Step::HeaderStart, _) => {
                    self.count_header(limits)?;
                    // The same byte again, as one of a field.
                    at -= 1;
                    Step::Header
                }
                (step, _) => {
                    let line = &bytes[at - 1..];
                    let Some(len) = line.iter().position(|&byte| is_control(byte)) else {
                        return Ok((bytes.len(), false));
                    };
                    at += len;
                    end_of_line(step, line[len])?
                }
            };
        }
        Ok((at, false))
    }

    /// The request line is refused as soon as it is there: what follows a bad one may never end.
    fn end_request_line(&mut self) -> Result<(), Refusal> {
        self.line_len = u32::try_from(self.head.len()).unwrap_or(u32::MAX);
        let line = self.head.strip_suffix(b"\r\n").unwrap_or(&self.head);
        RequestLine::parse(line).map(|_| ())
    }

    fn count_header(&mut self, limits: &RequestLimits) -> Result<(), Refusal> {
        if usize::from(self.headers_count) >= limits.headers_max.min(u16::MAX.into()) {
            let detail = format!("more than {} header fields", limits.headers_max);
            return Err(Refusal::new(431, detail).closing());
        }
        self.headers_count += 1;
        Ok(())
    }

    /// RFC 9112 sections 2.2 and 5.2.
    fn indented_line(&self) -> Refusal {
        Refusal::malformed(match self.headers_count {
            0 => "white space ahead of the first header field",
            _ => "folded header field",
        })
    }

    fn too_large(&self, bytes_max: usize) -> Refusal {
        match self.step {
            Step::RequestLine | Step::RequestLineFeed => {
                Refusal::new(414, format!("request line of more than {bytes_max} bytes"))
            }
            _ => Refusal::new(431, format!("request head of more than {bytes_max} bytes")),
        }
        .closing()
    }
}

impl Default for RequestReader {
    fn default() -> Self {
        Self::new()
    }
}

/// What follows the control character that ends a line, if it is one that may.
fn end_of_line(step: Step, byte: u8) -> Result<Step, Refusal> {
    match (byte, step) {
        (b'\r', Step::RequestLine) => Ok(Step::RequestLineFeed),
        (b'\r', _) => Ok(Step::HeaderLineFeed),
        (b'\n', _) => Err(bare_line_feed()),
        (_, Step::RequestLine) => Err(Refusal::malformed("control character in the request line")),
        _ => Err(Refusal::malformed("control character in a header field")),
    }
}

fn bare_line_feed() -> Refusal {
    Refusal::malformed("line feed without a carriage return")
}

fn bare_carriage_return() -> Refusal {
    Refusal::malformed("carriage return without a line feed")
}
