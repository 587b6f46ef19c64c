//! The server side of HTTP/1.1, as far as a WebSocket server needs it: reading requests, the
//! upgrade of RFC 6455 section 4.2, and answers to plain `GET` and `HEAD`.
//!
//! Bytes go in through [`RequestReader::read`], in any splits, and come out as a [`Request`] or as
//! the [`Refusal`] that answers it. [`negotiate`] turns a request into an [`Upgrade`]; the
//! functions of [`response`] encode every answer into a pooled frame.
//!
//! No request has a body here, and whatever could make two parties disagree on where a request
//! ends is refused: bare line feeds, folded lines, white space before a colon, transfer codings.
//!
//! ```
//! use hioload_protocol::http::{RequestLimits, RequestReader, UpgradePolicy, negotiate};
//!
//! let mut reader = RequestReader::new();
//! let input = b"GET /ws HTTP/1.1\r\nHost: chat.example\r\n\r\nGET /favicon.ico HTTP";
//! let (consumed, request) = reader.read(input, &RequestLimits::default())?;
//! let request = request.expect("the head is complete");
//! assert_eq!((request.path(), &input[consumed..]), ("/ws", b"GET /favicon.ico HTTP".as_slice()));
//!
//! let refusal = negotiate(&request, &UpgradePolicy::default()).expect_err("a plain GET");
//! assert_eq!(refusal.status(), 426);
//! # Ok::<(), hioload_protocol::http::Refusal>(())
//! ```

mod forwarded;
mod header;
mod host;
mod line;
mod origin;
mod page;
mod reader;
mod refusal;
mod request;
pub mod response;
mod rules;
mod upgrade;

pub use forwarded::{forwarded_for, refuse_forwarded_for};
pub use header::{HeaderError, ResponseHeaders};
pub use origin::OriginPolicy;
pub use page::Page;
pub use reader::{RequestLimits, RequestReader};
pub use refusal::Refusal;
pub use request::{Method, Request};
pub use upgrade::{Upgrade, UpgradePolicy, negotiate};
