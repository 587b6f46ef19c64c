//! What connections are handled with: everything of a worker but the connections themselves, the
//! transport and the hub.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use hioload_buffer::{Frame, Pool};

use crate::admission::{Admission, Limit};
use crate::counters::Counters;
use crate::drain::Intake;
use crate::latency::Publication;
use crate::moment::{Epoch, Moment};
use crate::outbox::Effect;
use crate::rate::SessionRates;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::site::Site;

pub(crate) struct Context<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) site: Arc<Site>,
    pub(crate) settings: Settings,
    pub(crate) registry: Arc<Registry>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) counters: Arc<CachePadded<Counters>>,
    pub(crate) pool: Pool,
    /// What the connection in hand has asked for so far.
    pub(crate) effects: Vec<Effect>,
    pub(crate) worker: u16,
    pub(crate) next_session: u64,
    /// The time of this turn.
    pub(crate) now: Instant,
    pub(crate) epoch: Epoch,
    /// Bytes that are read in this turn have come since then, and may have waited for it.
    pub(crate) unread_since: Instant,
    pub(crate) rates: SessionRates,
    pub(crate) intake: Intake,
}

impl<H> Context<H> {
    /// A message that is published in this turn, counted from its beginning.
    pub(crate) fn publication(&self, frame: Frame) -> Publication {
        Publication { frame, at: self.epoch.moment(self.now) }
    }

    /// The moment that is `time` from now.
    pub(crate) fn after(&self, time: Duration) -> Moment {
        self.epoch.moment(self.now + time)
    }

    /// Counts a connection in, unless it is a proxy's, which holds those of many clients;
    /// `disconnect` follows once it is gone.
    ///
    /// # Errors
    /// The limit that it would exceed; it is not counted then.
    pub(crate) fn connect(&self, peer: IpAddr) -> Result<(), Limit> {
        if self.settings.clients.is_proxy(peer) { Ok(()) } else { self.admission.connect(peer) }
    }

    pub(crate) fn disconnect(&self, peer: IpAddr) {
        if !self.settings.clients.is_proxy(peer) {
            self.admission.disconnect(peer);
        }
    }
}
