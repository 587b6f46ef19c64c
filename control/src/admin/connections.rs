//! Connections to the admin interface: how many, for how long.
//!
//! `axum::serve` knows no deadlines, so that a client which sends nothing would hold its
//! connection for ever. Hyper's own builder does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::listener::{Listener, Stream};

/// Connections served at once; further ones wait to be accepted.
const CONNECTIONS_MAX: u32 = 64;

/// How long a client may take to send the head of a request, or be silent between requests.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long a connection may last: one that takes its answers too slowly ends, too.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);

/// How long the answer to the last request may take, when a connection is to end.
const LAST_ANSWER_TIME_MAX: Duration = Duration::from_millis(1500);

/// How long accepting pauses after it has failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` to the connections of `listener` until the sender of `stop` is dropped.
pub(super) async fn serve(listener: Listener, router: Router, mut stop: watch::Receiver<()>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    tokio::select! {
        () = accept(&listener, &slots, &router, stop.clone()) => {}
        _ = stop.changed() => {}
    }
    drop(listener);
    // All slots are free when no connection is left.
    let _ = timeout(LAST_ANSWER_TIME_MAX, slots.acquire_many(CONNECTIONS_MAX)).await;
}

async fn accept(
    listener: &Listener,
    slots: &Arc<Semaphore>,
    router: &Router,
    stop: watch::Receiver<()>,
) {
    let mut failing = false;
    while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
        match listener.accept().await {
            Ok(stream) => {
                failing = false;
                tokio::spawn(connection(stream, router.clone(), stop.clone(), slot));
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the admin interface cannot accept connections");
                }
                failing = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: Box<dyn Stream>,
    router: Router,
    mut stop: watch::Receiver<()>,
    slot: OwnedSemaphorePermit,
) {
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        // What a client does wrong is its own business.
        _ = connection.as_mut() => true,
        () = sleep(CONNECTION_TIME_MAX) => false,
        _ = stop.changed() => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_ANSWER_TIME_MAX, connection).await;
    }
    drop(slot);
}
