//! The admin interface on a Unix socket.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::{Answer, PATIENCE, exchange};
use crate::scene::{Scene, build};

/// A path of its own for a test; what is there at its end goes.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hioload-admin-{}-{count}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn admin(&self) -> String {
        format!("unix:{}", self.0.display())
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn ask(path: &Path, headers: &str) -> Answer {
    let stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    exchange(stream, request.as_bytes())
}

/// Why an appliance with this admin interface does not start.
fn start_error(socket: &SocketPath) -> String {
    build(&socket.admin(), "").start().expect_err("it does not start").to_string()
}

#[test]
fn only_this_user_can_connect_and_by_any_host() {
    let socket = SocketPath::new();
    let scene = Scene::with_admin(&socket.admin(), "");
    assert_eq!(scene.appliance.admin_address(), Some(socket.admin()));
    let mode = fs::metadata(&socket.0).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(ask(&socket.0, "Host: whatever\r\n").status, 200);
    assert_eq!(ask(&socket.0, "Host: a.example\r\nOrigin: http://b.example\r\n").status, 403);
}

#[test]
fn the_socket_goes_with_the_appliance() {
    let socket = SocketPath::new();
    let scene = Scene::with_admin(&socket.admin(), "");
    scene.appliance.stop().expect("it ends well");
    assert!(!socket.0.exists());
}

#[test]
fn a_socket_where_nobody_listens_is_replaced() {
    let socket = SocketPath::new();
    drop(UnixListener::bind(&socket.0).expect("a socket"));
    assert!(socket.0.exists(), "it outlives its process");
    let _scene = Scene::with_admin(&socket.admin(), "");
    assert_eq!(ask(&socket.0, "Host: whatever\r\n").status, 200);
}

#[test]
fn a_socket_where_somebody_listens_is_left_alone() {
    let socket = SocketPath::new();
    let _other = UnixListener::bind(&socket.0).expect("a socket");
    let error = start_error(&socket);
    assert!(error.contains("another process does"), "{error}");
    assert!(UnixStream::connect(&socket.0).is_ok(), "it still listens");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let socket = SocketPath::new();
    fs::write(&socket.0, "precious").expect("a file");
    let error = start_error(&socket);
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&socket.0).expect("it is there"), "precious");
}
