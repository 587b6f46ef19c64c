//! Clients that do harm, beside those that are checked: a server is to hold out against the ones,
//! and to serve the others as if they were alone.
//!
//! They begin with phase Run and end with it. Those of a thread have the last places of its
//! transport, behind the clients that the [driver](crate::driver) looks after, and take what happens
//! to these places. What they find out is a [`Findings`]; what the server must not do is an offence
//! like those against the others.

mod crowd;
mod findings;
mod garbage;
mod slowloris;
mod synflood;

use std::time::Duration;

use clap::ValueEnum;

pub(crate) use self::findings::Findings;
use self::garbage::Garbage;
use self::slowloris::Slowloris;
use self::synflood::Synflood;
use crate::check::Offences;
use crate::plan::Plan;
use crate::shared::{Phase, Shared};
use crate::transport::{Event, Transport};

/// What hostile clients do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hostility {
    /// SYNs of nobody: so many a second, or as many as go.
    Synflood { rate: Option<f64> },
    /// Requests that never end.
    Slowloris {
        clients: usize,
        interval: Duration,
        piece: Piece,
        /// No connection may last longer than that.
        expect_within: Option<Duration>,
    },
    /// Requests and frames that break the rules, and packets where there is a TCP of our own.
    Garbage { clients: usize, seed: u64, packets_per_s: f64 },
}

/// What is sent of a request at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Piece {
    /// A byte of the request line or of a header field
    #[default]
    Byte,
    /// A whole line
    Line,
}

impl Hostility {
    /// What all that is bad is made from.
    pub(crate) fn seed(self) -> Option<u64> {
        if let Self::Garbage { seed, .. } = self { Some(seed) } else { None }
    }

    /// As the mode is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Synflood { .. } => "synflood",
            Self::Slowloris { .. } => "slowloris",
            Self::Garbage { .. } => "garbage",
        }
    }

    /// Clients with connections.
    pub(crate) fn clients(self) -> usize {
        match self {
            Self::Synflood { .. } => 0,
            Self::Slowloris { clients, .. } | Self::Garbage { clients, .. } => clients,
        }
    }

    /// Whether packets come from addresses that no client has.
    pub(crate) fn has_strays(self) -> bool {
        match self {
            Self::Synflood { .. } => true,
            Self::Slowloris { .. } => false,
            Self::Garbage { packets_per_s, .. } => packets_per_s > 0.0,
        }
    }
}

/// The hostile clients of a thread.
#[derive(Debug)]
pub(crate) struct Hostile {
    /// The place of the first one in the transport.
    first: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Synflood(Synflood),
    Slowloris(Box<Slowloris>),
    Garbage(Box<Garbage>),
}

impl Hostile {
    /// Those of the plan for a thread, if it has any.
    pub(crate) fn new(plan: &Plan, thread: usize) -> Option<Self> {
        let kind = match plan.hostile? {
            Hostility::Synflood { rate } => Kind::Synflood(Synflood::new(rate)),
            Hostility::Slowloris { interval, piece, expect_within, .. } => {
                let slowloris = Slowloris::new(plan, thread, interval, piece, expect_within);
                Kind::Slowloris(Box::new(slowloris))
            }
            Hostility::Garbage { seed, packets_per_s, .. } => {
                Kind::Garbage(Box::new(Garbage::new(plan, thread, seed, packets_per_s)))
            }
        };
        Some(Self { first: plan.behaved_of(thread), kind })
    }

    /// Whether a place of the transport is one of theirs.
    pub(crate) fn has(&self, client: usize) -> bool {
        client >= self.first
    }

    /// Takes what has happened to one of them.
    pub(crate) fn serve<T: Transport>(
        &mut self,
        event: &Event,
        transport: &mut T,
        shared: &Shared,
    ) {
        match &mut self.kind {
            Kind::Synflood(_) => {}
            Kind::Slowloris(slowloris) => slowloris.serve(event, transport, shared),
            Kind::Garbage(garbage) => garbage.serve(event, transport, shared),
        }
    }

    /// Does what is due.
    pub(crate) fn turn<T: Transport>(&mut self, transport: &mut T, shared: &Shared) {
        let phase = shared.phase();
        match (&mut self.kind, phase) {
            (_, Phase::Connect | Phase::RollCall) => {}
            (Kind::Synflood(synflood), Phase::Run) => synflood.flood(transport, shared),
            (Kind::Synflood(synflood), _) => synflood.stop(shared),
            (Kind::Slowloris(slowloris), Phase::Run) => slowloris.turn(transport, shared),
            (Kind::Slowloris(slowloris), _) => slowloris.end(transport),
            (Kind::Garbage(garbage), Phase::Run | Phase::Drain) => {
                garbage.turn(transport, shared, phase == Phase::Run);
            }
            (Kind::Garbage(garbage), _) => garbage.end(transport),
        }
    }

    /// When there is something to do next, in phase Run; 0 is at once.
    pub(crate) fn next_ns(&mut self) -> Option<u64> {
        match &mut self.kind {
            Kind::Synflood(_) => Some(0),
            Kind::Slowloris(slowloris) => slowloris.next_ns(),
            Kind::Garbage(garbage) => garbage.next_ns(),
        }
    }

    /// Those whose answers the end of the run waits for. Each of them gives up by itself.
    pub(crate) fn waiting(&self) -> usize {
        if let Kind::Garbage(garbage) = &self.kind { garbage.waiting() } else { 0 }
    }

    /// Ends what is left, and says what came of all.
    pub(crate) fn finish<T: Transport>(
        self,
        transport: &mut T,
        shared: &Shared,
    ) -> (Findings, Offences) {
        match self.kind {
            Kind::Synflood(synflood) => (synflood.finish(transport, shared), Offences::default()),
            Kind::Slowloris(slowloris) => slowloris.finish(transport),
            Kind::Garbage(garbage) => garbage.finish(transport),
        }
    }
}
