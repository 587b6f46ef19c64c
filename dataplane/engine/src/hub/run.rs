//! Broadcasts that are delivered together.

use hioload_buffer::FrameId;
use hioload_net::{FlowId, Streams};

use crate::latency::Publication;
use crate::moment::Moment;

/// Broadcasts in a run at most.
const MESSAGES_MAX: usize = 64;

/// Broadcasts that stood next to each other in the inbox.
pub(super) struct Run {
    messages: Vec<RunMessage>,
    /// The bytes of all of them in their order, while a transport may take so many at once.
    together: Vec<u8>,
    bytes: usize,
    /// Some session does not get all of them.
    has_exceptions: bool,
}

#[derive(Clone, Copy)]
pub(super) struct RunMessage {
    pub(super) frame: FrameId,
    pub(super) length: u32,
    published: Moment,
    /// Who does not get it.
    except: Option<FlowId>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            messages: Vec::with_capacity(MESSAGES_MAX),
            together: Vec::new(),
            bytes: 0,
            has_exceptions: false,
        }
    }

    /// How many messages it has.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= MESSAGES_MAX
    }

    /// Appends a message.
    pub(super) fn add<S: Streams>(
        &mut self,
        Publication { frame, at: published }: Publication,
        except: Option<FlowId>,
        streams: &mut S,
    ) {
        self.bytes += frame.len();
        if self.bytes <= streams.deliver_bytes_max() {
            self.together.extend_from_slice(&frame);
        }
        self.has_exceptions |= except.is_some();
        let length = u32::try_from(frame.len()).expect("a frame is at most 4 GiB");
        let frame = streams.hold(frame, published.raw());
        self.messages.push(RunMessage { frame, length, published, except });
    }

    /// All bytes of it, where they may be delivered at once.
    pub(super) fn together(&self) -> Option<&[u8]> {
        (self.together.len() == self.bytes).then_some(&self.together)
    }

    /// Whether a session gets all messages.
    #[inline]
    pub(super) fn is_whole_for(&self, flow: FlowId) -> bool {
        !self.has_exceptions || self.messages.iter().all(|it| it.except != Some(flow))
    }

    /// The messages that a session gets.
    #[inline]
    pub(super) fn of(&self, flow: FlowId) -> impl Iterator<Item = &RunMessage> {
        self.messages.iter().filter(move |it| it.except != Some(flow))
    }

    /// When each message was published.
    pub(super) fn published(&self) -> impl Iterator<Item = Moment> {
        self.messages.iter().map(|it| it.published)
    }

    /// Lets go of all messages.
    pub(super) fn end<S: Streams>(&mut self, streams: &mut S) {
        for RunMessage { frame, .. } in self.messages.drain(..) {
            streams.release(frame);
        }
        self.together.clear();
        (self.bytes, self.has_exceptions) = (0, false);
    }
}
