//! Setting the scene: an appliance in this process, or the binary in a process of its own.

use std::net::SocketAddr;

use hioload::{Appliance, Broadcast, Config, Handler, Recovery, StartError, Stats};

use crate::Backend;
use crate::client::{Client, PATIENCE};

/// An appliance in this process; stops when it goes out of scope.
pub(crate) struct Server {
    pub(crate) appliance: Appliance,
}

impl Server {
    /// Broadcasts, configured by `toml` and where clients find it, without an admin server.
    pub(crate) fn broadcast(backend: Backend, toml: &str) -> Self {
        Self::start(backend, toml, Broadcast)
    }

    pub(crate) fn start(backend: Backend, toml: &str, handler: impl Handler) -> Self {
        let builder = Appliance::builder().config(config(backend, toml)).handler(handler);
        Self::started(backend, builder.layer(Recovery).chat_page().start())
    }

    /// One that was to start with a [`config`].
    pub(crate) fn started(backend: Backend, started: Result<Appliance, StartError>) -> Self {
        let appliance = started.unwrap_or_else(|error| panic!("it does not start: {error}"));
        backend.share_process();
        backend.connect();
        Self { appliance }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.appliance.addresses()[0]
    }

    pub(crate) fn stats(&self) -> Stats {
        self.appliance.stats()
    }

    pub(crate) fn total(&self, name: &str) -> u64 {
        self.stats().totals[name]
    }

    /// Waits until a counter has reached `least`.
    pub(crate) fn wait_for(&self, name: &str, least: u64) {
        wait_until(name, || self.total(name) >= least);
    }

    /// Waits until a gauge has this value.
    pub(crate) fn wait_until_total(&self, name: &str, value: u64) {
        wait_until(name, || self.total(name) == value);
    }

    /// The server still does its work for a client that comes now.
    pub(crate) fn serves_the_next_client(&self) {
        let mut client = Client::connect(self.address());
        client.round_trip("still there?");
    }
}

/// What `toml` says, where clients find it and without an admin server. Pings come only to a story that
/// asks for them: on a slow machine they would come between what another one waits for.
pub(crate) fn config(backend: Backend, toml: &str) -> Config {
    parse(&backend.configuration(toml))
}

/// A configuration that is whole, but for the admin server and pings.
pub(crate) fn parse(toml: &str) -> Config {
    let mut config = Config::parse(toml, "scene").expect("a valid configuration");
    config.control.admin = hioload::config::AdminAddress::Off;
    if config.websocket.ping_interval == Config::default().websocket.ping_interval {
        config.websocket.ping_interval = None;
    }
    config
}

/// Waits for a fact, and fails when it does not come about.
pub(crate) fn wait_until(what: &str, mut fact: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !fact() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        // The CPU is for the server meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
