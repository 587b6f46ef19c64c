//! Mbufs and their pools.

use std::thread;

use hioload_dpdk::{BURST_MAX, Burst, Eal, Mempool, MempoolOptions, TxChecksums};
use hioload_mem::slab::{SlabOptions, SlabPool};

use crate::scene;

#[test]
fn mbufs_go_back_to_their_pool_from_any_thread() {
    let eal = scene::eal("any-thread", &[]);
    let pool = scene::pool(&eal, "pool");
    let mbufs: Vec<_> = (0..100).map(|_| pool.take().unwrap()).collect();
    assert_eq!((pool.in_use(), pool.available()), (100, 923));

    thread::spawn(move || drop(mbufs)).join().unwrap();

    assert_eq!((pool.in_use(), pool.available()), (0, 1023));
}

#[test]
fn an_exhausted_pool_gives_nothing_and_takes_no_harm() {
    let eal = scene::eal("exhausted", &[]);
    let pool = scene::pool(&eal, "pool");
    let mbufs: Vec<_> = std::iter::from_fn(|| pool.take()).take(5000).collect();
    assert!(mbufs.len() <= 1023 && mbufs.len() > 900, "{}", mbufs.len());
    let mut burst = Burst::new();
    assert!(!pool.take_burst(BURST_MAX, &mut burst));
    assert!(burst.is_empty());

    drop(mbufs);

    assert!(pool.take_burst(BURST_MAX, &mut burst));
    assert_eq!(pool.in_use(), 32);
}

#[test]
fn blocks_lie_in_mbufs_while_there_are_some_that_hold_them() {
    let eal = scene::eal("blocks", &[]);
    let pool = scene::pool(&eal, "pool");
    let mut blocks = SlabPool::new(SlabOptions::default()).with_pieces(Box::new(pool.clone()));
    let block = |blocks: &mut SlabPool, len: usize| {
        let mut block = blocks.take(0, len);
        block.append_zeros(len);
        block.freeze()
    };

    let first = block(&mut blocks, 64);
    let clones = [first.clone(), first.clone()];
    // Bookkeeping takes 64 bytes of the 2,048 and the headroom.
    let second = block(&mut blocks, 2048 + 128 - 64);
    let too_long = block(&mut blocks, 2048 + 128 - 63);
    assert_eq!((pool.in_use(), too_long.len()), (2, 2113));

    thread::spawn(move || drop((first, second))).join().unwrap();
    assert_eq!(pool.in_use(), 1);
    drop(clones);
    assert_eq!(pool.in_use(), 0);

    let all: Vec<_> = (0..1100).map(|_| block(&mut blocks, 100)).collect();
    assert!(pool.available() < 100, "{}", pool.available());
    drop(blocks);
    assert!(all.iter().all(|block| **block == [0; 100]));
    drop(all);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_frame_is_as_long_as_asked_within_its_buffer() {
    let eal = scene::eal("length", &[]);
    let pool = scene::pool(&eal, "pool");
    let mut mbuf = scene::frame(&pool, b"packet");
    assert_eq!((mbuf.headroom(), mbuf.tailroom()), (128, 2042));

    assert!(mbuf.prepend(4));
    mbuf[..4].copy_from_slice(b"link");
    assert_eq!(&mbuf[..], b"linkpacket");
    assert!(mbuf.trim_front(2));
    assert_eq!(&mbuf[..], b"nkpacket");
    assert!(mbuf.resize(2048 + 128 - mbuf.headroom()));
    assert_eq!(mbuf.tailroom(), 0);

    let len = mbuf.len();
    assert!(!mbuf.resize(len + 1));
    assert!(!mbuf.prepend(127));
    assert!(!mbuf.trim_front(len + 1));
    assert_eq!(mbuf.len(), len);
    assert!(mbuf.trim_front(len));
    assert!(mbuf.is_empty());
}

#[test]
fn a_shared_mbuf_goes_back_with_the_last_reference() {
    let eal = scene::eal("shared", &[]);
    let pool = scene::pool(&eal, "pool");
    let first = scene::frame(&pool, b"to all").share();
    let second = first.try_clone().unwrap();
    assert_eq!(second.references(), 2);

    drop(first);
    thread::spawn(move || {
        assert_eq!(&second[..], b"to all");
        assert_eq!(second.references(), 1);
    })
    .join()
    .unwrap();

    assert_eq!(pool.in_use(), 0);
}

#[test]
fn references_are_refused_before_their_count_overflows() {
    let eal = scene::eal("references", &[]);
    let pool = scene::pool(&eal, "pool");
    let shared = scene::frame(&pool, b"to all").share();

    let clones: Vec<_> = std::iter::from_fn(|| shared.try_clone()).take(40_000).collect();

    assert_eq!(clones.len(), 32_766);
    assert_eq!(shared.references(), 32_767);
    drop((clones, shared));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn mbufs_may_outlive_all_handles_of_their_pool_and_of_the_eal() {
    let options = scene::options("outlive");
    let eal = Eal::start(&options).unwrap();
    let pool = scene::pool(&eal, "pool");
    let mut mbuf = scene::frame(&pool, b"still here");

    drop((pool, eal));

    mbuf[0] = b'S';
    assert_eq!(&mbuf[..], b"Still here");
    scene::remove_files(&options);
}

#[test]
fn the_name_of_a_pool_is_free_when_its_last_mbuf_is_gone() {
    let eal = scene::eal("pool-name", &[]);
    let options = MempoolOptions {
        name: "pool".to_owned(),
        mbufs: 63,
        cache: 0,
        data_bytes: 2048,
        node: None,
    };
    let pool = Mempool::new(&eal, &options).unwrap();
    let mbuf = pool.take().unwrap();
    drop(pool);
    let error = Mempool::new(&eal, &options).unwrap_err();
    assert!(error.to_string().contains("the name is taken"), "{error}");

    drop(mbuf);
    // Any pool that goes has those freed that wait.
    drop(
        Mempool::new(&eal, &MempoolOptions { name: "other".to_owned(), ..options.clone() })
            .unwrap(),
    );

    Mempool::new(&eal, &options).unwrap();
}

#[test]
fn options_that_cannot_be_are_refused_with_the_reason() {
    let eal = scene::eal("pool-options", &[]);
    let good = MempoolOptions {
        name: "pool".to_owned(),
        mbufs: 63,
        cache: 0,
        data_bytes: 2048,
        node: None,
    };
    for (options, reason) in [
        (MempoolOptions { name: "a".repeat(21), ..good.clone() }, "1 to 20 bytes"),
        (MempoolOptions { cache: 43, ..good.clone() }, "mbufs / 1.5"),
        (MempoolOptions { data_bytes: 65_500, ..good.clone() }, "65,535"),
        (MempoolOptions { mbufs: 1 << 20, ..good }, "MiB"),
    ] {
        let error = Mempool::new(&eal, &options).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_burst_keeps_order_and_frees_what_is_left_in_it() {
    let eal = scene::eal("burst", &[]);
    let pool = scene::pool(&eal, "pool");
    let mut burst = Burst::new();
    for number in 0..BURST_MAX {
        burst.push(scene::frame(&pool, &[u8::try_from(number).unwrap()])).unwrap();
    }
    let surplus = burst.push(scene::frame(&pool, b"x")).unwrap_err();
    assert_eq!(burst.pop().unwrap()[0], 0);
    burst.push(surplus).unwrap();
    assert_eq!(burst.pop().unwrap()[0], 1);
    assert_eq!(burst.len(), 31);
    assert_eq!(pool.in_use(), 31);

    drop(burst);

    assert_eq!(pool.in_use(), 0);
}

#[test]
fn headers_that_are_too_long_for_the_hardware_ask_for_nothing() {
    let eal = scene::eal("headers", &[]);
    let pool = scene::pool(&eal, "pool");
    let mut mbuf = scene::frame(&pool, b"packet");
    let ask = TxChecksums {
        link_header_bytes: 14,
        ip_header_bytes: 20,
        ipv6: false,
        ip: true,
        tcp: true,
    };
    assert!(mbuf.ask_checksums(ask));
    assert!(!mbuf.ask_checksums(TxChecksums { link_header_bytes: 128, ..ask }));
    assert!(!mbuf.ask_checksums(TxChecksums { ip_header_bytes: 512, ..ask }));
}
