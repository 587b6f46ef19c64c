//! A run of phases: what a scenario file asks for, and what it means at a moment.

mod file;
mod sizes;

use std::time::Duration;

pub(crate) use file::load;
pub(crate) use sizes::Sizes;

use crate::plan::Load;

/// What a scenario file says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mix {
    /// Connections before the first phase. All of these hear the roll call.
    pub(crate) connections: usize,
    pub(crate) phases: Vec<MixPhase>,
}

/// A part of the run, in which clients behave in one way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MixPhase {
    pub(crate) name: String,
    pub(crate) duration: Duration,
    /// At its end; in between their number grows or shrinks evenly.
    pub(crate) connections: usize,
    /// The first of the connections, which stay throughout.
    pub(crate) publishers: usize,
    /// When a publisher sends its next message, if there are any. In the closed loop a message is in
    /// flight until the publisher has it back itself: all others may leave.
    pub(crate) load: Option<Load>,
    pub(crate) sizes: Sizes,
    /// Connections a second that are closed in order, and made again.
    pub(crate) churn: f64,
    /// Connections beside the others that read little or nothing.
    pub(crate) slow: usize,
    /// They read what there is, and then nothing for so long. `None`: they read nothing at all.
    pub(crate) slow_pause: Option<Duration>,
}

impl Mix {
    /// Clients that publish in any phase.
    pub(crate) fn publishers(&self) -> usize {
        self.most(|phase| phase.publishers)
    }

    /// Connections that read, at the most.
    pub(crate) fn readers(&self) -> usize {
        self.most(|phase| phase.connections).max(self.connections)
    }

    pub(crate) fn slow(&self) -> usize {
        self.most(|phase| phase.slow)
    }

    /// Bytes of the longest message.
    pub(crate) fn message_len(&self) -> usize {
        self.most(|phase| phase.sizes.longest())
    }

    pub(crate) fn duration(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration).sum()
    }

    fn most(&self, count: impl Fn(&MixPhase) -> usize) -> usize {
        self.phases.iter().map(count).max().unwrap_or(0)
    }

    /// How many connections there are to be, so long after a phase began.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between two counts of connections"
    )]
    pub(crate) fn connections_at(&self, phase: usize, elapsed: Duration) -> usize {
        let from = phase.checked_sub(1).map_or(self.connections, |before| {
            self.phases.get(before).map_or(self.connections, |phase| phase.connections)
        });
        let Some(phase) = self.phases.get(phase) else { return from };
        let part = elapsed.as_secs_f64() / phase.duration.as_secs_f64();
        if part >= 1.0 {
            return phase.connections;
        }
        let (from, to) = (from as f64, phase.connections as f64);
        (from + (to - from) * part).round() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(connections: usize) -> MixPhase {
        MixPhase {
            name: "a".to_owned(),
            duration: Duration::from_secs(10),
            connections,
            publishers: 1,
            load: None,
            sizes: Sizes::Fixed(64),
            churn: 0.0,
            slow: 0,
            slow_pause: None,
        }
    }

    #[test]
    fn connections_grow_and_shrink_evenly() {
        let mix = Mix { connections: 10, phases: vec![phase(110), phase(60)] };
        let at = |phase, seconds| mix.connections_at(phase, Duration::from_secs(seconds));
        assert_eq!([at(0, 0), at(0, 5), at(0, 10), at(0, 99)], [10, 60, 110, 110]);
        assert_eq!([at(1, 0), at(1, 2), at(1, 10)], [110, 100, 60]);
        assert_eq!(mix.readers(), 110);
    }
}
