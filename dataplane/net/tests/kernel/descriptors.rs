//! A process that runs out of file descriptors.

use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use hioload_net::Streams;
use rlimit::Resource;
use socket2::{Domain, Socket, Type};

use crate::scene::{LIMIT, MODES, Worker, worker, write};

/// Set for the process whose limit is lowered.
const CHILD: &str = "HIOLOAD_TEST_CHILD";
/// Accepting is tried again 200 and 600 ms after the failure, and then not before 1,400 ms.
const QUIET: Duration = Duration::from_millis(700);

#[test]
fn without_descriptors_accepting_pauses_quietly_and_resumes_when_one_is_freed() {
    let name =
        "descriptors::without_descriptors_accepting_pauses_quietly_and_resumes_when_one_is_freed";
    if std::env::var_os(CHILD).is_none() {
        // The limit is the process's, so that this runs in one of its own whatever the runner.
        let program = std::env::current_exe().expect("the test's program");
        let output = Command::new(program).args([name, "--exact"]).env(CHILD, "1").output();
        let output = output.expect("the test in a process of its own");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let (_, hard) = Resource::NOFILE.get().expect("the limit");
    for &mode in MODES {
        let (address, mut worker) = worker(mode);
        let mut usage = CpuUsage::new();
        // The clients have their descriptors already, and the server finds three free ones.
        let sockets = [(); 6].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None));
        Resource::NOFILE.set(lowest_free_descriptor() + 3, hard).expect("lowered");
        let mut clients = sockets.map(|socket| {
            let socket = socket.expect("a client");
            socket.connect(&address.into()).expect("taken by the backlog");
            TcpStream::from(socket)
        });

        worker.turn_until(|worker| worker.streams.counters().accept_pauses == 1);
        worker.turn_until(|worker| worker.open.len() == 3);
        let before = usage.now();
        let polls = polls_during_quiet(&mut worker);
        assert!(polls <= 12, "{mode:?}: {polls} polls");
        assert!(usage.now() - before < QUIET / 5, "{mode:?}: it spins");
        assert_eq!((worker.open.len(), worker.streams.counters().accept_pauses), (3, 1));
        assert_served(&mut worker, &mut clients);

        let freed = Instant::now();
        worker.streams.close(worker.open[0].id);
        worker.turn_until(|worker| worker.open.len() == 4);
        assert!(freed.elapsed() < QUIET / 2, "{mode:?}: accepted only when the pause was over");

        Resource::NOFILE.set(hard, hard).expect("raised");
        worker.turn_until(|worker| worker.open.len() == 6);
        assert_eq!(worker.streams.counters().accept_errors, 0);
    }
}

fn lowest_free_descriptor() -> u64 {
    let file = File::open("/dev/null").expect("a descriptor");
    u64::try_from(file.as_raw_fd()).expect("not negative")
}

fn polls_during_quiet(worker: &mut Worker) -> u32 {
    let start = Instant::now();
    let mut polls = 0;
    while let Some(left) = QUIET.checked_sub(start.elapsed()) {
        worker.turn(left);
        polls += 1;
    }
    polls
}

fn assert_served(worker: &mut Worker, clients: &mut [TcpStream]) {
    let flow = worker.open[1];
    let by_address = |client: &&mut TcpStream| client.local_addr().ok() == Some(flow.peer);
    let client = clients.iter_mut().find(by_address).expect("its client");
    write(client, b"hello");
    worker.turn_until(|worker| worker.read.get(&flow.id).is_some_and(|read| read.0 == b"hello"));
    worker.enqueue(flow.id, b"world");
    worker.flush_all(flow.id);
    client.set_read_timeout(Some(LIMIT)).expect("set");
    let mut answer = [0; 5];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"world");
}

/// CPU time of the whole process, from a file that is opened while that is possible.
struct CpuUsage(File);

impl CpuUsage {
    fn new() -> Self {
        Self(File::open("/proc/self/stat").expect("proc(5)"))
    }

    fn now(&mut self) -> Duration {
        let mut bytes = [0; 1024];
        let len = self.0.read_at(&mut bytes, 0).expect("read");
        let text = String::from_utf8_lossy(&bytes[..len]);
        let (_, fields) = text.rsplit_once(')').expect("the program's name in parentheses");
        // utime and stime are fields 14 and 15; the first one here is field 3.
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }
}
