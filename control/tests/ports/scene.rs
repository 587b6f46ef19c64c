//! An appliance on a tap, with the kernel's TCP on the other side.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use hioload::{Appliance, Config, Handle, Handler};
use serde_json::Value;
use tungstenite::WebSocket;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the tests run.
const INSIDE: &str = "HIOLOAD_TEST_IN_NAMESPACE";

/// Where clients find the appliance.
pub(crate) const SERVED: &str = "10.78.0.2:80";

/// Runs a test once more, in a network namespace that ends with it, and there the story.
pub(crate) fn in_namespace(test: &str, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        return story();
    }
    let status = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare (util-linux) runs");
    assert!(status.success(), "inside the namespace: {status}");
}

/// An appliance with one lcore and one port, a tap.
pub(crate) fn start<H: Handler>(handler: impl FnOnce(Handle) -> H) -> Appliance {
    let prefix = format!("hioload-ports-{}", std::process::id());
    let text = format!(
        "[server]\nlisten = \"{SERVED}\"\ndatapath = \"dpdk\"\n\
         [websocket]\norigins = \"any\"\n\
         [control]\nadmin = \"127.0.0.1:0\"\ndrain_timeout = \"500ms\"\n\
         [dpdk]\nhuge_pages = false\nflows_max = 64\nhalf_open_max = 16\ntime_wait_max = 16\n\
         file_prefix = \"{prefix}\"\n\
         [[dpdk.port]]\nvdev = \"net_tap0,iface=tap0\"\naddresses = [\"10.78.0.2/24\"]\n\
         lcores = \"0\"\n"
    );
    let config = Config::parse(&text, "ports").expect("a valid configuration");
    let builder = Appliance::builder();
    let handler = handler(builder.handle());
    let appliance = builder.config(config).handler(handler).start();
    let appliance = appliance.expect("it starts");
    ip("address add 10.78.0.1/24 dev tap0");
    ip("link set tap0 up");
    appliance
}

/// A client on the other side of the tap.
pub(crate) fn client() -> WebSocket<TcpStream> {
    let address: SocketAddr = SERVED.parse().expect("an address");
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it is served");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    tungstenite::client(format!("ws://{SERVED}/ws"), stream).expect("it upgrades").0
}

/// What the admin interface answers.
pub(crate) fn get(appliance: &Appliance, path: &str) -> String {
    let address = appliance.admin_address().expect("there is one");
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    body.to_owned()
}

pub(crate) fn stats(appliance: &Appliance) -> Value {
    serde_json::from_str(&get(appliance, "/stats")).expect("JSON")
}

/// Statistics of which a fact holds, which it does soon.
pub(crate) fn stats_when(appliance: &Appliance, fact: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let stats = stats(appliance);
        if fact(&stats) {
            return stats;
        }
        assert!(Instant::now() < end, "still {stats:#}");
        thread::yield_now();
    }
}

/// `ip ARGUMENTS`, separated by spaces.
fn ip(arguments: &str) {
    let status =
        Command::new("ip").args(arguments.split(' ')).status().expect("ip (iproute2) runs");
    assert!(status.success(), "ip {arguments}: {status}");
}
