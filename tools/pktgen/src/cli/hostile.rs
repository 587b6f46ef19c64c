//! The flags of the hostile modes, and of the clients beside.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use clap::Args;

use super::{CommonFlags, Job, duration, message_len, positive, rate, some_time};
use crate::hostile::{Hostility, Piece};
use crate::plan::{Audience, Load, Scenario, Until};

/// The clients that are checked, and how long all of it lasts.
#[derive(Args, Debug)]
pub(super) struct BesideFlags {
    /// How long to go on
    #[arg(long, default_value = "10s", value_parser = some_time)]
    duration: Duration,

    /// What comes before that and is checked, but not measured
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    warmup: Duration,

    /// Well-behaved clients, each with a connection; 0 for none
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = BESIDE)]
    connections: usize,

    /// Messages a second that the first of the --connections broadcasts. All of them are checked as
    /// in mode broadcast
    #[arg(long, value_name = "R", value_parser = rate, default_value = "100", help_heading = BESIDE)]
    publish_rate: f64,

    /// Size of such a message
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 64,
        value_parser = message_len,
        help_heading = BESIDE
    )]
    size: usize,
}

const BESIDE: &str = "Clients beside that are checked";

#[derive(Args, Debug)]
pub(super) struct SynfloodFlags {
    /// SYNs a second [default: as many as go]
    #[arg(long, value_name = "R", value_parser = syns_per_s)]
    rate: Option<f64>,
}

#[derive(Args, Debug)]
pub(super) struct SlowlorisFlags {
    /// Clients whose requests never end
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = positive)]
    bad: usize,

    /// How long each waits before it sends the next piece, and before it comes back
    #[arg(long, default_value = "1s", value_parser = duration)]
    interval: Duration,

    /// What a piece is
    #[arg(long, value_enum, default_value_t)]
    piece: Piece,

    /// How soon the server has to throw each of them out; one that is still there then is a failure
    /// [default: it does not have to]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expect_within: Option<Duration>,
}

#[derive(Args, Debug)]
pub(super) struct GarbageFlags {
    /// Clients with bad requests and frames
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive)]
    bad: usize,

    /// What all that is bad is made from: the same seed makes the same [default: any]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,

    /// dpdk, ring: bad packets a second, of no connection; 0 for none [default: 1000]
    #[arg(long, value_name = "R", value_parser = packets_per_s)]
    packets: Option<f64>,
}

impl BesideFlags {
    /// With those that do harm.
    pub(super) fn job(&self, hostile: Hostility, common: CommonFlags) -> Job {
        Job {
            scenario: self.scenario(),
            hostile: Some(hostile),
            mix: None,
            clients: self.connections.saturating_add(hostile.clients()),
            until: Until::Elapsed(self.duration),
            warmup: self.warmup,
            common,
        }
    }

    fn scenario(&self) -> Scenario {
        if self.connections == 0 {
            return Scenario::Idle;
        }
        let audience = Audience { publishers: 1, slow: 0, sender_excluded: false };
        let (message_len, load) = (self.size, Load::Rate(self.publish_rate));
        Scenario::Broadcast { audience, message_len, load }
    }
}

impl SynfloodFlags {
    pub(super) fn hostility(&self) -> Hostility {
        Hostility::Synflood { rate: self.rate }
    }
}

impl SlowlorisFlags {
    pub(super) fn hostility(&self) -> Hostility {
        let Self { bad, interval, piece, expect_within } = *self;
        // Whoever waits for nothing at all would be busy with nothing else.
        let interval = interval.max(Duration::from_millis(1));
        Hostility::Slowloris { clients: bad, interval, piece, expect_within }
    }
}

impl GarbageFlags {
    /// `has_packets`: the generator has a TCP of its own.
    pub(super) fn hostility(&self, has_packets: bool) -> Result<Hostility, String> {
        let packets_per_s = match (self.packets, has_packets) {
            (Some(rate), false) if rate > 0.0 => {
                return Err("--packets: the kernel's sockets send none that are bad; --transport \
                            dpdk or ring does"
                    .to_owned());
            }
            (_, false) => 0.0,
            (rate, true) => rate.unwrap_or(1000.0),
        };
        let any = || RandomState::new().hash_one(std::process::id()) & u64::from(u32::MAX);
        let seed = self.seed.map_or_else(any, u64::from);
        Ok(Hostility::Garbage { clients: self.bad, seed, packets_per_s })
    }
}

fn syns_per_s(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.001..=1e9).contains(rate));
    rate.ok_or("expected SYNs a second, 0.001 to 1000000000")
}

fn packets_per_s(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.0..=1e9).contains(rate));
    rate.ok_or("expected packets a second, 0 to 1000000000")
}
