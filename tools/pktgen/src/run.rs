//! Conducts a run: from phase to phase, with a bound on everything that is waited for.

mod ending;
mod stages;

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::stages::StageCounts;
use crate::admin::Admin;
use crate::fleet::Fleet;
use crate::hostile::Findings;
use crate::interrupt::Interrupt;
use crate::limits;
use crate::outcome::Outcome;
use crate::pace::Kept;
use crate::plan::{Load, Plan, Until};
use crate::process::Process;
use crate::progress::Progress;
use crate::report::{Measurement, Report, ServerUse};
use crate::series::Recorder;
use crate::server::{Reading, ServerFigures};
use crate::shared::{Phase, Shared, Sums};

/// How often the threads' counters are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Clients give up first, since they know what they wait for, also where they have to wait for the
/// CPU.
const GRACE: Duration = Duration::from_secs(1);
const INTERRUPTED: &str = "interrupted by a signal";

/// Runs what is planned.
///
/// # Errors
/// Why it could not begin. What goes wrong later stands in the report.
pub(crate) fn conduct(plan: Plan, interrupt: Interrupt) -> Result<Report, String> {
    let address = if plan.link.is_kernel() {
        limits::make_room(plan.clients, plan.threads)?;
        resolve(&plan.target, plan.timeout)?
    } else {
        look_up_ipv4(&plan.target)?
    };
    let server = plan.server_pid.map(Process::find).transpose()?;
    let rss_before_bytes = server.map_or(Ok(0), Process::memory)?;
    let admin = plan.admin.as_deref().map(|admin| find_admin(admin, plan.timeout)).transpose()?;
    let shared = Arc::new(Shared::new(plan));
    let fleet = Fleet::start(&shared, address)?;
    let mut conductor = Conductor {
        shared: &shared,
        fleet: &fleet,
        server,
        admin,
        interrupt,
        progress: Progress::new(),
        measurement: Measurement::default(),
        began: None,
        rss_before_bytes,
        series: Recorder::new(),
    };
    if let Err(reason) = conductor.run() {
        shared.fail(|| reason);
        conductor.measure_what_there_was();
        conductor.settle();
    }
    conductor.close();
    let Conductor { progress, mut measurement, series, .. } = conductor;
    drop(progress);
    measurement.series = series.points();
    (measurement.from_s, measurement.to_s) = shared.measured_s();
    let outcome = join(&shared, fleet);
    if let Some(reason) = nothing_measured(&shared.plan, &measurement, &outcome) {
        shared.fail(|| reason);
    }
    let target = &shared.plan.target;
    let failure = shared.failure().map(|reason| format!("{target}: {reason}"));
    Ok(Report::new(&shared.plan, address.to_string(), measurement, outcome, failure))
}

/// The admin interface, which answers.
fn find_admin(name: &str, timeout: Duration) -> Result<Admin, String> {
    let address = resolve(name, timeout).map_err(|reason| format!("--admin {reason}"))?;
    let admin = Admin::new(name, address, timeout);
    admin.read()?;
    Ok(admin)
}

/// The first address of version 4 of the target. It is not on a network of this system.
fn look_up_ipv4(target: &str) -> Result<SocketAddr, String> {
    let mut addresses = target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))?;
    addresses.find(SocketAddr::is_ipv4).ok_or_else(|| format!("{target}: no IPv4 address"))
}

/// The first address of the target that takes a connection. Where there is but one it is not
/// tried.
fn resolve(target: &str, timeout: Duration) -> Result<SocketAddr, String> {
    let addresses = target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    match addresses[..] {
        [] => return Err(format!("{target}: no address of that name")),
        [only] => return Ok(only),
        _ => {}
    }
    let mut refusals = Vec::new();
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(address),
            Err(error) => refusals.push(format!("{address}: {error}")),
        }
    }
    Err(format!("{target}: {}", refusals.join("; ")))
}

struct Conductor<'a> {
    shared: &'a Shared,
    fleet: &'a Fleet,
    server: Option<Process>,
    admin: Option<Admin>,
    interrupt: Interrupt,
    progress: Progress,
    measurement: Measurement,
    /// Of the measurement, while it goes on: its beginning, and the messages before it.
    began: Option<(Clock, u64)>,
    rss_before_bytes: u64,
    series: Recorder,
}

/// Both sides' use of the CPU up to a moment.
struct Clock {
    at: Instant,
    server: Duration,
    generator: Option<Duration>,
    /// Of turns with something to do, where that is known.
    busy: Duration,
}

impl Conductor<'_> {
    fn run(&mut self) -> Result<(), String> {
        let plan = &self.shared.plan;
        let (clients, readers) = (plan.clients_at_first() as u64, plan.readers_at_first() as u64);
        if !plan.is_connect() {
            let done = |sums: &Sums| (sums.handshakes, clients);
            self.wait("connecting", "clients are connected", done)?;
        }
        if plan.is_broadcast() {
            self.enter(Phase::RollCall);
            let done = |sums: &Sums| (sums.roll_called, readers);
            self.wait("roll call", "clients hear a broadcast", done).map_err(|reason| {
                let is_one_left_out = self.shared.sums().roll_called + 1 == readers;
                if is_one_left_out && plan.mix.is_some() {
                    format!("{reason} (is it the sender that is left out? mix is for others)")
                } else if is_one_left_out && !plan.sender_excluded() {
                    format!("{reason} (is it the sender that is left out? see --sender-excluded)")
                } else {
                    reason
                }
            })?;
        }
        let warmup = plan.warmup;
        // Asking takes a while, and is no part of what is measured.
        let mut counted = self.counted()?;
        if warmup.is_zero() {
            self.shared.begin_measuring();
            self.began = Some((self.clock()?, 0));
        }
        self.begin_stages();
        self.enter(Phase::Run);
        if !warmup.is_zero() {
            self.hold("warming up", warmup)?;
            self.failure()?;
            counted = self.counted()?;
            let published_before = self.shared.published_total();
            self.shared.begin_measuring();
            self.began = Some((self.clock()?, published_before));
        }
        match (&plan.mix, plan.until) {
            (Some(mix), _) => self.hold_stages(mix)?,
            (None, Until::Elapsed(duration)) => self.hold("measuring", duration)?,
            (None, Until::Count(count)) => {
                let done = |_: &Sums| (count - self.shared.tickets_left(), count);
                self.wait("measuring", "have begun", done)?;
                // There are no more, whatever the time.
                self.shared.stop_publishing();
                self.enter(Phase::Drain);
                self.drain()?;
            }
        }
        self.end_measurement()?;
        self.compare(counted)?;
        self.enter(Phase::Drain);
        self.drain()?;
        if self.interrupt.has_come() { Err(INTERRUPTED.to_owned()) } else { Ok(()) }
    }

    /// Deliveries that are settled, and that were sent.
    fn deliveries(&self, sums: &Sums) -> (u64, u64) {
        let sent = self.shared.published_total() * self.shared.plan.receivers() as u64;
        (sums.settled, sent)
    }

    /// Lets the run go on for a time, unless something is sent and nothing arrives. A signal ends it
    /// before.
    fn hold(&mut self, phase: &str, duration: Duration) -> Result<(), String> {
        let began = Instant::now();
        let mut watch = Watch::new(self.shared.plan.timeout + GRACE);
        loop {
            let elapsed = began.elapsed();
            if elapsed >= duration || self.interrupt.has_come() {
                return Ok(());
            }
            self.progress.show(phase, millis(elapsed), millis(duration));
            self.failure()?;
            let sums = self.look();
            let (settled, sent) = self.deliveries(&sums);
            if settled >= sent && !self.shared.plan.is_connect() {
                // At a low rate there may be nothing to wait for in longer than patience lasts.
                watch.restart();
            }
            if watch.is_over(settled + sums.handshakes) {
                let what = if self.shared.plan.is_connect() {
                    format!("{} connections were made", sums.handshakes)
                } else {
                    format!("{settled} of {sent} deliveries are accounted for")
                };
                return Err(self.timed_out(phase, &what));
            }
            thread::sleep(LOOK_INTERVAL.min(duration - elapsed));
        }
    }

    /// Waits until all of something is done, as long as there is progress.
    fn wait(
        &mut self,
        phase: &str,
        what: &str,
        done: impl Fn(&Sums) -> (u64, u64),
    ) -> Result<(), String> {
        let mut watch = Watch::new(self.shared.plan.timeout + GRACE);
        loop {
            let sums = self.look();
            let (part, all) = done(&sums);
            if part >= all {
                return Ok(());
            }
            self.progress.show(phase, part, all);
            self.failure()?;
            // Arrivals are progress while a count of messages is being sent, too.
            let is_idle = self.is_between_messages(&sums);
            if watch.is_over(part + sums.settled + sums.handshakes) && !is_idle {
                return Err(self.timed_out(phase, &format!("{part} of {all} {what}")));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// The threads' counters, which become a point of the series if it is time for one.
    fn look(&mut self) -> Sums {
        let (shared, sums) = (self.shared, self.shared.sums());
        self.series.look(shared.now_ns(), &sums, || shared.published_total());
        sums
    }

    /// In the open loop a message may be due much later than the one before has arrived.
    fn is_between_messages(&self, sums: &Sums) -> bool {
        let is_open_loop = matches!(self.shared.plan.load(), Some(Load::Rate(_)));
        let (settled, sent) = self.deliveries(sums);
        is_open_loop && self.shared.phase() == Phase::Run && settled >= sent
    }

    fn timed_out(&self, phase: &str, what: &str) -> String {
        format!("{phase}: {what}, and no more within {:?}", self.shared.plan.timeout)
    }

    /// Why the run cannot go on. When it drains it is at its end anyway.
    fn failure(&self) -> Result<(), String> {
        let is_interrupted = self.interrupt.has_come() && self.shared.phase() < Phase::Drain;
        let interrupted = is_interrupted.then(|| INTERRUPTED.to_owned());
        self.shared.failure().or(interrupted).map_or(Ok(()), Err)
    }

    fn enter(&self, phase: Phase) {
        self.shared.enter(phase);
        self.fleet.wake();
    }

    fn clock(&self) -> Result<Clock, String> {
        Ok(Clock {
            at: Instant::now(),
            server: self.server.map_or(Ok(Duration::ZERO), Process::cpu)?,
            generator: Process::own().and_then(|own| own.cpu().ok()),
            busy: Duration::from_nanos(self.shared.sums().busy_ns),
        })
    }

    /// The measurement is over, if it has begun.
    fn end_measurement(&mut self) -> Result<(), String> {
        let Some((began, published_before)) = self.began.take() else { return Ok(()) };
        self.shared.end_measuring();
        let ended = self.clock()?;
        self.measure(&began, &ended, published_before)
    }

    /// The run is given up. What came before belongs into the report all the same.
    fn measure_what_there_was(&mut self) {
        // It may be the end of the server that ended the run.
        self.server = self.server.filter(|server| server.cpu().is_ok());
        if let Err(reason) = self.end_measurement() {
            self.shared.fail(|| reason);
        }
    }

    fn measure(&mut self, from: &Clock, to: &Clock, published_before: u64) -> Result<(), String> {
        let sums = self.shared.sums();
        let generator = from.generator.zip(to.generator);
        let stages = std::mem::take(&mut self.measurement.stages);
        self.measurement = Measurement {
            stages,
            seconds: (to.at - from.at).as_secs_f64(),
            measured: sums.measured,
            published: self.shared.published_total() - published_before,
            connects: sums.handshakes,
            client_busy_s: (!self.shared.plan.link.is_kernel())
                .then(|| to.busy.saturating_sub(from.busy).as_secs_f64()),
            client_cpu_s: generator.map(|(from, to)| to.saturating_sub(from).as_secs_f64()),
            ..Measurement::default()
        };
        if let (Some(server), Some(pid)) = (self.server, self.shared.plan.server_pid) {
            self.measurement.server = Some(ServerUse {
                pid,
                cpu_s: to.server.saturating_sub(from.server).as_secs_f64(),
                rss_before_bytes: self.rss_before_bytes,
                rss_bytes: server.memory()?,
                open: sums.open,
            });
        }
        Ok(())
    }

    /// What the server has counted so far.
    fn counted(&self) -> Result<Option<Reading>, String> {
        self.admin.as_ref().map(Admin::read).transpose()
    }

    /// Puts down what the server has counted since.
    fn compare(&mut self, from: Option<Reading>) -> Result<(), String> {
        let (plan, to) = (&self.shared.plan, self.counted()?);
        if let (Some(admin), Some(from), Some(to)) = (&plan.admin, from, to) {
            self.measurement.figures =
                ServerFigures::between(admin, &from, &to, plan.is_connect())?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What all threads have to say, once they are at their end.
fn join(shared: &Shared, fleet: Fleet) -> Outcome {
    let mut all = Outcome::empty();
    for outcome in fleet.join() {
        match outcome {
            Some(outcome) => all.merge(outcome),
            None => shared.fail(|| "a thread of the generator panicked".to_owned()),
        }
    }
    if let Some(reason) = all.hostile.as_ref().and_then(Findings::failure) {
        shared.fail(|| reason);
    }
    if let Some(Kept { due, sent }) = all.kept.filter(|kept| kept.sent < kept.due) {
        shared.fail(|| {
            format!(
                "the rate was not kept: of {due} messages that were due {sent} were sent, though {:?} \
                 were given for what was late",
                shared.plan.timeout
            )
        });
    }
    all
}

/// A run that measured nothing has shown nothing.
fn nothing_measured(plan: &Plan, measured: &Measurement, outcome: &Outcome) -> Option<String> {
    let has_load = plan.load().is_some()
        || plan.mix.iter().flat_map(|mix| &mix.phases).any(|phase| phase.load.is_some());
    let is_silent = has_load && measured.measured == 0 && outcome.delivery.summary().is_none();
    if is_silent {
        return Some(format!("no message arrived in the measurement ({:.2} s)", measured.seconds));
    }
    let is_idle = plan.is_connect() && measured.measured == 0;
    is_idle
        .then(|| format!("no connection was made in the measurement ({:.2} s)", measured.seconds))
}

/// Tells when nothing has changed for too long.
struct Watch {
    patience: Duration,
    seen: u64,
    since: Instant,
}

impl Watch {
    fn new(patience: Duration) -> Self {
        Self { patience, seen: 0, since: Instant::now() }
    }

    fn restart(&mut self) {
        self.since = Instant::now();
    }

    fn is_over(&mut self, progress: u64) -> bool {
        if progress != self.seen {
            self.seen = progress;
            self.since = Instant::now();
        }
        self.since.elapsed() >= self.patience
    }
}
