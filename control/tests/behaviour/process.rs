//! The binary in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
#[cfg(feature = "dpdk")]
use std::io::{Read, Write};
use std::net::SocketAddr;
#[cfg(feature = "dpdk")]
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::Backend;
#[cfg(feature = "dpdk")]
use crate::client::PATIENCE;
use crate::scene::wait_until;
use crate::signals::{self, Signal};

/// A running `hioload serve`; killed when it goes out of scope.
pub(crate) struct Process {
    child: Child,
    config: PathBuf,
    log: Arc<Mutex<String>>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Process {
    /// Starts it with `toml`, where clients find it, with an admin server and no pings.
    pub(crate) fn start(backend: Backend, toml: &str) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_hioload")), backend, toml)
    }

    /// The same, through a shell that runs `limits` first.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_within(limits: &str, backend: Backend, toml: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{limits}\nexec \"$0\" \"$@\""));
        shell.arg(env!("CARGO_BIN_EXE_hioload"));
        Self::start_by(shell, backend, toml)
    }

    fn start_by(mut command: Command, backend: Backend, toml: &str) -> Self {
        let name = format!("hioload-{}-{:?}.toml", std::process::id(), thread::current().id());
        let config = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        let toml =
            format!("control.admin = \"127.0.0.1:0\"\nwebsocket.ping_interval = \"off\"\n{toml}");
        fs::write(&config, backend.configuration(&toml)).expect("a configuration file");
        command.args(["serve", "--config"]).arg(&config);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = kept.lock().expect("no panic in here");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut process = Self {
            child,
            config,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        wait_until("the first line of the log", || process.log().contains(" admin="));
        backend.connect();
        process.address = process.logged("addresses=");
        process.admin = process.logged("admin=");
        process
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic in here").clone()
    }

    #[cfg(feature = "dpdk")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the admin server says at `/stats`.
    #[cfg(feature = "dpdk")]
    pub(crate) fn stats(&self) -> serde_json::Value {
        let mut admin = TcpStream::connect(self.admin).expect("the admin server accepts");
        admin.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let host = self.admin;
        write!(admin, "GET /stats HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            .expect("the admin server reads");
        let mut answer = String::new();
        admin.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signals::send(&self.child, &[signal]);
    }

    /// Waits for the end and gives the exit status.
    pub(crate) fn exit_status(&mut self) -> Option<i32> {
        self.exit_status_while(|_| {})
    }

    /// Does something again and again until the end. Not at every look: Wine never comes back to
    /// whoever raises an event in a process that is about to end.
    pub(crate) fn exit_status_while(&mut self, act: impl Fn(&Self)) -> Option<i32> {
        const BETWEEN: Duration = Duration::from_millis(500);
        let mut status = None;
        let mut last: Option<Instant> = None;
        wait_until("the end of the process", || {
            if last.is_none_or(|last| last.elapsed() >= BETWEEN) {
                act(self);
                last = Some(Instant::now());
            }
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    fn logged(&self, key: &str) -> SocketAddr {
        let log = self.log();
        let value = log.split_once(key).map(|(_, rest)| rest).expect(key);
        let value = value.split([' ', ',', '\n']).next().expect("a value");
        value.trim_matches('"').parse().expect("an address")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.config);
        if thread::panicking() {
            eprintln!("log of the server:\n{}", self.log());
        }
    }
}
