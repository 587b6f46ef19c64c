//! Counts of what went through the handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::{
    Accept, ClosedWith, Handler, HandlerError, Layer, Message, Outbox, Probe, Refusal, Session,
    UpgradeRequest,
};

/// Counts the messages that the handler inside has processed and those it failed on, offered to
/// the statistics as the probes `messages_processed` and `messages_failed`.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    counts: Arc<Counts>,
}

/// Reads the counts of a [`Metrics`] layer from outside.
#[derive(Clone, Debug)]
pub struct MetricsHandle {
    counts: Arc<Counts>,
}

/// A stripe per group of workers keeps their updates off each other's cache lines.
#[derive(Debug, Default)]
struct Counts {
    processed: [CachePadded<AtomicU64>; STRIPES],
    failed: AtomicU64,
}

const STRIPES: usize = 16;

impl Metrics {
    /// A handle that reads the counts, for as long as it is kept.
    pub fn handle(&self) -> MetricsHandle {
        MetricsHandle { counts: Arc::clone(&self.counts) }
    }
}

impl MetricsHandle {
    /// Messages that the handler took without an error.
    pub fn processed(&self) -> u64 {
        self.counts.processed.iter().map(|stripe| stripe.load(Ordering::Relaxed)).sum()
    }

    /// Messages on which the handler failed.
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }
}

impl<H: Handler> Layer<H> for Metrics {
    type Handler = Metered<H>;

    fn layer(self, inner: H) -> Metered<H> {
        Metered { counts: self.counts, inner }
    }

    fn probes(&self) -> Vec<(String, Probe)> {
        let (processed, failed) = (self.handle(), self.handle());
        vec![
            ("messages_processed".to_owned(), Arc::new(move || processed.processed())),
            ("messages_failed".to_owned(), Arc::new(move || failed.failed())),
        ]
    }
}

/// A handler whose messages are counted.
pub struct Metered<H> {
    counts: Arc<Counts>,
    inner: H,
}

impl<H: Handler> Handler for Metered<H> {
    fn on_upgrade(&self, request: &UpgradeRequest<'_>) -> Result<Accept, Refusal> {
        self.inner.on_upgrade(request)
    }

    fn on_open(&self, session: &Session, out: &mut Outbox<'_>) -> Result<(), HandlerError> {
        self.inner.on_open(session, out)
    }

    fn on_message(
        &self,
        session: &Session,
        message: Message<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<(), HandlerError> {
        let result = self.inner.on_message(session, message, out);
        match &result {
            Ok(()) => {
                let stripe = session.worker().get() % STRIPES;
                self.counts.processed[stripe].fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        result
    }

    fn on_close(&self, session: &Session, closed: ClosedWith, out: &mut Outbox<'_>) {
        self.inner.on_close(session, closed, out);
    }
}
