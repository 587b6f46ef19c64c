//! Workers that are kept on CPUs, as Linux shows it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::process::{ConfigFile, hioload, run, stderr};
use crate::server::Server;

/// The CPUs that a thread may use, as the kernel lists them: `0-1`.
fn allowed(thread: &str) -> String {
    let status = fs::read_to_string(format!("{thread}/status")).expect("a thread that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("Linux says it").trim().to_owned()
}

/// The CPUs of this process, one by one.
fn cpus_here() -> Vec<usize> {
    let list = allowed("/proc/thread-self");
    let ranges = list.split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<usize>().expect("a CPU")..=last.parse().expect("a CPU")
    });
    ranges.flatten().collect()
}

/// The threads of the server by name, each with the CPUs that it may use.
fn threads(server: &Server) -> BTreeMap<String, String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    let paths = tasks.map(|task| task.expect("a thread").path().display().to_string());
    let named = paths.map(|path| {
        let name = fs::read_to_string(format!("{path}/comm")).expect("a thread that runs");
        (name.trim().to_owned(), allowed(&path))
    });
    named.collect()
}

/// The CPUs that each worker may use, the first worker's first.
fn of_workers(server: &Server) -> Vec<String> {
    let threads = threads(server).into_iter();
    threads.filter(|(name, _)| name.starts_with("worker-")).map(|(_, cpus)| cpus).collect()
}

#[test]
fn each_worker_runs_on_its_cpu_of_the_list_and_the_log_says_so() {
    let mut cpus = cpus_here();
    // As many as sort by name, the last one first.
    cpus.truncate(10);
    cpus.reverse();
    let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    let file = ConfigFile::on_free_ports(&format!("server.cpus = \"{}\"\n", cpus.join(",")));
    let mut server = Server::start(&mut hioload(&["--config", file.path()]));
    assert_eq!(of_workers(&server), cpus, "as many workers as CPUs, in their order");
    let line = server.line_with("workers are pinned");
    assert!(line.contains(&format!("worker-0 on CPU {}", cpus[0])), "{line}");
}

#[test]
fn only_workers_are_pinned() {
    let file = ConfigFile::on_free_ports("server.cpus = \"auto\"\nserver.workers = 1\n");
    let server = Server::start(&mut hioload(&["--config", file.path()]));
    let mut threads = threads(&server);
    assert_eq!(threads.remove("worker-0"), Some(cpus_here()[0].to_string()));
    let here = allowed("/proc/thread-self");
    assert!(threads.len() > 1 && threads.values().all(|cpus| *cpus == here), "{threads:?}");
}

#[test]
fn auto_takes_the_cpus_that_the_process_was_given() {
    let last = cpus_here().pop().expect("a CPU").to_string();
    let file = ConfigFile::on_free_ports("server.cpus = \"auto\"\n");
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", &last, env!("CARGO_BIN_EXE_hioload"), "--config", file.path()]);
    let server = Server::start(taskset.env_remove("RUST_LOG"));
    assert_eq!(of_workers(&server), [last]);
}

#[test]
fn a_worker_that_is_not_pinned_may_use_every_cpu() {
    let file = ConfigFile::on_free_ports("server.workers = 2\n");
    let server = Server::start(&mut hioload(&["--config", file.path()]));
    let here = allowed("/proc/thread-self");
    assert_eq!(of_workers(&server), [here.clone(), here]);
}

#[test]
fn a_cpu_that_the_process_may_not_use_is_refused_at_the_start() {
    let file = ConfigFile::on_free_ports(&format!("server.cpus = \"{},8000\"\n", cpus_here()[0]));
    let output = run(&["--config", file.path()]);
    assert_eq!(output.status.code(), Some(1));
    let here = allowed("/proc/thread-self");
    let expected = format!("server.cpus: expected CPUs that this process may use (\"{here}\")");
    let text = stderr(&output);
    assert!(text.starts_with(&expected) && text.trim_end().ends_with("got 8000"), "{text}");
}

#[test]
fn auto_is_refused_where_there_are_more_workers_than_cpus() {
    let file = ConfigFile::on_free_ports("server.cpus = \"auto\"\n");
    let count = cpus_here().len();
    let workers = (count + 1).to_string();
    let output = run(&["--config", file.path(), "--workers", &workers]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&format!("expected at most {count} server.workers")), "{text}");
    assert!(text.trim_end().ends_with(&format!("got {workers}")), "{text}");
}

#[test]
fn a_flag_that_asks_for_more_workers_than_the_list_has_cpus_is_refused() {
    let file = ConfigFile::on_free_ports("server.cpus = \"0\"\n");
    let output = run(&["--config", file.path(), "--workers", "3"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    let place = format!("{}:3:15: server.cpus: each worker needs a CPU of its own", file.path());
    assert!(text.starts_with(&place), "{text}");
    assert!(text.contains("(server.workers is what --workers says)"), "{text}");
}

/// What the server asked for memory: the policies other than the default one, as Linux lists them.
#[cfg(feature = "numa")]
fn policies(server: &Server) -> std::collections::BTreeSet<String> {
    let maps = fs::read_to_string(format!("/proc/{}/numa_maps", server.pid())).expect("it runs");
    let policies = maps.lines().filter_map(|line| line.split(' ').nth(1));
    policies.filter(|policy| *policy != "default").map(str::to_owned).collect()
}

#[test]
#[cfg(feature = "numa")]
fn messages_lie_on_the_node_of_a_pinned_worker() {
    let cpu = cpus_here()[0];
    let node = (0..1024)
        .find(|node| fs::exists(format!("/sys/devices/system/cpu/cpu{cpu}/node{node}")).unwrap())
        .expect("a node");
    for (cpus, expected) in [(cpu.to_string().as_str(), Some(node)), ("off", None)] {
        let text = format!("server.cpus = \"{cpus}\"\nserver.workers = 1\n");
        let file = ConfigFile::on_free_ports(&text);
        let mut server = Server::start(&mut hioload(&["--config", file.path()]));
        let mut client = server.websocket();
        client.send("hello".into()).expect("it is sent");
        assert_eq!(client.read().expect("it comes back").to_text().unwrap(), "hello");
        let expected_policies = expected.map(|node| format!("prefer:{node}")).into_iter().collect();
        assert_eq!(policies(&server), expected_policies, "server.cpus = {cpus}");
        if let Some(node) = expected {
            let line = server.line_with("workers are pinned");
            assert!(line.contains(&format!("worker-0 on CPU {cpu} of NUMA node {node}")), "{line}");
        }
    }
}
