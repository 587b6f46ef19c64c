//! A chat server in a few lines: what one client says, all clients hear.
//!
//! Run it with `cargo run --release --example broadcast`, open <http://127.0.0.1:8080/> twice and
//! talk to yourself, or connect with `wscat -c ws://127.0.0.1:8080/ws`. The appliance itself is
//! this and flags, signals and logs.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hioload::{
    Appliance, Handler, HandlerError, Logging, Message, Metrics, Outbox, Recovery, Session,
};

/// Sends every message to everybody and keeps the length of the longest.
struct Chat {
    longest: Arc<AtomicU64>,
}

impl Handler for Chat {
    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        self.longest.fetch_max(message.len() as u64, Ordering::Relaxed);
        out.broadcast(message);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let longest = Arc::new(AtomicU64::new(0));
    let probed = Arc::clone(&longest);
    let appliance = Appliance::builder()
        .handler(Chat { longest })
        .layer(Logging::default())
        .layer(Recovery)
        .layer(Metrics::default())
        .probe("longest_message_bytes", move || probed.load(Ordering::Relaxed))
        .chat_page()
        .start()?;
    for address in appliance.addresses() {
        println!("chat at http://{address}/");
    }
    if let Some(admin) = appliance.admin_address() {
        println!("statistics at http://{admin}/stats");
    }
    appliance.join()?;
    Ok(())
}
