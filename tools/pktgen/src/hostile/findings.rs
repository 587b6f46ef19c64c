//! What hostile clients found out.

use serde::Serialize;

use super::synflood;
use crate::latency::{Latency, Summary};
use crate::transport::StrayAnswers;

/// By mode. `README.md` of this crate describes the fields one by one.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Findings {
    Synflood(SynfloodFindings),
    Slowloris(Box<SlowlorisFindings>),
    Garbage(GarbageFindings),
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct SynfloodFindings {
    /// As planned.
    rate_per_s: Option<f64>,
    syns: u64,
    syns_per_s: f64,
    syn_acks: u64,
    resets: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SlowlorisFindings {
    /// Connections that came to be, and those that did not.
    pub(super) connections: u64,
    pub(super) refused: u64,
    pub(super) thrown_out: u64,
    /// Of these, with an answer.
    pub(super) answered: u64,
    /// Still there at the end.
    pub(super) held: u64,
    /// From the connection to its end.
    #[serde(skip)]
    pub(super) after: Latency,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct GarbageFindings {
    /// Bad requests that were judged; those of them that were answered, and those whose connection
    /// was closed without a word.
    pub(super) requests: u64,
    pub(super) requests_answered: u64,
    pub(super) requests_closed: u64,
    /// Connections with a bad frame that were judged; those of them that were closed with the right
    /// code.
    pub(super) frames: u64,
    pub(super) frames_closed: u64,
    /// Connections with bad segments beside the right ones that were judged; those of them that went
    /// on.
    pub(super) segments: u64,
    pub(super) segments_survived: u64,
    /// Packets of no connection.
    pub(super) packets: u64,
    pub(super) syn_acks: u64,
    pub(super) resets: u64,
    /// Connections that never were, or upgrades that the server was not ready for.
    pub(super) refused: u64,
}

impl Default for SlowlorisFindings {
    fn default() -> Self {
        Self {
            connections: 0,
            refused: 0,
            thrown_out: 0,
            answered: 0,
            held: 0,
            after: Latency::new(),
        }
    }
}

impl SynfloodFindings {
    pub(super) fn new(rate: Option<f64>, syns: u64, lasted_ns: u64, answers: StrayAnswers) -> Self {
        let StrayAnswers { syn_acks, resets } = answers;
        let syns_per_s = synflood::per_second(syns, lasted_ns);
        Self { rate_per_s: rate, syns, syns_per_s, syn_acks, resets }
    }
}

impl Findings {
    /// Adds what another thread of the same mode found out.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Slowloris(mine), Self::Slowloris(theirs)) => {
                mine.connections += theirs.connections;
                mine.refused += theirs.refused;
                mine.thrown_out += theirs.thrown_out;
                mine.answered += theirs.answered;
                mine.held += theirs.held;
                mine.after.merge(&theirs.after);
            }
            (Self::Garbage(mine), Self::Garbage(theirs)) => mine.merge(theirs),
            // Only one thread has a TCP of its own.
            _ => {}
        }
    }

    /// Why nothing was found out, if that is so.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::Synflood(it) => {
                if it.syns == 0 {
                    return Some("not one SYN was sent".to_owned());
                }
                let is_silent = it.syn_acks == 0 && it.resets == 0;
                is_silent.then(|| format!("none of {} SYNs was answered", it.syns))
            }
            Self::Slowloris(it) => (it.connections == 0)
                .then(|| "no connection for a request that never ends came to be".to_owned()),
            Self::Garbage(it) => (it.requests + it.frames + it.segments == 0)
                .then(|| "no bad request or frame reached the server".to_owned()),
        }
    }

    /// How long the server took to throw out those whose requests never end.
    pub(crate) fn thrown_out_after(&self) -> Option<Summary> {
        if let Self::Slowloris(it) = self { it.after.summary() } else { None }
    }

    /// Rows of the table.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Synflood(it) => vec![
                ("SYNs", format!("{}, {:.0} a second", it.syns, it.syns_per_s)),
                ("  answered", format!("{} SYN-ACKs, {} resets", it.syn_acks, it.resets)),
            ],
            Self::Slowloris(it) => {
                vec![
                    ("unfinished requests", format!("{}, {} refused", it.connections, it.refused)),
                    (
                        "  thrown out",
                        format!(
                            "{} ({} with an answer), {} still there at the end",
                            it.thrown_out, it.answered, it.held
                        ),
                    ),
                ]
            }
            Self::Garbage(it) => it.rows(),
        }
    }
}

impl GarbageFindings {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.requests_answered += other.requests_answered;
        self.requests_closed += other.requests_closed;
        self.frames += other.frames;
        self.frames_closed += other.frames_closed;
        self.segments += other.segments;
        self.segments_survived += other.segments_survived;
        self.packets += other.packets;
        self.syn_acks += other.syn_acks;
        self.resets += other.resets;
        self.refused += other.refused;
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            (
                "bad requests",
                format!(
                    "{}, {} refused with an answer, {} by a close",
                    self.requests, self.requests_answered, self.requests_closed
                ),
            ),
            (
                "bad frames",
                format!("{}, {} closed with the right code", self.frames, self.frames_closed),
            ),
        ];
        if self.segments > 0 {
            let Self { segments, segments_survived, .. } = self;
            let text = format!("beside {segments} connections, {segments_survived} went on");
            rows.push(("bad segments", text));
        }
        if self.packets > 0 {
            let Self { packets, syn_acks, resets, .. } = self;
            let text = format!("{packets}, answered by {syn_acks} SYN-ACKs, {resets} resets");
            rows.push(("bad packets", text));
        }
        if self.refused > 0 {
            rows.push(("not let in", self.refused.to_string()));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_that_nobody_answered_says_nothing_of_the_server() {
        let flood = |syns, syn_acks, resets| {
            let answers = StrayAnswers { syn_acks, resets };
            Findings::Synflood(SynfloodFindings::new(None, syns, 1_000_000_000, answers))
        };
        let failure = flood(7, 0, 0).failure().expect("a reason");
        assert_eq!(failure, "none of 7 SYNs was answered");
        assert_eq!(flood(7, 1, 0).failure(), None);
        assert_eq!(flood(7, 0, 1).failure(), None);
        assert_eq!(flood(0, 0, 0).failure().as_deref(), Some("not one SYN was sent"));
    }

    #[test]
    fn what_threads_found_out_is_added_up() {
        let of = |thrown_out: u64| {
            let mut found = SlowlorisFindings { thrown_out, ..SlowlorisFindings::default() };
            found.after.record(thrown_out * 1000);
            Findings::Slowloris(Box::new(found))
        };
        let mut all = of(2);
        all.merge(&of(3));
        let after = all.thrown_out_after().expect("two of them");
        assert_eq!(after.count, 2);
        assert!(all.rows().iter().any(|(_, value)| value.starts_with("5 (")), "{:?}", all.rows());
    }
}
