//! Flags, and the plans that they make.

use super::*;
#[cfg(feature = "dpdk")]
use crate::link::{Carrier, Link, Packets};

fn plan(flags: &str) -> Result<Plan, clap::Error> {
    let words = ["hioload-pktgen"].into_iter().chain(flags.split(' '));
    Ok(Cli::try_parse_from(words)?.plan()?.0)
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn a_broadcast_is_a_closed_loop_unless_a_rate_is_given() {
    let closed = plan("broadcast --target [::1]:80 --window 16").unwrap();
    let load = Load::Window(16);
    let audience = Audience { publishers: 1, slow: 0, sender_excluded: false };
    assert_eq!(closed.scenario, Scenario::Broadcast { audience, message_len: 64, load });
    assert_eq!(closed.until, Until::Elapsed(Duration::from_secs(10)));
    let open = plan("echo --target a:80 --rate 2.5 --size 1024 --messages 7").unwrap();
    let load = Load::Rate(2.5);
    assert_eq!(open.scenario, Scenario::Echo { message_len: 1024, load });
    assert_eq!((open.until, open.warmup), (Until::Count(7), Duration::ZERO));
}

#[test]
fn flags_out_of_bounds_are_refused_by_name() {
    for (flags, named) in [
        ("broadcast", "--target"),
        ("broadcast --target nowhere", "--target"),
        ("broadcast --target a:0", "--target"),
        ("broadcast --target a:1 --path ws", "--path"),
        ("broadcast --target a:1 --size 31", "--size"),
        ("broadcast --target a:1 --window 0", "--window"),
        ("broadcast --target a:1 --rate -1", "--rate"),
        ("broadcast --target a:1 --rate nan", "--rate"),
        ("broadcast --target a:1 --rate 1 --window 2", "--window"),
        ("broadcast --target a:1 --duration 1", "--duration"),
        ("broadcast --target a:1 --duration 0s", "more than no time"),
        ("slowloris --target a:1 --duration 0ms", "more than no time"),
        ("slowloris --target a:1 --bad 1000000", "--connections and --bad"),
        ("idle --transport ring --clients 224.0.0.0/8", "--clients"),
        ("idle --transport ring --clients 127.0.0.0/8", "--clients"),
        ("idle --transport ring --clients 0.0.0.0/0", "--clients"),
        ("broadcast --target a:1 --duration 99999999999999999999s", "--duration"),
        ("broadcast --target a:1 --duration 1s --messages 5", "--duration"),
        ("broadcast --target a:1 --connections 4 --publishers 5", "--publishers"),
        ("broadcast --target a:1 --connections 4 --threads 5", "--threads"),
        ("broadcast --target a:1 --connections 4 --slow 3 --threads 2", "--threads"),
        ("broadcast --target a:1 --connections 100000000", "--connections"),
        ("broadcast --target a:1 --connections 4 --slow 4", "--slow"),
        ("broadcast --target a:1 --connections 4 --slow 2 --publishers 3", "--publishers"),
        ("broadcast --target a:1 --connections 1 --sender-excluded", "--sender-excluded"),
        (
            "broadcast --target a:1 --connections 3 --threads 2 --sender-excluded",
            "--sender-excluded",
        ),
        ("broadcast --target ::1:80", "--target"),
        ("idle --target a:1 --source localhost", "--source"),
        ("connect --target a:1 --closed-by nobody", "--closed-by"),
        ("idle --target a:1 --transport dpdk", "--transport"),
        ("idle --target a:1 --clients 10.0.0.0/8", "--clients"),
        ("idle --target a:1 --acks each", "--acks: it does nothing with --transport kernel"),
        ("idle --target a:1 --wire lost=1", "--wire: it does nothing with --transport kernel"),
        ("idle --transport ring --threads 2", "--threads"),
        ("idle --transport ring --source 10.0.0.1", "--source"),
        ("idle --transport ring --target [::1]:80", "--target"),
        ("idle --target a:1 --server-pid 0", "--server-pid"),
        ("idle --target a:1 --admin 9090", "--admin"),
        ("mix --target a:1", "<SCENARIO>"),
        ("mix a.toml --target a:1 --connections 5", "--connections"),
        ("mix a.toml --target a:1 --duration 5s", "--duration"),
        ("mix nowhere.toml --target a:1", "nowhere.toml: "),
    ] {
        let error = plan(flags).expect_err(flags);
        assert_eq!(error.exit_code(), 2, "{flags}");
        assert!(error.to_string().contains(named), "{flags}: {error}");
    }
}

#[cfg(feature = "dpdk")]
#[test]
fn flags_of_dpdk_are_refused_where_nothing_comes_of_them() {
    // Whoever forgets --transport dpdk would measure the kernel.
    for transport in ["kernel --target a:1", "ring"] {
        for flag in [
            "--vdev x",
            "--pci 0000:03:00.0",
            "--cpu 99",
            "--memory 64",
            "--no-huge",
            "--file-prefix x",
            "--eal-arg x",
            "--mtu 1500",
            "--descriptors 2048",
        ] {
            let error = plan(&format!("idle --transport {transport} {flag}")).expect_err(flag);
            let (flag, _) = flag.split_once(' ').unwrap_or((flag, ""));
            let (transport, _) = transport.split_once(' ').unwrap_or((transport, ""));
            let reason = format!("{flag}: it does nothing with --transport {transport}");
            assert!(error.to_string().contains(&reason), "{error}");
        }
    }
    let dpdk = plan("idle --transport dpdk --vdev x --target a:1 --clients 10.0.0.0/8");
    let Link::Packets(Packets { carrier: Carrier::Dpdk(port), .. }) = dpdk.unwrap().link else {
        panic!("it is packets");
    };
    assert_eq!((port.memory_mib, port.mtu, port.descriptors), (64, 1500, 2048));
}
