//! Every client hears itself: the server that conformance tests are run against.
//!
//! Run it with `cargo run --release --example echo -- --addr 127.0.0.1:9001`.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use hioload::config::{AdminAddress, ListenAddress};
use hioload::{Appliance, Config, Handler, HandlerError, Message, Outbox, Recovery, Session};

/// Sends every message back.
#[derive(Parser)]
struct Flags {
    /// Address to listen on [default: 127.0.0.1:9001, or what the file says]
    #[arg(long)]
    addr: Option<ListenAddress>,
    /// Configuration file
    #[arg(long)]
    config: Option<PathBuf>,
}

struct Echo;

impl Handler for Echo {
    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        out.send(message);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let mut config = match flags.config {
        Some(file) => Config::load(file)?,
        None => {
            let mut config = Config::default();
            config.server.listen = vec!["127.0.0.1:9001".parse()?];
            config.control.admin = AdminAddress::Off;
            config
        }
    };
    if let Some(addr) = flags.addr {
        config.server.listen = vec![addr];
    }
    // The largest messages of the conformance tests have 16 MiB, and several may wait.
    config.websocket.message_bytes_max = 64 << 20;
    config.broadcast.backlog_bytes_max = 256 << 20;
    config.broadcast.backlog_messages_max = 65_536;

    let appliance = Appliance::builder().config(config).handler(Echo).layer(Recovery).start()?;
    println!("echo at ws://{}/ws", appliance.addresses()[0]);
    appliance.join()?;
    Ok(())
}
