//! Real huge pages: `ci/test dpdk` sees to it that there are some.

use std::fs;

use hioload_dpdk::{Eal, Memory, Mempool, MempoolOptions};

use crate::scene;

#[test]
fn memory_of_huge_pages_is_had_and_given_back() {
    let free = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let free: u64 = free.map_or(0, |text| text.trim().parse().unwrap());
    if free < 64 {
        eprintln!("left out: {free} free huge pages of 2 MiB, of 64");
        return;
    }
    let mut options = scene::options("huge-pages");
    options.memory = Memory::HugePages { mib_per_node: vec![64] };
    let eal = Eal::start(&options).unwrap();
    let pool = MempoolOptions {
        name: "pool".to_owned(),
        mbufs: 8191,
        cache: 256,
        data_bytes: 2048,
        node: Some(0),
    };
    let pool = Mempool::new(&eal, &pool).unwrap();
    assert!(held_kib() >= 32 * 1024, "{} KiB", held_kib());
    let names = fs::read_dir("/dev/hugepages").unwrap().flatten().map(|entry| entry.file_name());
    let ours = names.filter(|name| name.to_string_lossy().starts_with(&options.file_prefix));
    assert_eq!(ours.count(), 0);

    drop((pool, eal));

    assert_eq!(held_kib(), 0);
}

/// What this process has of huge pages. Free ones are the host's, of which others take some.
fn held_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("HugetlbPages:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
