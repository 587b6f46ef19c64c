//! Mbufs that only a port could bring: chains, and such that somebody else refers to.

use std::mem::ManuallyDrop;
use std::slice;

use dpdk_sys::rte_mbuf;

use crate::{
    Burst, Eal, EalOptions, LogLevel, Mbuf, Memory, Mempool, MempoolOptions, PortOptions, Started,
    TxQueue, live, ring_pair,
};

fn eal(test: &str) -> Eal {
    let mut options = EalOptions::new(format!("queue-{test}-{}", std::process::id()), 1);
    options.memory = Memory::Ordinary { mib: 64 };
    options.log_level = LogLevel::Critical;
    Eal::start(&options).unwrap()
}

fn pool(eal: &Eal) -> Mempool {
    let name = "pool".to_owned();
    let options = MempoolOptions { name, mbufs: 511, cache: 0, data_bytes: 2048, node: None };
    Mempool::new(eal, &options).unwrap()
}

/// A wire: what goes in, and what comes out.
fn wire(eal: &Eal, pool: &Mempool) -> (Started, Started) {
    let (near, far) = ring_pair(eal, "wire").unwrap();
    let start =
        |port: crate::Port| port.start(&PortOptions::default(), slice::from_ref(pool)).unwrap();
    (start(near), start(far))
}

/// An mbuf of so many bytes of this value, in nobody's hands.
fn raw(pool: &Mempool, value: u8, len: usize) -> *mut rte_mbuf {
    let mut mbuf = pool.take().unwrap();
    assert!(mbuf.resize(len));
    mbuf.fill(value);
    ManuallyDrop::new(mbuf).as_raw().as_ptr()
}

/// Two segments of one frame.
fn chain(pool: &Mempool, first: usize, second: usize) -> *mut rte_mbuf {
    let (head, tail) = (raw(pool, 1, first), raw(pool, 2, second));
    // SAFETY: an mbuf in nobody's hands.
    let header = unsafe { &mut *head };
    header.next = tail;
    header.nb_segs = 2;
    header.pkt_len += u32::try_from(second).unwrap();
    head
}

fn send(tx: &mut TxQueue, mbuf: *mut rte_mbuf) {
    let mut mbufs = [mbuf];
    // SAFETY: the port runs and has the queue, which is ours; it takes the mbuf.
    let sent =
        unsafe { dpdk_sys::shim_tx_burst(tx.running.device.id(), tx.queue, mbufs.as_mut_ptr(), 1) };
    assert_eq!(sent, 1);
}

#[test]
fn a_chain_is_copied_together_where_it_fits_and_refused_else() {
    let eal = eal("chain");
    let pool = pool(&eal);
    let (mut near, mut far) = wire(&eal, &pool);
    let ((_, tx), (rx, _)) = (&mut near.queues[0], &mut far.queues[0]);

    send(tx, chain(&pool, 1000, 1049));
    send(tx, chain(&pool, 1000, 1048));
    send(tx, raw(&pool, 3, 60));
    live::dropped(5);

    let mut burst = Burst::new();
    assert_eq!(rx.receive(&mut burst, 32), 2);
    assert_eq!(rx.refused(), 1);
    let joined = burst.pop().unwrap();
    assert_eq!(joined.len(), 2048);
    assert!(joined[..1000].iter().all(|byte| *byte == 1));
    assert!(joined[1000..].iter().all(|byte| *byte == 2));
    assert_eq!(burst.pop().unwrap()[..], [3; 60]);
    drop(joined);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_mbuf_that_somebody_else_reads_is_refused() {
    let eal = eal("shared");
    let pool = pool(&eal);
    let (mut near, mut far) = wire(&eal, &pool);
    let mbuf: Mbuf = pool.take().unwrap();
    let shared = mbuf.share();
    let other = ManuallyDrop::new(shared.try_clone().unwrap());

    send(&mut near.queues[0].1, other.as_raw().as_ptr());
    live::dropped(1);

    let mut burst = Burst::new();
    assert_eq!(far.queues[0].0.receive(&mut burst, 32), 0);
    assert_eq!((far.queues[0].0.refused(), shared.references()), (1, 1));
}
