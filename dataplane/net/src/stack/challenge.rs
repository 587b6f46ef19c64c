//! Segments that would end a connection or begin it anew, and may be a stranger's (RFC 5961).

use std::time::Instant;

use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant as StackInstant};

use super::attached::Attached;
use super::counters::DropReason;
use super::flow::{Flow, Stage};
use super::link::Link;
use super::packet::{Flags, Segment};
use super::reply::Numbers;
use crate::FramePort;

/// Between two challenges of a connection: whoever makes up segments must not have each answered
/// (RFC 5961 section 7).
const INTERVAL: Duration = Duration::from_secs(1);

/// Why a segment with SYN or RST is not for the connection's socket. It may have been answered by an
/// acknowledgement, to which a peer that means it answers by the right reset.
pub(super) fn hold_off<P: FramePort>(
    flow: &mut Flow<'_>,
    attached: &mut Attached<P>,
    (now, at): (Instant, StackInstant),
    link: Link,
    segment: &Segment,
) -> Option<DropReason> {
    let (reason, to) = if segment.flags.has(Flags::RST) {
        let ahead = segment.sequence.wrapping_sub(flow.receive_next());
        if ahead == 0 || flow.state() == State::Closed {
            return None;
        }
        // Section 3.2: outside of the window it is dropped, and so it is within, but challenged.
        if ahead as usize >= flow.window_bytes() {
            return Some(DropReason::StrayReset);
        }
        (DropReason::StrayReset, attached.way_to(flow.link, flow.router))
    } else if flow.stage == Stage::HalfOpen {
        // A repeated one; the socket repeats its answer by itself.
        return None;
    } else {
        // Section 4.2: a peer that has begun anew, perhaps with another hardware address.
        (DropReason::StraySyn, link)
    };
    if at >= flow.challenge_at {
        flow.challenge_at = at + INTERVAL;
        let numbers = Numbers {
            sequence: flow.sent_until,
            acknowledged: flow.receive_next(),
            window: flow.window(),
        };
        attached.acknowledge(now, to, &flow.key, numbers);
    }
    Some(reason)
}
