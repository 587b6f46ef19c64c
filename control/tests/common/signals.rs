//! Asking a child process to end, each system in its own way.

use std::process::Child;

/// What asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM; Ctrl-Break on Windows.
    Terminate,
    /// SIGINT; Ctrl-C on Windows.
    Interrupt,
}

/// Sends these signals one right after the other. One that has ended is not disturbed.
#[cfg(unix)]
pub(crate) fn send(child: &Child, signals: &[Signal]) {
    let kill = |signal: &Signal| match signal {
        Signal::Terminate => "kill -s TERM $0",
        Signal::Interrupt => "kill -s INT $0",
    };
    // One shell for all: between two programs more time may pass than makes two requests of them.
    let script = signals.iter().map(kill).collect::<Vec<_>>().join(" && ");
    let mut shell = std::process::Command::new("sh");
    let sent = shell.args(["-c", &script, &child.id().to_string()]).status().expect("a shell");
    assert!(sent.success(), "not sent: {signals:?}");
}

/// Raises these console events one right after the other. One that has ended is not disturbed.
#[cfg(windows)]
pub(crate) fn send(child: &Child, signals: &[Signal]) {
    use hioload_console::{ConsoleEvent, raise};

    for signal in signals {
        let event = match signal {
            Signal::Terminate => ConsoleEvent::CtrlBreak,
            Signal::Interrupt => ConsoleEvent::CtrlC,
        };
        raise(child, event).expect("the event is raised");
    }
}
