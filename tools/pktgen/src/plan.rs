//! What is to be done: the flags, checked.

use std::net::IpAddr;
use std::time::Duration;

use clap::ValueEnum;

use crate::check::Expected;
use crate::hostile::Hostility;
use crate::link::Link;
use crate::mix::Mix;

/// A sequence for each client and publisher is kept; more would be memory for no use.
pub(crate) const SEQUENCES_MAX: usize = 100_000_000;
/// More threads than that are an oversight.
const THREADS_MAX: usize = 1024;
pub(crate) const CLIENTS_MAX: usize = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    /// The phases of [`Scenario::Mix`].
    pub(crate) mix: Option<Mix>,
    /// What is done beside, by clients that are not among those of the scenario.
    pub(crate) hostile: Option<Hostility>,
    pub(crate) link: Link,
    /// Host and port.
    pub(crate) target: String,
    pub(crate) path: String,
    /// All of them, slow and hostile ones included.
    pub(crate) clients: usize,
    pub(crate) threads: usize,
    pub(crate) until: Until,
    pub(crate) warmup: Duration,
    /// How long nothing may happen before the run is given up.
    pub(crate) timeout: Duration,
    /// Handshakes under way at a time.
    pub(crate) connecting: usize,
    /// Addresses to connect from, in turn. Empty: what the system chooses.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) busy_poll: bool,
    pub(crate) server_pid: Option<u32>,
    /// Host and port of the server's admin interface.
    pub(crate) admin: Option<String>,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scenario {
    Broadcast {
        audience: Audience,
        message_len: usize,
        load: Load,
    },
    Echo {
        message_len: usize,
        load: Load,
    },
    Connect {
        closed_by: ClosedBy,
    },
    Idle,
    /// Clients come and go, by phases.
    Mix,
}

impl Scenario {
    /// As the mode is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Broadcast { .. } => "broadcast",
            Self::Echo { .. } => "echo",
            Self::Connect { .. } => "connect",
            Self::Idle => "idle",
            Self::Mix => "mix",
        }
    }
}

/// Who says something in a broadcast, and who hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Audience {
    /// The first of the clients.
    pub(crate) publishers: usize,
    /// The last of the clients: they read nothing.
    pub(crate) slow: usize,
    pub(crate) sender_excluded: bool,
}

/// Who ends the TCP connection first, and so is left with TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClosedBy {
    /// The server, once the Close is answered (RFC 6455 section 7.1.1)
    Server,
    /// The client, once the Close is answered
    Client,
    /// The client, by a reset in place of a Close: no TIME-WAIT on either side
    Reset,
}

/// When a publisher sends its next message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// As long as fewer than these of it are in flight.
    Window(u32),
    /// When it is due: so many a second, of all publishers together.
    Rate(f64),
}

impl Load {
    pub(crate) fn window(self) -> Option<u32> {
        if let Self::Window(window) = self { Some(window) } else { None }
    }

    pub(crate) fn rate(self) -> Option<f64> {
        if let Self::Rate(rate) = self { Some(rate) } else { None }
    }
}

/// What ends the measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// So many messages were published, or connections made.
    Count(u64),
}

impl Plan {
    /// What the numbers contradict each other in, by flag.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let Self { clients, threads, .. } = *self;
        if let Some(text) = self.contradiction_of_link() {
            return Some(text);
        }
        if clients > CLIENTS_MAX {
            let flags = match self.hostile.map_or(0, Hostility::clients) {
                0 => "--connections",
                _ => "--connections and --bad together",
            };
            return Some(format!("{flags}: {clients}, at most {CLIENTS_MAX}"));
        }
        if let Some(text) = self.contradiction_of_hostility() {
            return Some(text);
        }
        let behaved = self.behaved();
        if self.slow() >= behaved && self.hostile.is_none() {
            let slow = self.slow();
            return Some(format!("--slow {slow}: fewer than --connections, which is {behaved}"));
        }
        let readers = self.readers_at_first();
        // Where nobody is to be checked, hostile clients are spread.
        let most = if behaved == 0 { clients.max(1) } else { readers };
        if threads > most.min(THREADS_MAX) {
            let most = most.min(THREADS_MAX);
            return Some(format!(
                "--threads {threads}: at most {most}, each needs a client that reads"
            ));
        }
        let Scenario::Broadcast { audience, load, .. } = self.scenario else { return None };
        let Audience { publishers, sender_excluded, .. } = audience;
        if publishers > readers {
            return Some(format!("--publishers {publishers}: at most {readers}, who read as well"));
        }
        // Each thread has someone to wait for, whoever publishes.
        if sender_excluded && readers < 2 * threads {
            return Some("--sender-excluded: each thread needs two clients that read".to_owned());
        }
        let window = if let Load::Window(window) = load { window as usize } else { 1 };
        if publishers * clients.max(window) > SEQUENCES_MAX {
            return Some(format!(
                "--publishers {publishers}: too many for these --connections and this --window"
            ));
        }
        None
    }

    fn contradiction_of_hostility(&self) -> Option<String> {
        match (self.hostile, self.until) {
            (Some(Hostility::Synflood { .. }), _) if self.link.is_kernel() => Some(
                "--transport kernel: the kernel sends no SYN that nobody acknowledges; synflood \
                 takes --transport dpdk or ring"
                    .to_owned(),
            ),
            (
                Some(Hostility::Slowloris { expect_within: Some(within), .. }),
                Until::Elapsed(duration),
            ) if within >= duration => Some(format!(
                "--expect-within {within:?}: less than --duration, which is {duration:?}, or nothing \
                 is checked"
            )),
            _ => None,
        }
    }

    fn contradiction_of_link(&self) -> Option<String> {
        if self.link.is_kernel() {
            return None;
        }
        let name = self.link.name();
        if self.threads > 1 {
            return Some(format!("--threads: one thread has all clients with --transport {name}"));
        }
        if !self.sources.is_empty() {
            return Some(format!("--source: --clients says it with --transport {name}"));
        }
        // Names are looked up before the run begins; an address of IPv6 shows at once.
        self.target
            .starts_with('[')
            .then(|| format!("--target {}: --transport {name} speaks IPv4 only", self.target))
    }

    pub(crate) fn message_len(&self) -> usize {
        match self.scenario {
            Scenario::Broadcast { message_len, .. } | Scenario::Echo { message_len, .. } => {
                message_len
            }
            Scenario::Mix => self.mix.as_ref().map_or(0, Mix::message_len),
            Scenario::Connect { .. } | Scenario::Idle => 0,
        }
    }

    /// Publishers are the first clients.
    pub(crate) fn publishers(&self) -> usize {
        match self.scenario {
            Scenario::Broadcast { audience, .. } => audience.publishers,
            Scenario::Echo { .. } => self.clients,
            Scenario::Mix => self.mix.as_ref().map_or(0, Mix::publishers),
            Scenario::Connect { .. } | Scenario::Idle => 0,
        }
    }

    pub(crate) fn load(&self) -> Option<Load> {
        match self.scenario {
            Scenario::Broadcast { load, .. } | Scenario::Echo { load, .. } => Some(load),
            Scenario::Connect { .. } | Scenario::Idle | Scenario::Mix => None,
        }
    }

    /// Whether messages, or those of a phase, are due by the time.
    pub(crate) fn is_open_loop(&self) -> bool {
        let of_phases = self.mix.iter().flat_map(|mix| &mix.phases).filter_map(|phase| phase.load);
        self.load().into_iter().chain(of_phases).any(|load| load.rate().is_some())
    }

    /// Whether clients have messages.
    pub(crate) fn has_messages(&self) -> bool {
        self.load().is_some() || self.mix.is_some()
    }

    /// Whether a message is for all clients.
    pub(crate) fn is_broadcast(&self) -> bool {
        matches!(self.scenario, Scenario::Broadcast { .. } | Scenario::Mix)
    }

    pub(crate) fn is_connect(&self) -> bool {
        matches!(self.scenario, Scenario::Connect { .. })
    }

    pub(crate) fn expected(&self) -> Expected {
        match self.scenario {
            Scenario::Broadcast { audience, .. } => Expected::All {
                publishers: audience.publishers,
                sender_excluded: audience.sender_excluded,
            },
            Scenario::Mix => Expected::SinceJoined { publishers: self.publishers() },
            Scenario::Echo { .. } | Scenario::Connect { .. } | Scenario::Idle => Expected::Own,
        }
    }

    /// The last clients, which read nothing.
    pub(crate) fn slow(&self) -> usize {
        match self.scenario {
            Scenario::Broadcast { audience, .. } => audience.slow,
            _ => self.mix.as_ref().map_or(0, Mix::slow),
        }
    }

    pub(crate) fn sender_excluded(&self) -> bool {
        matches!(self.scenario, Scenario::Broadcast { audience, .. } if audience.sender_excluded)
    }

    /// Clients that do no harm: the first ones.
    pub(crate) fn behaved(&self) -> usize {
        self.clients - self.hostile.map_or(0, Hostility::clients)
    }

    /// Clients that read, and are checked: the first ones of these.
    pub(crate) fn readers(&self) -> usize {
        self.behaved() - self.slow()
    }

    /// Clients that connect before anything else happens, and those of them that read.
    pub(crate) fn clients_at_first(&self) -> usize {
        self.mix.as_ref().map_or(self.behaved(), |mix| mix.connections)
    }

    pub(crate) fn readers_at_first(&self) -> usize {
        self.mix.as_ref().map_or(self.readers(), |mix| mix.connections)
    }

    /// How many clients are to get each message, if that does not change.
    pub(crate) fn receivers(&self) -> usize {
        match self.scenario {
            Scenario::Broadcast { audience, .. } => {
                self.readers() - usize::from(audience.sender_excluded)
            }
            Scenario::Echo { .. } => 1,
            Scenario::Connect { .. } | Scenario::Idle | Scenario::Mix => 0,
        }
    }

    /// Client `n` is that of thread `n % threads`, so that each has its share of publishers.
    pub(crate) fn clients_of(&self, thread: usize) -> usize {
        self.clients_below(self.clients, thread)
    }

    /// Clients of a thread whose number is below `end`. They are its first ones.
    pub(crate) fn clients_below(&self, end: usize, thread: usize) -> usize {
        end.saturating_sub(thread).div_ceil(self.threads)
    }

    /// Those clients of a thread that do no harm. They are its first ones.
    pub(crate) fn behaved_of(&self, thread: usize) -> usize {
        self.clients_below(self.behaved(), thread)
    }

    /// Those clients of a thread that read. They are its first ones.
    pub(crate) fn readers_of(&self, thread: usize) -> usize {
        self.clients_below(self.readers(), thread)
    }
}

#[cfg(test)]
impl Plan {
    /// A plan for one thread that ends by itself.
    pub(crate) fn of(scenario: Scenario, clients: usize) -> Self {
        Self {
            scenario,
            mix: None,
            hostile: None,
            link: Link::Kernel,
            target: "127.0.0.1:1".to_owned(),
            path: "/".to_owned(),
            clients,
            threads: 1,
            until: Until::Elapsed(Duration::ZERO),
            warmup: Duration::ZERO,
            timeout: Duration::from_secs(1),
            connecting: 1,
            sources: Vec::new(),
            busy_poll: false,
            server_pid: None,
            admin: None,
        }
    }
}
