//! The binary, while it serves.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::WebSocket;

use crate::signals::{self, Signal};

/// Longest wait for anything; a test that waits longer has failed. Under Wine all takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 60 } else { 20 });

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
        Self::websocket_to(self.address("addresses"))
    }

    pub(crate) fn websocket_to(address: SocketAddr) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        tungstenite::client(format!("ws://{address}/ws"), stream).expect("it upgrades").0
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.signals(&[signal]);
    }

    /// Sends these signals, one right after the other.
    pub(crate) fn signals(&self, signals: &[Signal]) {
        signals::send(&self.child, signals);
    }

    /// Waits for the end; `None` where a signal brought it about.
    pub(crate) fn exit_status(&mut self) -> Option<i32> {
        self.exit_status_while(|_| {})
    }

    /// Does something again and again until the end. Not all the time: under Wine a signal to a
    /// process that is just ending may never return.
    pub(crate) fn exit_status_while(&mut self, act: impl Fn(&Self)) -> Option<i32> {
        const BETWEEN: Duration = Duration::from_millis(200);
        let start = Instant::now();
        let mut last: Option<Instant> = None;
        loop {
            if last.is_none_or(|last| last.elapsed() >= BETWEEN) {
                act(self);
                last = Some(Instant::now());
            }
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
