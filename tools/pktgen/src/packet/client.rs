//! One client's connection, as far as TCP is concerned.

use super::outbox::Place;
use super::timers::Slot;

/// What a client can take at a time: it takes everything at once, so the window never shrinks
/// unless the client is held.
pub(super) const WINDOW_BYTES: u32 = 64 * 1024;
/// The shift that makes 16 bits of it, where the server knows of shifts.
pub(super) const WINDOW_SCALE: u8 = 4;

/// States of RFC 9293 section 3.3.2. TIME-WAIT is none of them: whoever has ended takes another
/// port for its next connection, and what a server sends again to the old one is answered from the
/// segment alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Closed,
    SynSent,
    Established,
    FinWait1,
    FinWait2,
    Closing,
    CloseWait,
    LastAck,
}

/// 48 bytes. What is sent and not acknowledged lies in the outbox, for as long as there is any.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Its connections so far, this one included.
    pub(super) connection: u32,
    /// The first number that is not acknowledged, and the next one to be sent.
    pub(super) unacknowledged: u32,
    pub(super) next: u32,
    /// What the server takes beyond `unacknowledged`.
    pub(super) window: u32,
    /// The next number that is to come, and the end of what was offered to take.
    pub(super) expected: u32,
    pub(super) edge: u32,
    /// The round trip's smoothed time and its variation, microseconds (RFC 6298); 0 before the
    /// first measurement.
    pub(super) round_trip_us: u32,
    pub(super) variation_us: u32,
    pub(super) outgoing: Place,
    pub(super) mss: u16,
    /// Where it is in the timers.
    pub(super) filed: Slot,
    pub(super) state: State,
    /// The shifts of the windows that the server offers, and that are offered to it.
    pub(super) window_scale: u8,
    pub(super) own_scale: u8,
    pub(super) duplicate_acks: u8,
    /// Segments that came and were not acknowledged.
    pub(super) owed: u8,
    /// The client takes nothing for now.
    pub(super) is_held: bool,
    /// It waits for room in the port.
    pub(super) is_pending: bool,
}

const _: () = assert!(size_of::<Client>() <= 48);

/// RFC 6298 section 2.1 to 2.4; its minimum of a second is too long for a network of one cable, and
/// 200 ms are what systems use.
const RTO_FIRST_US: u64 = 1_000_000;
const RTO_MIN_US: u64 = 200_000;
const RTO_MAX_US: u64 = 60_000_000;

impl Client {
    pub(super) fn new() -> Self {
        Self {
            connection: 0,
            unacknowledged: 0,
            next: 0,
            window: 0,
            expected: 0,
            edge: 0,
            round_trip_us: 0,
            variation_us: 0,
            outgoing: Place::NONE,
            mss: 536,
            filed: Slot::NONE,
            state: State::Closed,
            window_scale: 0,
            own_scale: WINDOW_SCALE,
            duplicate_acks: 0,
            owed: 0,
            is_held: false,
            is_pending: false,
        }
    }

    /// Begins a connection with this number of its first byte, the SYN.
    pub(super) fn begin(&mut self, sequence: u32, outgoing: Place) {
        let Self { connection, filed, is_pending, .. } = *self;
        *self = Self {
            connection: connection.wrapping_add(1),
            unacknowledged: sequence,
            next: sequence.wrapping_add(1),
            outgoing,
            state: State::SynSent,
            filed,
            is_pending,
            ..Self::new()
        };
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.next.wrapping_sub(self.unacknowledged)
    }

    /// What may still come of what was offered.
    pub(super) fn room(&self) -> u32 {
        self.edge.wrapping_sub(self.expected)
    }

    /// Whether a segment of so many numbers, which begins `ahead` of what is to come, has anything
    /// in it that may come (RFC 9293 section 3.10.7.4). What begins where it should always may: a
    /// window of nothing keeps out its bytes, not what it acknowledges.
    #[inline]
    pub(super) fn accepts(&self, ahead: i32, len: u32) -> bool {
        match ahead {
            0 => true,
            1.. => ahead.cast_unsigned() < self.room(),
            _ => ahead.unsigned_abs() < len,
        }
    }

    /// What may come from now on, as a segment says it. The edge never moves back (RFC 9293 section
    /// 3.8.6.2.2).
    pub(super) fn offer(&mut self) -> u16 {
        if !self.is_held {
            self.edge = self.expected.wrapping_add(WINDOW_BYTES);
        }
        u16::try_from(self.room() >> self.own_scale).unwrap_or(u16::MAX)
    }

    /// Takes a measurement of the round trip.
    pub(super) fn measured(&mut self, round_trip_ns: u64) {
        let sample = u32::try_from(round_trip_ns / 1000).unwrap_or(u32::MAX).clamp(1, 60_000_000);
        if self.round_trip_us == 0 {
            self.round_trip_us = sample;
            self.variation_us = sample / 2;
        } else {
            let difference = self.round_trip_us.abs_diff(sample);
            self.variation_us = (3 * self.variation_us + difference) / 4;
            self.round_trip_us = (7 * self.round_trip_us + sample) / 8;
        }
    }

    /// How long an acknowledgement is waited for, nanoseconds, when it has not come `expired` times.
    pub(super) fn timeout_ns(&self, expired: u32) -> u64 {
        let once_us = match self.round_trip_us {
            0 => RTO_FIRST_US,
            us => (u64::from(us) + 4 * u64::from(self.variation_us)).max(RTO_MIN_US),
        };
        (once_us << expired.min(8)).min(RTO_MAX_US) * 1000
    }
}

/// Whether a number of the sequence lies before another (RFC 9293 section 3.4).
pub(super) fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_held_offers_less_with_all_that_comes() {
        let mut client = Client::new();
        assert_eq!(u32::from(client.offer()) << WINDOW_SCALE, WINDOW_BYTES);
        client.is_held = true;
        client.expected = client.expected.wrapping_add(WINDOW_BYTES - 16);
        assert_eq!(client.offer(), 1);
        client.expected = client.expected.wrapping_add(16);
        assert_eq!(client.offer(), 0);
        client.is_held = false;
        assert_eq!(u32::from(client.offer()) << WINDOW_SCALE, WINDOW_BYTES);
    }

    #[test]
    fn the_timeout_follows_the_round_trip_and_doubles() {
        let mut client = Client::new();
        assert_eq!(client.timeout_ns(0), 1_000_000_000);
        assert_eq!(client.timeout_ns(1), 2_000_000_000);
        client.measured(50_000);
        assert_eq!(client.timeout_ns(0), 200_000_000, "the least there is");
        for _ in 0..100 {
            client.measured(300_000_000);
        }
        let timeout = client.timeout_ns(0);
        assert!((300_000_000..500_000_000).contains(&timeout), "{timeout}");
        assert_eq!(client.timeout_ns(200), 60_000_000_000);
    }

    #[test]
    fn numbers_wrap_around() {
        assert!(is_before(u32::MAX, 0));
        assert!(!is_before(0, u32::MAX));
        assert!(!is_before(5, 5));
    }
}
