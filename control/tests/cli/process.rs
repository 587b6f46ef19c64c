//! The binary in processes of their own.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use tungstenite::WebSocket;

/// Longest wait for anything; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program with these arguments, which nobody's environment refines.
pub(crate) fn hioload(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hioload"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    hioload(arguments).output().expect("it runs")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A configuration file that goes at the end of the test.
pub(crate) struct ConfigFile(PathBuf);

impl ConfigFile {
    pub(crate) fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hioload-cli-{}-{count}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).expect("a file");
        Self(path)
    }

    /// Free ports, besides what `text` says.
    pub(crate) fn on_free_ports(text: &str) -> Self {
        let ports = "server.listen = \"127.0.0.1:0\"\ncontrol.admin = \"127.0.0.1:0\"\n";
        Self::new(&format!("{ports}{text}"))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A running `hioload serve`; killed when it goes out of scope.
pub(crate) struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The first line of its log.
    pub(crate) first_line: String,
}

impl Server {
    /// Starts it and reads the first line of its log.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut server = Self { child, stderr, first_line: String::new() };
        server.first_line = server.next_line();
        server
    }

    /// The next line of the log, which is awaited; empty at the end of the log.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("the log is read");
        line
    }

    /// Reads the log up to a line with this in it.
    pub(crate) fn line_with(&mut self, part: &str) -> String {
        loop {
            let line = self.next_line();
            assert!(!line.is_empty(), "the log ended without {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// An address of the first line: the first one of the field `name`.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let value = self.first_line.split_once(&format!(" {name}=")).expect(name).1;
        value.split([' ', ',', '\n']).next().and_then(|it| it.parse().ok()).expect("an address")
    }

    pub(crate) fn websocket(&self) -> WebSocket<TcpStream> {
        let address = self.address("addresses");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        tungstenite::client(format!("ws://{address}/ws"), stream).expect("it upgrades").0
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success(), "signal {name} was not sent");
    }

    /// Waits for the end; `None` where a signal brought it about.
    pub(crate) fn exit_status(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
