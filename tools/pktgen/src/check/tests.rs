//! What is found out, and how it is counted.

use super::*;

const RUN: u64 = 5;
const LEN: usize = 48;

fn message(publisher: u32, sequence: u64) -> Vec<u8> {
    let mut message = vec![0; LEN];
    Stamp { run: RUN, publisher, sequence, sent_ns: 9 }.write(&mut message);
    message
}

fn all_of(publishers: usize) -> Expected {
    Expected::All { publishers, sender_excluded: false }
}

/// One client, which is to get ten messages of one publisher, and got these.
fn offences(messages: &[Vec<u8>]) -> Offences {
    let mut checker = Checker::new(RUN, LEN, all_of(1), 1, (0, 1));
    for message in messages {
        checker.take(0, message, |_| 10);
    }
    checker.finish(|_| Some(10));
    checker.offences
}

fn in_order() -> Vec<Vec<u8>> {
    (0..10).map(|sequence| message(0, sequence)).collect()
}

#[track_caller]
fn assert_only(offences: &Offences, offence: Offence, times: u64) {
    assert_eq!((offences.count(offence), offences.total()), (times, times), "{offences:?}");
}

#[test]
fn all_messages_in_order_are_no_offence() {
    assert_eq!(offences(&in_order()).total(), 0);
}

#[test]
fn lost_messages_are_counted_wherever_they_are_missing() {
    let mut messages = in_order();
    messages.remove(9);
    messages.remove(5);
    messages.remove(0);
    assert_only(&offences(&messages), Offence::Lost, 3);
}

#[test]
fn a_message_that_comes_three_times_is_duplicated_twice() {
    let mut messages = in_order();
    messages.insert(4, message(0, 3));
    messages.push(message(0, 3));
    assert_only(&offences(&messages), Offence::Duplicated, 2);
}

#[test]
fn a_message_that_comes_late_is_reordered_and_not_lost() {
    let mut messages = in_order();
    let late = messages.remove(2);
    messages.insert(7, late);
    assert_only(&offences(&messages), Offence::Reordered, 1);
}

#[test]
fn damage_is_counted_once_wherever_it_is() {
    for at in 0..LEN {
        let mut messages = in_order();
        messages[4][at] ^= 0x10;
        assert_only(&offences(&messages), Offence::Damaged, 1);
    }
    for len in HEADER_CUTS {
        let mut messages = in_order();
        messages[4].truncate(len);
        assert_only(&offences(&messages), Offence::Damaged, 1);
    }
}
/// Of one that is cut to less, nobody can say whether it was ours.
const HEADER_CUTS: [usize; 7] = [8, 9, 20, 31, 32, 40, 47];

#[test]
fn what_nobody_of_the_run_sent_is_unexpected() {
    let mut other_run = vec![0; LEN];
    Stamp { run: 6, publisher: 0, sequence: 3, sent_ns: 9 }.write(&mut other_run);
    for stranger in [b"welcome!".to_vec(), other_run, message(1, 3), message(0, 10)] {
        let mut messages = in_order();
        messages.insert(3, stranger);
        assert_only(&offences(&messages), Offence::Unexpected, 1);
    }
}

#[test]
fn a_gap_settles_what_it_skips() {
    let mut checker = Checker::new(RUN, LEN, all_of(2), 3, (0, 1));
    let verdict = checker.take(2, &message(1, 3), |_| 10);
    let arrival = Arrival { publisher: 1, settled: 0..4, sent_ns: Some(9) };
    assert_eq!(verdict, Verdict::Arrived(arrival));
    assert_eq!(checker.take(2, &message(ROLL_CALL, 0), |_| 10), Verdict::RollCall);
}

#[test]
fn a_sender_that_is_excluded_misses_nothing_and_gets_nothing_of_its_own() {
    let expected = Expected::All { publishers: 1, sender_excluded: true };
    let mut checker = Checker::new(RUN, LEN, expected, 2, (0, 1));
    assert!(matches!(checker.take(1, &message(0, 0), |_| 1), Verdict::Arrived(_)));
    assert_eq!(checker.take(0, &message(0, 0), |_| 1), Verdict::Aside);
    checker.finish(|_| Some(1));
    assert_only(&checker.offences, Offence::Unexpected, 1);
}

#[test]
fn what_a_client_misses_after_its_connection_ended_is_not_lost_as_well() {
    let mut checker = Checker::new(RUN, LEN, all_of(1), 2, (0, 1));
    for client in [0, 1] {
        checker.take(client, &message(0, 0), |_| 10);
        checker.take(client, &message(0, 2), |_| 10);
    }
    checker.leave(1);
    checker.finish(|_| Some(10));
    assert_only(&checker.offences, Offence::Lost, 1 + 7 + 1);
}

#[test]
fn of_a_publisher_that_is_gone_only_gaps_are_lost() {
    let mut checker = Checker::new(RUN, LEN, all_of(1), 1, (0, 1));
    checker.take(0, &message(0, 1), |_| 10);
    checker.finish(|_| None);
    assert_only(&checker.offences, Offence::Lost, 1);
}

#[test]
fn with_echo_a_client_gets_its_own_messages_alone() {
    let mut checker = Checker::new(RUN, LEN, Expected::Own, 2, (1, 2));
    assert!(matches!(checker.take(1, &message(3, 0), |_| 1), Verdict::Arrived(_)));
    assert_eq!(checker.take(1, &message(1, 0), |_| 1), Verdict::Aside);
    checker.finish(|_| Some(1));
    assert_eq!(checker.offences.count(Offence::Unexpected), 1);
    assert_eq!(checker.offences.count(Offence::Lost), 1, "client 1 got nothing");
}

#[test]
fn a_client_that_joins_late_misses_nothing_from_before_and_all_from_then_on() {
    let mut checker = Checker::new(RUN, LEN, Expected::SinceJoined { publishers: 2 }, 2, (0, 1));
    checker.is_first(0);
    assert!(matches!(checker.take(0, &message(0, 0), |_| 10), Verdict::Arrived(_)));
    let joined = Arrival { publisher: 0, settled: 5..6, sent_ns: Some(9) };
    assert_eq!(checker.take(1, &message(0, 5), |_| 10), Verdict::Arrived(joined));
    checker.take(1, &message(0, 7), |_| 10);
    // It leaves and comes back, and nobody can tell what it missed meanwhile.
    checker.part(1);
    checker.take(1, &message(0, 9), |_| 10);
    assert!(!checker.is_caught_up(|_| Some(10)), "client 0 waits for nine messages");
    checker.finish(|publisher| Some([10, 0][publisher]));
    assert_only(&checker.offences, Offence::Lost, 9 + 1);
}

#[test]
fn of_any_size_a_changed_run_is_damage_as_well() {
    for at in 0..8 {
        let expected = Expected::SinceJoined { publishers: 1 };
        let mut checker = Checker::new(RUN, 0, expected, 1, (0, 1));
        checker.is_first(0);
        let mut messages = in_order();
        messages[4][at] ^= 1;
        for message in &messages {
            checker.take(0, message, |_| 10);
        }
        checker.finish(|_| Some(10));
        assert_only(&checker.offences, Offence::Damaged, 1);
    }
}

#[test]
fn of_very_many_that_are_missing_a_late_one_is_reordered_and_the_others_are_lost() {
    let gap = MISSING_MAX as u64 + 10;
    let mut checker = Checker::new(RUN, LEN, all_of(1), 1, (0, 1));
    checker.take(0, &message(0, gap), |_| gap + 1);
    // The last one of the gap is beyond those that are remembered.
    for sequence in [gap - 1, 0] {
        checker.take(0, &message(0, sequence), |_| gap + 1);
    }
    checker.finish(|_| Some(gap + 1));
    let counts = [Offence::Reordered, Offence::Lost, Offence::Duplicated];
    assert_eq!(counts.map(|offence| checker.offences.count(offence)), [2, gap - 2, 0]);
}

#[test]
fn messages_of_any_size_are_checked_by_their_pattern() {
    let mut checker = Checker::new(RUN, LEN, Expected::SinceJoined { publishers: 1 }, 1, (0, 1));
    for (sequence, len) in [(0, 32), (1, 33), (2, 4000)] {
        let mut message = vec![0; len];
        Stamp { run: RUN, publisher: 0, sequence, sent_ns: 9 }.write(&mut message);
        assert!(matches!(checker.take(0, &message, |_| 10), Verdict::Arrived(_)), "{len}");
    }
    let mut damaged = message(0, 3);
    damaged[40] ^= 1;
    checker.take(0, &damaged, |_| 10);
    assert_only(&checker.offences, Offence::Damaged, 1);
}
