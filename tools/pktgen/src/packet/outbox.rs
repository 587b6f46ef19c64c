//! What is sent and not acknowledged, for those clients that have something of the kind: the others
//! own no buffer.

/// More than that is not kept for the next one who sends.
const SPARE_BYTES_MAX: usize = 64 * 1024;

/// The place of an [`Outgoing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// What a client's half of the connection still has to do.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Bytes from `begin` on are those from the first one that is not acknowledged.
    bytes: Vec<u8>,
    begin: usize,
    /// The end of all that was ever sent. Behind it is the next number unless something is sent
    /// again.
    pub(super) sent_max: u32,
    /// A FIN is to follow the bytes.
    pub(super) fin: bool,
    /// When the client gives up waiting; 0 for never.
    pub(super) deadline_ns: u64,
    /// How often it has, in a row.
    pub(super) expired: u32,
    /// A number whose acknowledgement is timed, and since when (RFC 6298 section 3: none that was
    /// sent again).
    pub(super) timed: Option<(u32, u64)>,
    /// Whether the third duplicate acknowledgement has been acted on.
    pub(super) recovering: bool,
}

impl Outgoing {
    /// Bytes that are not acknowledged.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.begin..]
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `count` bytes were acknowledged.
    pub(super) fn advance(&mut self, count: usize) {
        self.begin = (self.begin + count).min(self.bytes.len());
        // Each byte is moved once at most for each that is taken away in front.
        if self.begin * 2 >= self.bytes.len() {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
    }

    fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.shrink_to(SPARE_BYTES_MAX);
        *self = Self { bytes, ..Self::default() };
    }
}

/// All of them, used again and again.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    places: Vec<Outgoing>,
    free: Vec<Place>,
}

impl Outbox {
    pub(super) fn take(&mut self) -> Place {
        if let Some(place) = self.free.pop() {
            return place;
        }
        self.places.push(Outgoing::default());
        // There are no more than clients.
        Place(u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn give_back(&mut self, place: &mut Place) {
        if let Some(outgoing) = self.places.get_mut(place.0 as usize) {
            outgoing.clear();
            self.free.push(*place);
        }
        *place = Place::NONE;
    }

    #[inline]
    pub(super) fn get(&self, place: Place) -> Option<&Outgoing> {
        self.places.get(place.0 as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Outgoing> {
        self.places.get_mut(place.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut outgoing = Outgoing::default();
        let mut expected = Vec::new();
        for round in 0..100_u8 {
            let bytes = [round; 7];
            outgoing.append(&bytes);
            expected.extend_from_slice(&bytes);
            let count = usize::from(round % 5);
            outgoing.advance(count);
            expected.drain(..count.min(expected.len()));
            assert_eq!(outgoing.bytes(), expected);
        }
        outgoing.advance(usize::MAX >> 1);
        assert_eq!(outgoing.bytes(), b"");
    }

    #[test]
    fn a_place_is_used_again_and_empty() {
        let mut outbox = Outbox::default();
        let mut place = outbox.take();
        let first = place;
        outbox.get_mut(place).expect("it is there").append(b"abc");
        outbox.give_back(&mut place);
        assert!(outbox.get(place).is_none());
        let place = outbox.take();
        assert_eq!(place, first);
        assert_eq!(outbox.get(place).map(|outgoing| outgoing.bytes().len()), Some(0));
    }
}
