//! The far end of one connection, played as a well-behaved client would.

use std::collections::VecDeque;
use std::mem;

use hioload_net::{FlowId, MemoryStreams};

use super::Response;
use super::wire::{CLOSE, PONG, Received, frame, parse_frame, parse_response};

pub(super) struct Peer {
    streams: MemoryStreams,
    flow: FlowId,
    unread: Vec<u8>,
    /// From here on frames come.
    upgraded: bool,
    inbox: VecDeque<Received>,
    /// Answers pings and a Close, and the end of the stream with its own.
    pub(super) answers: bool,
    sent_close: bool,
    at_end: bool,
    pub(super) closed: Option<(Option<u16>, String)>,
}

impl Peer {
    pub(super) fn new(streams: MemoryStreams, flow: FlowId) -> Self {
        Self {
            streams,
            flow,
            unread: Vec::new(),
            upgraded: false,
            inbox: VecDeque::new(),
            answers: true,
            sent_close: false,
            at_end: false,
            closed: None,
        }
    }

    /// Reads what has come and answers what wants an answer; says whether it did.
    pub(super) fn react(&mut self) -> bool {
        self.unread.extend(self.streams.take_output(self.flow));
        let mut answered = self.upgraded && self.read_frames();
        if !self.at_end && self.streams.has_ended(self.flow) {
            self.at_end = true;
            self.inbox.push_back(Received::End);
            if self.answers && self.streams.is_open(self.flow) {
                self.streams.end(self.flow);
                answered = true;
            }
        }
        answered
    }

    fn read_frames(&mut self) -> bool {
        let unread = mem::take(&mut self.unread);
        let (mut rest, mut answered) = (unread.as_slice(), false);
        while let Some((received, length)) = parse_frame(rest) {
            rest = &rest[length..];
            match &received {
                Received::Ping(payload) if self.answers => {
                    self.send(&frame(PONG, payload));
                    answered = true;
                }
                Received::Close(code, reason) => {
                    self.closed.get_or_insert((*code, reason.clone()));
                    if self.answers && !self.sent_close {
                        self.send_close(*code, "");
                        answered = true;
                    }
                }
                _ => {}
            }
            self.inbox.push_back(received);
        }
        self.unread = rest.to_vec();
        answered
    }

    /// The answer to a request, if it has come in full. What follows an answer with status 101 are
    /// frames.
    pub(super) fn response(&mut self, head_only: bool) -> Option<Response> {
        let (response, length) = parse_response(&self.unread, head_only)?;
        self.unread.drain(..length);
        if response.status() == 101 {
            self.upgraded = true;
            // The end came before the frames ahead of it were read.
            self.inbox.clear();
            self.read_frames();
            if self.at_end {
                self.inbox.push_back(Received::End);
            }
        }
        Some(response)
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        self.streams.send(self.flow, bytes);
    }

    pub(super) fn send_close(&mut self, code: Option<u16>, reason: &str) {
        self.sent_close = true;
        let mut payload = code.map(u16::to_be_bytes).map(Vec::from).unwrap_or_default();
        payload.extend_from_slice(reason.as_bytes());
        self.send(&frame(CLOSE, &payload));
    }

    pub(super) fn end(&self) {
        self.streams.end(self.flow);
    }

    pub(super) fn reset(&self) {
        self.streams.reset(self.flow);
    }

    /// Takes `bytes` more from the server and then stops reading; `None` for no bound.
    pub(super) fn set_window(&self, bytes: Option<usize>) {
        match bytes {
            Some(bytes) => self.streams.set_window(self.flow, bytes),
            None => self.streams.open_window(self.flow),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.at_end && self.streams.is_open(self.flow)
    }

    pub(super) fn next(&mut self) -> Option<Received> {
        self.inbox.pop_front()
    }

    pub(super) fn inbox(&mut self) -> &mut VecDeque<Received> {
        &mut self.inbox
    }
}
