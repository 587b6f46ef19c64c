//! The command line, and the plan it makes.

mod hostile;
mod link;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use self::hostile::{BesideFlags, GarbageFlags, SlowlorisFlags, SynfloodFlags};
use self::link::LinkFlags;
use crate::hostile::Hostility;
use crate::message::HEADER_BYTES;
use crate::mix::{self, Mix};
use crate::plan::{Audience, ClosedBy, Load, Plan, Scenario, Until};
use crate::report::ReportFile;

const AFTER_HELP: &str = "\
Each message carries its run, publisher, sequence, time and a pattern. Every client
checks that it gets every message once, in order for each publisher, and whole.

Exit status: 0 all is well, 1 a check failed, the run could not be made or ended, or
its report not be written, 2 bad flags, or a report that cannot be begun. The first
SIGINT or SIGTERM ends the measurement, and what there is is reported with status 1;
the second one ends the program.";

/// Plays WebSocket clients against a server, checks what they get, and measures it
#[derive(Debug, Parser)]
#[command(name = "hioload-pktgen", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

/// What the clients do.
#[derive(Debug, Subcommand)]
enum Mode {
    /// Some clients publish, and all get every message
    Broadcast {
        /// Clients that publish as well: the first ones
        #[arg(long, value_name = "P", default_value_t = 1, value_parser = positive)]
        publishers: usize,

        /// Clients that read nothing after the upgrade: the last ones. They are not checked, and
        /// nobody waits for them
        #[arg(long, value_name = "N", default_value_t = 0)]
        slow: usize,

        /// The server sends a message to all but its sender
        #[arg(long)]
        sender_excluded: bool,

        #[command(flatten)]
        messages: MessageFlags,
        #[command(flatten)]
        load: LoadFlags,
        #[command(flatten)]
        common: CommonFlags,
    },
    /// Every client gets back what it sends
    Echo {
        #[command(flatten)]
        messages: MessageFlags,
        #[command(flatten)]
        load: LoadFlags,
        #[command(flatten)]
        common: CommonFlags,
    },
    /// Clients connect, upgrade, close, and begin anew; --connections is how many at a time
    Connect {
        /// Ends after so many connections instead of --duration
        #[arg(long, value_name = "M", value_parser = positive_u64, conflicts_with = "duration")]
        total: Option<u64>,

        /// Who ends the TCP connection first, after the client's Close
        #[arg(long, value_enum, default_value_t = ClosedBy::Server)]
        closed_by: ClosedBy,

        #[command(flatten)]
        load: LoadFlags,
        #[command(flatten)]
        common: CommonFlags,
    },
    /// Clients connect and stay silent; they answer pings
    Idle {
        #[command(flatten)]
        load: LoadFlags,
        #[command(flatten)]
        common: CommonFlags,
    },
    /// Clients come, publish, read, dawdle and go by the phases of a scenario
    Mix {
        /// The scenario (TOML): see README.md and examples/ of this tool
        #[arg(value_name = "SCENARIO")]
        file: PathBuf,

        #[command(flatten)]
        common: CommonFlags,
    },
    /// SYNs from many addresses that nobody acknowledges, beside clients that are checked; not over
    /// the kernel's sockets
    Synflood {
        #[command(flatten)]
        flood: SynfloodFlags,
        #[command(flatten)]
        beside: BesideFlags,
        #[command(flatten)]
        common: CommonFlags,
    },
    /// Requests that never end, beside clients that are checked
    Slowloris {
        #[command(flatten)]
        slowloris: SlowlorisFlags,
        #[command(flatten)]
        beside: BesideFlags,
        #[command(flatten)]
        common: CommonFlags,
    },
    /// Requests, frames and packets that break the rules, beside clients that are checked
    Garbage {
        #[command(flatten)]
        garbage: GarbageFlags,
        #[command(flatten)]
        beside: BesideFlags,
        #[command(flatten)]
        common: CommonFlags,
    },
}

#[derive(Args, Debug)]
struct MessageFlags {
    /// Size of a message
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = message_len)]
    size: usize,

    /// Closed loop: messages of a publisher in flight; one is until all who are to get it have it
    #[arg(long, value_name = "W", default_value_t = 1, value_parser = window)]
    window: u32,

    /// Open loop: messages a second, of all publishers together. Latency then counts from when a
    /// message should have been sent
    #[arg(
        long,
        value_name = "R",
        value_parser = rate,
        allow_negative_numbers = true,
        conflicts_with = "window"
    )]
    rate: Option<f64>,

    /// Ends after so many messages instead of --duration
    #[arg(long, value_name = "M", value_parser = positive_u64, conflicts_with = "duration")]
    messages: Option<u64>,
}

#[derive(Args, Debug)]
struct LoadFlags {
    /// Clients, each with a connection
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = positive)]
    connections: usize,

    /// How long to measure
    #[arg(long, default_value = "10s", value_parser = some_time)]
    duration: Duration,

    /// What comes before that and is checked, but not measured [default: 1s; 0s if a count ends
    /// the run, and in idle]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    warmup: Option<Duration>,
}

#[derive(Args, Debug)]
struct CommonFlags {
    #[command(flatten)]
    link: LinkFlags,

    /// The server; with --transport ring [default: 10.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", value_parser = target)]
    target: Option<String>,

    /// Path of the WebSocket endpoint
    #[arg(long, default_value = "/ws", value_parser = path)]
    path: String,

    /// Threads that the connections are spread over
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = positive)]
    threads: usize,

    /// How long to wait for anything that does not come
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    timeout: Duration,

    /// Handshakes under way at a time, so that the server's backlog is not overrun
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = positive)]
    connecting: usize,

    /// Addresses of this host to connect from, in turn: one gives some 28,000 ports [default: what
    /// the system chooses; several of 127.0.0.x where one would not do]
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    source: Vec<IpAddr>,

    /// Never sleep while waiting for the server: costs a CPU per thread, and spares the server
    /// the work of waking this process
    #[arg(long)]
    busy_poll: bool,

    /// Process of the server on this host: its CPU time per delivery, its memory (Linux)
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    server_pid: Option<u32>,

    /// Admin address of the server, if that is a hioload appliance: how busy its workers were and
    /// what it counted, from /stats before and after the measurement
    #[arg(long, value_name = "HOST:PORT", value_parser = target)]
    admin: Option<String>,

    /// Write a page with charts and all figures to this file (HTML, which needs nothing else)
    #[arg(long, value_name = "FILE", value_parser = clap::value_parser!(PathBuf))]
    report: Option<PathBuf>,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// What becomes of the figures.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) as_json: bool,
    pub(crate) report: Option<ReportFile>,
}

impl Cli {
    /// What to do, and how to report it.
    ///
    /// # Errors
    /// What the flags contradict each other in, what is wrong with the scenario, or why there can
    /// be no report.
    pub(crate) fn plan(self) -> Result<(Plan, Output), clap::Error> {
        let refused = |text| Self::command().error(ErrorKind::ValueValidation, text);
        let Job { scenario, hostile, mix, clients, until, warmup, common } =
            self.mode.job().map_err(refused)?;
        let target = match common.target {
            Some(target) => target,
            None if common.link.is_ring() => link::RING_TARGET.to_owned(),
            None => return Err(refused("--target HOST:PORT: name the server".to_owned())),
        };
        let link = common.link.link().map_err(refused)?;
        let plan = Plan {
            scenario,
            hostile,
            mix,
            link,
            target,
            path: common.path,
            clients,
            threads: common.threads,
            until,
            warmup,
            timeout: common.timeout.max(Duration::from_millis(1)),
            connecting: common.connecting,
            sources: common.source,
            busy_poll: common.busy_poll,
            server_pid: common.server_pid,
            admin: common.admin,
        };
        if let Some(text) = plan.contradiction() {
            return Err(refused(text));
        }
        let report = common.report.as_deref().map(ReportFile::create).transpose();
        let report = report.map_err(|reason| refused(format!("--report {reason}")))?;
        Ok((plan, Output { as_json: common.json, report }))
    }
}

/// What a mode and its flags come down to.
struct Job {
    scenario: Scenario,
    hostile: Option<Hostility>,
    mix: Option<Mix>,
    clients: usize,
    until: Until,
    warmup: Duration,
    common: CommonFlags,
}

impl Mode {
    fn job(self) -> Result<Job, String> {
        let (scenario, load, common, counted) = match self {
            Self::Broadcast { publishers, slow, sender_excluded, messages, load, common } => {
                let audience = Audience { publishers, slow, sender_excluded };
                let (message_len, pace) = (messages.size, messages.load());
                let scenario = Scenario::Broadcast { audience, message_len, load: pace };
                (scenario, load, common, messages.messages)
            }
            Self::Echo { messages, load, common } => {
                let (message_len, pace) = (messages.size, messages.load());
                (Scenario::Echo { message_len, load: pace }, load, common, messages.messages)
            }
            Self::Connect { total, closed_by, load, common } => {
                (Scenario::Connect { closed_by }, load, common, total)
            }
            Self::Idle { load, common } => (Scenario::Idle, load, common, None),
            Self::Mix { file, common } => {
                let mix = mix::load(&file)?;
                return Ok(Job {
                    scenario: Scenario::Mix,
                    hostile: None,
                    clients: mix.readers() + mix.slow(),
                    until: Until::Elapsed(mix.duration()),
                    warmup: Duration::ZERO,
                    mix: Some(mix),
                    common,
                });
            }
            Self::Synflood { flood, beside, common } => {
                return Ok(beside.job(flood.hostility(), common));
            }
            Self::Slowloris { slowloris, beside, common } => {
                return Ok(beside.job(slowloris.hostility(), common));
            }
            Self::Garbage { garbage, beside, common } => {
                let hostile = garbage.hostility(!common.link.is_kernel())?;
                return Ok(beside.job(hostile, common));
            }
        };
        let has_warmup = counted.is_none() && scenario != Scenario::Idle;
        Ok(Job {
            scenario,
            hostile: None,
            mix: None,
            clients: load.connections,
            until: counted.map_or(Until::Elapsed(load.duration), Until::Count),
            warmup: load.warmup.unwrap_or(Duration::from_secs(u64::from(has_warmup))),
            common,
        })
    }
}

impl MessageFlags {
    fn load(&self) -> Load {
        self.rate.map_or(Load::Window(self.window), Load::Rate)
    }
}

fn target(text: &str) -> Result<String, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT")?;
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("expected brackets around an IPv6 address: [::1]:8080");
    }
    match port.parse::<u16>() {
        Ok(1..) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, with a port of 1 to 65535"),
    }
}

fn path(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path && !text.contains('#') {
        Ok(text.to_owned())
    } else {
        Err("expected a path that begins with \"/\", without spaces and \"#\"")
    }
}

fn positive(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("expected a whole number, 1 or more")
}

fn positive_u64(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("expected a whole number, 1 or more")
}

fn window(text: &str) -> Result<u32, &'static str> {
    let window = text.parse().ok().filter(|window| (1..=65_536).contains(window));
    window.ok_or("expected a whole number, 1 to 65536")
}

fn message_len(text: &str) -> Result<usize, String> {
    const MAX: usize = 16 << 20;
    let len = text.parse().ok().filter(|len| (HEADER_BYTES..=MAX).contains(len));
    len.ok_or_else(|| format!("expected a number of bytes, {HEADER_BYTES} to {MAX}"))
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.001..=1e7).contains(rate));
    rate.ok_or("expected messages a second, 0.001 to 10000000")
}

pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a duration such as 500ms, 10s or 2m, at most 24h";
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| EXPECTED)?;
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let duration = milliseconds.and_then(|unit| number.checked_mul(unit));
    duration.filter(|ms| *ms <= 86_400_000).map(Duration::from_millis).ok_or(EXPECTED)
}

fn some_time(text: &str) -> Result<Duration, &'static str> {
    duration(text).and_then(|time| if time.is_zero() { Err(NO_TIME) } else { Ok(time) })
}

pub(crate) const NO_TIME: &str = "expected more than no time";

#[cfg(test)]
mod tests;
