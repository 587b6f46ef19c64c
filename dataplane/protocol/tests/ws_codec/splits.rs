//! However the bytes are cut, the events are the same.

use hioload_protocol::ws::Decoder;
use proptest::prelude::*;

use crate::client::{
    Seen, conversation, damaged_conversation, decode_bytewise, decode_in_pieces, decode_whole,
    feed, limits, pool,
};

const MESSAGE_BYTES_MAX: usize = 40_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_split_gives_the_same_events(
        wire in prop_oneof![conversation(), damaged_conversation()],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = decode_whole(&wire, limits(MESSAGE_BYTES_MAX));
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&decode_in_pieces(&wire, &cuts, limits(MESSAGE_BYTES_MAX)), &whole);
        prop_assert_eq!(&decode_bytewise(&wire, limits(MESSAGE_BYTES_MAX)), &whole);
    }

    #[test]
    fn nothing_follows_an_error_or_a_close_and_nothing_is_held(
        wire in damaged_conversation(),
        more in conversation(),
    ) {
        let (mut decoder, mut pool, mut seen) = (Decoder::new(), pool(), Vec::new());
        feed(&mut decoder, &wire, limits(MESSAGE_BYTES_MAX), &mut pool, &mut seen);
        let is_end = |seen: &Seen| matches!(seen, Seen::Close(..) | Seen::Error(_));
        let end = seen.iter().position(is_end);
        prop_assume!(end.is_some());
        prop_assert_eq!(end, Some(seen.len() - 1));
        feed(&mut decoder, &more, limits(MESSAGE_BYTES_MAX), &mut pool, &mut seen);
        prop_assert_eq!(end, Some(seen.len() - 1));
        prop_assert_eq!(decoder.bytes_held(), 0);
    }
}
