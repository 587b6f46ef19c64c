//! The wheel against a list, and its promises one by one.

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(10);

fn flow(index: u32) -> FlowId {
    FlowId { index, generation: 0 }
}

fn expire(wheel: &mut TimerWheel, now: Instant) -> Vec<u32> {
    let mut expired = Vec::new();
    wheel.expire(now, &mut expired);
    expired.iter().map(|flow| flow.index).collect()
}

#[test]
fn a_deadline_is_reported_within_a_tick_and_never_early() {
    let start = Instant::now();
    let mut wheel = TimerWheel::new(start, TICK);
    let at = start + Duration::from_millis(25);
    wheel.schedule(flow(7), at);
    assert_eq!(expire(&mut wheel, at - Duration::from_nanos(1)), []);
    assert_eq!(expire(&mut wheel, at), []);
    assert_eq!(expire(&mut wheel, start + Duration::from_millis(30)), [7]);
    assert!(wheel.is_empty());
}

#[test]
fn a_deadline_that_has_passed_is_reported_at_once() {
    let start = Instant::now();
    let now = start + Duration::from_secs(5);
    let mut wheel = TimerWheel::new(start, TICK);
    expire(&mut wheel, now);
    wheel.schedule(flow(1), start);
    assert!(wheel.next().is_some_and(|next| next <= now));
    assert_eq!(expire(&mut wheel, now), [1]);
    assert_eq!(wheel.next(), None);
}

#[test]
fn a_deadline_of_days_wakes_an_idle_worker_a_handful_of_times() {
    let start = Instant::now();
    let mut wheel = TimerWheel::new(start, TICK);
    let at = start + Duration::from_secs(3 * 86_400 + 12_345);
    wheel.schedule(flow(1), at);
    let mut calls = 0;
    let mut now = start;
    while let Some(next) = wheel.next() {
        assert!(next > now, "the worker would spin");
        now = next;
        calls += 1;
        let expired = expire(&mut wheel, now);
        assert_eq!(expired.is_empty(), now < at);
    }
    assert!((at..at + TICK).contains(&now));
    assert!(calls <= 6, "{calls} calls");
}

#[test]
fn the_farthest_deadline_that_the_clock_can_name_is_kept() {
    let start = Instant::now();
    let mut wheel = TimerWheel::new(start, TICK);
    wheel.schedule(flow(1), start + Duration::from_secs(1 << 40));
    assert_eq!(expire(&mut wheel, start + Duration::from_secs(1 << 32)), []);
    assert_eq!(wheel.len(), 1);
}

#[test]
fn a_crowd_is_reported_in_bounded_portions_that_follow_without_a_pause() {
    let start = Instant::now();
    let mut wheel = TimerWheel::new(start, TICK);
    let at = start + Duration::from_secs(1);
    (0..10_000).for_each(|index| wheel.schedule(flow(index), at));
    let mut expired = Vec::new();
    let mut calls = 0;
    while !wheel.is_empty() {
        let before = expired.len();
        wheel.expire(at, &mut expired);
        assert!(expired.len() - before <= 1024);
        assert!(wheel.next().is_none_or(|next| next <= at));
        calls += 1;
    }
    assert!(calls < 30, "{calls} calls");
    expired.sort_unstable_by_key(|flow| flow.index);
    assert!(expired.iter().map(|flow| flow.index).eq(0..10_000));
}

#[test]
fn a_steady_state_takes_no_new_entries() {
    let start = Instant::now();
    let mut wheel = TimerWheel::new(start, TICK);
    for turn in 1..1000 {
        wheel.schedule(flow(turn), start + TICK * turn);
        assert_eq!(expire(&mut wheel, start + TICK * turn), [turn]);
    }
    assert_eq!(wheel.used, 1);
}

/// A deadline some way ahead, or the passing of time.
#[derive(Clone, Debug)]
enum Op {
    Schedule { ahead: Duration },
    Expire { after: Duration },
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![0..100u64, 0..10_000u64, 0..10_000_000u64, 0..10_000_000_000u64]
        .prop_map(Duration::from_millis)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        duration().prop_map(|ahead| Op::Schedule { ahead }),
        duration().prop_map(|after| Op::Expire { after }),
    ]
}

proptest! {
    #[test]
    fn the_wheel_names_what_a_list_would_name(ops in prop::collection::vec(op(), 1..200)) {
        let start = Instant::now();
        let mut now = start;
        let mut wheel = TimerWheel::new(start, TICK);
        let mut waiting: Vec<(u32, Instant)> = Vec::new();
        for (op, index) in ops.into_iter().zip(0..) {
            match op {
                Op::Schedule { ahead } => {
                    wheel.schedule(flow(index), now + ahead);
                    waiting.push((index, now + ahead));
                }
                Op::Expire { after } => {
                    let next = wheel.next();
                    now += after;
                    let expired = expire(&mut wheel, now);
                    let early = next.is_none_or(|next| now < next);
                    prop_assert!(!early || expired.is_empty(), "next() was late");
                    for index in expired {
                        let place = waiting.iter().position(|entry| entry.0 == index);
                        let at = waiting.swap_remove(place.expect("a flow that waits")).1;
                        prop_assert!(at <= now, "early");
                    }
                    prop_assert!(waiting.iter().all(|&(_, at)| at + TICK > now), "late");
                }
            }
            prop_assert_eq!(wheel.len(), waiting.len());
            prop_assert_eq!(wheel.next().is_none(), waiting.is_empty());
            if let Some(earliest) = waiting.iter().map(|entry| entry.1).min() {
                prop_assert!(wheel.next().is_some_and(|next| next < earliest + TICK));
            }
        }
    }
}
