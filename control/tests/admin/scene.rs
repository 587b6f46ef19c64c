//! An appliance in this process, with an admin interface.

use std::net::{SocketAddr, TcpStream};

use hioload::{Appliance, Broadcast, Config};
use tungstenite::{Message, WebSocket};

use crate::client::PATIENCE;

pub(crate) struct Scene {
    pub(crate) appliance: Appliance,
}

impl Scene {
    /// Listens on free ports, besides what `toml` says.
    pub(crate) fn new(toml: &str) -> Self {
        Self::with_admin("127.0.0.1:0", toml)
    }

    pub(crate) fn with_admin(admin: &str, toml: &str) -> Self {
        Self { appliance: build(admin, toml).start().expect("it starts") }
    }

    /// The admin interface.
    pub(crate) fn admin(&self) -> SocketAddr {
        let address = self.appliance.admin_address().expect("there is one");
        address.parse().expect("a TCP address")
    }

    /// A client that is one of those served.
    pub(crate) fn client(&self) -> WebSocket<TcpStream> {
        let address = self.appliance.addresses()[0];
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let url = format!("ws://{address}/ws");
        tungstenite::client(url, stream).expect("it upgrades").0
    }
}

pub(crate) fn build(admin: &str, toml: &str) -> hioload::Builder<Broadcast> {
    let text = format!(
        "server.listen = \"127.0.0.1:0\"\nserver.workers = 2\ncontrol.admin = \"{admin}\"\n\
         control.drain_timeout = \"5s\"\n{toml}"
    );
    let config = Config::parse(&text, "scene").expect("a valid configuration");
    Appliance::builder().config(config).handler(Broadcast)
}

pub(crate) fn next(client: &mut WebSocket<TcpStream>) -> Message {
    client.read().expect("a message comes")
}
