//! Appliances in one process: how they start, live side by side, and end.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hioload::config::AdminAddress;
use hioload::{
    Appliance, Broadcast, Handler, HandlerError, Message, Outbox, PublishError, Session,
    StartError, State,
};

use crate::Backend;
use crate::client::{Client, Received};
use crate::scene::{Server, config};
use crate::{on_every_backend, on_the_kernel_alone};

on_every_backend!(
    what_is_dropped_is_drained_first,
    what_is_dropped_lets_the_handler_go,
    a_handle_outlives_its_appliance,
    a_worker_that_panics_ends_the_appliance_with_the_reason,
);

on_the_kernel_alone!(
    // DPDK starts once per process.
    two_appliances_in_one_process_do_not_hear_each_other,
    // Nobody else takes the addresses of a port of DPDK.
    an_address_that_is_taken_fails_the_start_and_frees_the_others,
    an_admin_address_that_is_taken_fails_the_start_and_frees_the_others,
);

fn two_appliances_in_one_process_do_not_hear_each_other(backend: Backend) {
    let (one, two) = (Server::broadcast(backend, ""), Server::broadcast(backend, ""));
    let (mut ann, mut bob) = (Client::connect(one.address()), Client::connect(two.address()));
    ann.round_trip("to those here");
    one.appliance.handle().publish("to those here as well").expect("published");
    bob.send_text("to those there");
    assert_eq!(bob.next_text(), "to those there");
    assert_eq!(ann.next_text(), "to those here as well");

    ann.send_close(1000);
    ann.until_close();
    one.appliance.stop().expect("it ends well");
    bob.round_trip("still here");
}

fn an_address_that_is_taken_fails_the_start_and_frees_the_others(backend: Backend) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = free_address();
    let mut config = config(backend, "server.workers = 2");
    let taken_address = taken.local_addr().expect("an address");
    config.server.listen = vec![free.into(), taken_address.into()];

    let error = Appliance::builder().config(config).handler(Broadcast).start().unwrap_err();

    let StartError::Listen(listen) = &error else { panic!("{error:?}") };
    assert_eq!(listen.address(), Some(taken_address));
    assert!(error.to_string().contains(&taken_address.to_string()), "{error}");
    TcpListener::bind(free).expect("it was let go");
}

fn an_admin_address_that_is_taken_fails_the_start_and_frees_the_others(backend: Backend) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = free_address();
    let mut config = config(backend, "server.workers = 2");
    config.server.listen = vec![free.into()];
    config.control.admin = AdminAddress::Tcp(taken.local_addr().expect("an address"));

    let error = Appliance::builder().config(config).handler(Broadcast).start().unwrap_err();

    assert!(matches!(error, StartError::Admin(_)), "{error:?}");
    assert!(error.to_string().contains("control.admin"), "{error}");
    TcpListener::bind(free).expect("it was let go");
}

fn what_is_dropped_is_drained_first(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let address = server.address();
    let mut client = Client::connect(address);
    server.appliance.handle().publish("last words").expect("published");
    let reader = thread::spawn(move || {
        assert_eq!(client.next_text(), "last words");
        assert_eq!(
            client.next(),
            Received::Close(Some(1001), "the server is shutting down".to_owned())
        );
        client.send_close(1001);
        client.is_at_end()
    });
    drop(server);
    assert!(reader.join().expect("it got what it was owed"));
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

/// Broadcasts, and counts messages in something that a test has an eye on.
struct Keeping(Arc<AtomicU64>);

impl Handler for Keeping {
    fn on_message(
        &self,
        _session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if message.text() == Some("panic") {
            panic!("as told");
        }
        out.broadcast(message);
        Ok(())
    }
}

fn what_is_dropped_lets_the_handler_go(backend: Backend) {
    let kept = Arc::new(AtomicU64::new(0));
    let server = Server::start(backend, "", Keeping(Arc::clone(&kept)));
    assert!(Arc::strong_count(&kept) > 1);
    let handle = server.appliance.handle();
    drop(server);
    assert_eq!(Arc::strong_count(&kept), 1, "no worker and no handle keeps it");
    drop(handle);
}

fn a_handle_outlives_its_appliance(backend: Backend) {
    let server = Server::broadcast(backend, "");
    let handle = server.appliance.handle();
    assert_eq!(handle.state(), State::Serving);
    server.appliance.stop().expect("it ends well");

    assert_eq!(handle.state(), State::Stopped);
    assert_eq!(handle.publish("too late"), Err(PublishError::Stopping));
    assert_eq!((handle.active_clients(), handle.stats().state), (0, State::Stopped));
    handle.drain();
    assert_eq!(handle.state(), State::Stopped);
}

fn a_worker_that_panics_ends_the_appliance_with_the_reason(backend: Backend) {
    let config = config(backend, "server.workers = 2\ncontrol.drain_timeout = \"2s\"");
    // Without `Recovery`.
    let builder = Appliance::builder().config(config).handler(Keeping(Arc::default()));
    let server = Server::started(backend, builder.start());
    let address = server.address();
    let mut client = Client::connect(address);
    client.send_text("panic");
    let error = server.appliance.join().expect_err("a worker has failed");
    assert!(error.to_string().ends_with("failed: panic: as told"), "{error}");
    assert!(client.is_at_end());
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

/// An address that nobody listens on at this moment.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port")
}
