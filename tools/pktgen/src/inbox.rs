//! What the clients of one thread receive: checked, accounted for and measured.

use crate::check::{Checker, Verdict};
use crate::frames::{Fault, FrameReader, Incoming, Spares};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::shared::Shared;

/// Room for a message that is longer than ours, so that it is told as what it is.
const FOREIGN_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) checker: Checker,
    pub(crate) ledger: Ledger,
    pub(crate) delivery: Latency,
    /// In mode mix, by phase.
    pub(crate) stages: Vec<Latency>,
    /// Whole messages, whatever is in them.
    pub(crate) received: u64,
    pub(crate) settled: u64,
    pub(crate) measured: u64,
    /// Publishers who may send again.
    pub(crate) ready: Vec<usize>,
    spares: Spares,
}

/// What a client has to do about what it read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) roll_called: bool,
    pub(crate) pong: Option<Vec<u8>>,
    pub(crate) close: Option<Option<u16>>,
}

impl Inbox {
    /// For the readers of a thread.
    pub(crate) fn new(shared: &Shared, thread: usize) -> Self {
        let plan = &shared.plan;
        let phases = plan.mix.as_ref().map_or(0, |mix| mix.phases.len());
        Self {
            checker: Checker::new(
                shared.run,
                plan.message_len(),
                plan.expected(),
                plan.readers_of(thread),
                (thread, plan.threads),
            ),
            ledger: Ledger::new(plan, thread),
            delivery: Latency::new(),
            stages: (0..phases).map(|_| Latency::new()).collect(),
            received: 0,
            settled: 0,
            measured: 0,
            ready: Vec::new(),
            spares: Spares::default(),
        }
    }

    /// Takes the bytes that a client got at a time, and adds to `read` what it has to do about them.
    ///
    /// # Errors
    /// How the server broke the protocol.
    pub(crate) fn take(
        &mut self,
        shared: &Shared,
        client: usize,
        reader: &mut FrameReader,
        bytes: &[u8],
        now_ns: u64,
        read: &mut Read,
    ) -> Result<(), Fault> {
        let bytes_max = shared.plan.message_len().max(FOREIGN_BYTES_MAX);
        let mut spares = std::mem::take(&mut self.spares);
        let result = reader.read(bytes, bytes_max, &mut spares, |incoming| match incoming {
            Incoming::Message(message) => {
                read.roll_called |= self.message(shared, client, message, now_ns);
            }
            // Only the last one needs an answer (RFC 6455 section 5.5.3).
            Incoming::Ping(payload) => read.pong = Some(payload.to_vec()),
            Incoming::Pong => {}
            Incoming::Close(code) => read.close = Some(code),
        });
        self.spares = spares;
        result
    }

    /// Whether it belongs to the roll call.
    fn message(&mut self, shared: &Shared, client: usize, message: &[u8], now_ns: u64) -> bool {
        self.received += 1;
        let published = |publisher| shared.published(publisher);
        let arrival = match self.checker.take(client, message, published) {
            Verdict::Arrived(arrival) => arrival,
            Verdict::RollCall => return true,
            Verdict::Aside => return false,
        };
        self.settled += arrival.settled.end - arrival.settled.start;
        if let Some(sent_ns) = arrival.sent_ns {
            self.measured += u64::from(shared.is_measured(now_ns));
            // A message that was due in time counts whenever it arrives. Else the slowest ones
            // would be left out at the end.
            if shared.is_measured(sent_ns) {
                let ns = now_ns.saturating_sub(sent_ns);
                self.delivery.record(ns);
                if !self.stages.is_empty() {
                    self.stages[shared.stage_at(sent_ns)].record(ns);
                }
            }
        }
        let (publisher, settled) = (arrival.publisher, &arrival.settled);
        if shared.plan.mix.is_some() && publisher == self.checker.number(client) {
            // Of a mix only this is known to be there: its own messages come back to it.
            shared.complete(publisher, settled.end - settled.start);
            self.ready.push(publisher);
            return false;
        }
        if self.ledger.settle(shared, arrival.publisher, arrival.settled) {
            self.ready.push(arrival.publisher);
        }
        false
    }
}
