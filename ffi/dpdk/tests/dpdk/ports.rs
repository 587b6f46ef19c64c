//! Ports and queues, over virtual devices.

use std::slice;

use hioload_dpdk::{Burst, Port, PortOptions, PortProblem, Started, ring_pair};

use crate::scene;

#[test]
fn frames_cross_a_pair_of_rings_in_order_and_their_mbufs_come_back() {
    let eal = scene::eal("rings", &[]);
    let pool = scene::pool(&eal, "pool");
    let (near, far) = ring_pair(&eal, "wire").unwrap();
    let mut near = near.start(&PortOptions::default(), slice::from_ref(&pool)).unwrap();
    let mut far = far.start(&PortOptions::default(), slice::from_ref(&pool)).unwrap();

    let mut burst = scene::burst(&pool, [&b"first"[..], b"second"]);
    assert_eq!(near.queues[0].1.send(&mut burst).frames, 2);
    assert!(burst.is_empty());

    let frames = scene::receive(&mut far.queues[0].0, 2, |_| true);
    assert_eq!((&frames[0][..], &frames[1][..]), (&b"first"[..], &b"second"[..]));
    drop(frames);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn what_a_full_port_refuses_stays_with_the_sender() {
    let eal = scene::eal("full", &[]);
    let pool = scene::pool(&eal, "pool");
    let (near, far) = ring_pair(&eal, "wire").unwrap();
    let mut near = near.start(&PortOptions::default(), slice::from_ref(&pool)).unwrap();
    let mut far = far.start(&PortOptions::default(), slice::from_ref(&pool)).unwrap();
    let small = scene::pool(&eal, "more");

    let mut taken = 0;
    let left = loop {
        let from = if taken < 960 { &pool } else { &small };
        let mut burst = scene::burst(from, [&b"frame"[..]; 32]);
        taken += near.queues[0].1.send(&mut burst).frames;
        if !burst.is_empty() {
            break burst;
        }
        assert!(taken <= 1024, "a ring of 1024 took {taken}");
    };

    assert_eq!((taken, left.len()), (1023, 1));
    drop(left);
    assert_eq!(pool.in_use() + small.in_use(), 1023);
    drop(scene::receive(&mut far.queues[0].0, 1023, |_| true));
    assert_eq!(pool.in_use() + small.in_use(), 0);
}

#[test]
fn a_port_has_one_owner_until_it_is_dropped() {
    let eal = scene::eal("one-owner", &["net_null0"]);
    let port = Port::find(&eal, "net_null0").unwrap();
    let error = Port::find(&eal, "net_null0").unwrap_err();
    assert!(matches!(error.problem, PortProblem::InUse), "{error}");

    drop(port);

    assert_eq!(Port::find(&eal, "net_null0").unwrap().name(), "net_null0");
}

#[test]
fn a_port_can_be_stopped_and_started_again_but_not_under_its_queues() {
    let eal = scene::eal("restart", &["net_null0"]);
    let pool = scene::pool(&eal, "pool");
    let port = Port::find(&eal, "net_null0").unwrap();
    let Started { port, queues } =
        port.start(&PortOptions::default(), slice::from_ref(&pool)).unwrap();
    let error = port.clone().stop(Vec::new()).unwrap_err();
    assert!(matches!(error.problem, PortProblem::StillInUse), "{error}");

    let port = port.stop(queues).unwrap();
    let two = [pool.clone(), pool.clone()];
    let started = port.start(&PortOptions::default(), &two).unwrap();

    assert_eq!(started.queues.len(), 2);
    assert_eq!(started.port.granted().queue_pairs, 2);
    // This driver can hash; with one queue there was nothing to spread.
    assert_ne!(started.port.granted().rss_hash, 0);
}

#[test]
fn what_a_port_cannot_do_is_refused_by_name_before_it_is_tried() {
    let eal = scene::eal("cannot", &["net_null0"]);
    let pool = scene::pool(&eal, "pool");
    let start = |options: PortOptions, pairs: usize| {
        let port = Port::find(&eal, "net_null0").unwrap();
        port.start(&options, &vec![pool.clone(); pairs]).unwrap_err()
    };
    let options = PortOptions::default();
    for (error, reason) in [
        (start(options, 0), "0 queue pairs"),
        (start(options, 2000), "2000 queue pairs"),
        (start(PortOptions { mtu: 2040, ..options }, 1), "2066 bytes"),
        (start(PortOptions { mtu: 20, ..options }, 1), "MTU of 20"),
    ] {
        let error = error.to_string();
        assert!(error.contains("net_null0") && error.contains(reason), "{error}");
    }
}

#[test]
fn queues_keep_their_port_and_pool_when_all_else_is_dropped() {
    let eal = scene::eal("keep", &["net_null0"]);
    let pool = scene::pool(&eal, "pool");
    let port = Port::find(&eal, "net_null0").unwrap();
    let Started { port, mut queues } = port.start(&PortOptions::default(), &[pool]).unwrap();
    drop((port, eal));
    let (mut rx, mut tx) = queues.remove(0);

    let mut burst = Burst::new();
    assert_eq!(rx.receive(&mut burst, 32), 32);
    assert_eq!(tx.send(&mut burst).frames, 32);

    drop(rx);
    drop(tx);
}

#[test]
fn frames_cross_memif_in_both_directions_and_the_link_is_seen() {
    let socket = std::env::temp_dir().join(format!("hioload-memif-{}", std::process::id()));
    let device = |number, role| {
        format!("net_memif{number},role={role},id=0,socket={},socket-abstract=no", socket.display())
    };
    let (server, client) = (device(0, "server"), device(1, "client"));
    let eal = scene::eal("memif", &[&server, &client]);
    let pool = scene::pool(&eal, "pool");
    let start = |name| {
        Port::find(&eal, name)
            .unwrap()
            .start(&PortOptions::default(), slice::from_ref(&pool))
            .unwrap()
    };
    let (mut server, mut client) = (start("net_memif0"), start("net_memif1"));
    for port in [&server.port, &client.port] {
        scene::until("link", || {
            port.refresh_link().unwrap();
            port.link().is_up()
        });
        assert_eq!(port.link().ups(), 1);
    }

    // The client gives the server memory to send into whenever it receives.
    client.queues[0].0.receive(&mut Burst::new(), 32);

    let mut burst = scene::burst(&pool, [&[7_u8; 60][..]; 3]);
    assert_eq!(server.queues[0].1.send(&mut burst).frames, 3);
    let frames = scene::receive(&mut client.queues[0].0, 3, |_| true);
    assert!(frames.iter().all(|frame| frame[..] == [7; 60]));
    let mut burst = scene::burst(&pool, [&[8_u8; 1514][..]]);
    assert_eq!(client.queues[0].1.send(&mut burst).frames, 1);
    let frames = scene::receive(&mut server.queues[0].0, 1, |_| true);
    assert_eq!(frames[0][..], [8; 1514]);
    let stats = client.port.stats().unwrap();
    assert_eq!((stats.frames_in, stats.frames_out), (3, 1));
    let extended = client.port.extended_stats().unwrap();
    assert!(extended.contains(&("rx_good_packets".to_owned(), 3)), "{extended:?}");
}
