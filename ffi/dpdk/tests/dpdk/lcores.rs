//! Closures on lcores.

use std::sync::mpsc;
use std::time::Duration;

use hioload_dpdk::{LaunchError, LcoreId, current_lcore};

use crate::scene;

const WORKER: LcoreId = LcoreId(1);

#[test]
fn a_closure_runs_on_its_lcore_and_its_result_comes_back() {
    let eal = scene::eal("launch", &[]);
    assert_eq!(current_lcore(), Some(LcoreId(0)));

    for number in 0..3 {
        let handle = eal.launch(WORKER, move || (number, current_lcore())).unwrap();
        assert_eq!(handle.join().unwrap(), (number, Some(WORKER)));
    }
}

#[test]
fn a_panic_ends_the_closure_alone() {
    let eal = scene::eal("panic", &[]);

    let handle = eal.launch(WORKER, || panic!("on purpose")).unwrap();

    let panic = handle.join().unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    assert_eq!(eal.launch(WORKER, || 7).unwrap().join().unwrap(), 7);
}

#[test]
fn a_busy_lcore_takes_nothing_and_says_so() {
    let eal = scene::eal("busy", &[]);
    let (end, ended) = mpsc::channel::<()>();
    let handle = eal.launch(WORKER, move || ended.recv()).unwrap();

    assert!(matches!(eal.launch(WORKER, || ()), Err(LaunchError::Busy(WORKER))));
    let handle = handle.join_within(Duration::from_millis(1)).unwrap_err();
    drop(end);

    assert!(handle.join().unwrap().is_err());
}

#[test]
fn only_workers_can_be_launched() {
    let eal = scene::eal("workers", &[]);
    for lcore in [LcoreId(0), LcoreId(2), LcoreId(u32::MAX)] {
        let error = eal.launch(lcore, || ()).unwrap_err();
        assert!(error.to_string().contains("there are [1]"), "{error}");
    }
}

#[test]
fn an_lcore_has_mbufs_of_its_cache_that_others_free() {
    let eal = scene::eal("lcore-cache", &[]);
    let pool = scene::pool(&eal, "pool");
    let taker = pool.clone();

    let mbufs = eal
        .launch(WORKER, move || (0..64).filter_map(|_| taker.take()).collect::<Vec<_>>())
        .unwrap()
        .join()
        .unwrap();

    assert_eq!((mbufs.len(), pool.in_use()), (64, 64));
    drop(mbufs);
    assert_eq!(pool.in_use(), 0);
}
