//! What the threads of a run and the one that conducts it tell each other.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::plan::{Load, Plan, Scenario, Until};

const NEVER: u64 = u64::MAX;

/// How far a run has come. Threads see a change at the beginning of their next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Phase {
    /// All clients connect.
    Connect,
    /// Publisher 0 says something until every client has heard it: from then on each of them is
    /// known to be subscribed.
    RollCall,
    /// Publishers publish; clients of the connect mode come and go.
    Run,
    /// Nothing new begins; what was due before is sent, and what is under way arrives.
    Drain,
    /// Clients send their Close, and read up to the server's.
    Close,
    /// Threads leave.
    End,
}

const PHASES: [Phase; 6] =
    [Phase::Connect, Phase::RollCall, Phase::Run, Phase::Drain, Phase::Close, Phase::End];

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    /// Sets the messages of this run apart from those of others.
    pub(crate) run: u64,
    origin: Instant,
    phase: AtomicU8,
    /// The measurement: when it began and ended. `NEVER` for what is yet to come.
    measured_from_ns: AtomicU64,
    measured_to_ns: AtomicU64,
    /// Messages that are due from here on are not sent any more. `NEVER` until that is known.
    due_until_ns: AtomicU64,
    /// When phase Run began, for the schedule of the open loop.
    run_began_ns: AtomicU64,
    /// In mode mix: how many of its phases have begun, and when each did.
    stages: AtomicUsize,
    stages_began_ns: Vec<AtomicU64>,
    /// Messages or connections that may still begin, where a count ends the run.
    tickets: AtomicU64,
    /// By publisher: messages sent.
    published: Vec<AtomicU64>,
    /// By publisher, in the closed loop: messages that all who are to get them have.
    completed: Vec<AtomicU64>,
    /// By publisher and place in its window: threads some of whose clients wait for the message.
    pending: Vec<AtomicU32>,
    /// By publisher: its connection has ended, and nobody can say what the server got of it.
    gone: Vec<AtomicBool>,
    failure: Mutex<Option<String>>,
    /// One writer each.
    pub(crate) counters: Vec<Counters>,
}

/// What a thread has seen so far; written by it at the end of each turn.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) open: AtomicU64,
    pub(crate) handshakes: AtomicU64,
    pub(crate) under_way: AtomicU64,
    pub(crate) roll_called: AtomicU64,
    pub(crate) settled: AtomicU64,
    pub(crate) measured: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    pub(crate) churned: AtomicU64,
    pub(crate) draining: AtomicU64,
    pub(crate) caught_up: AtomicU64,
    pub(crate) hostile: AtomicU64,
}

/// The counters of all threads together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    /// Connections that are open.
    pub(crate) open: u64,
    /// Handshakes that were completed.
    pub(crate) handshakes: u64,
    /// Connections between the first packet and the last.
    pub(crate) under_way: u64,
    /// Clients that heard the roll call.
    pub(crate) roll_called: u64,
    /// Deliveries that nobody waits for any more: arrived, or skipped by a later one.
    pub(crate) settled: u64,
    /// Deliveries (in connect mode: handshakes) of the measured time.
    pub(crate) measured: u64,
    /// Time of turns with something to do, where that is known.
    pub(crate) busy_ns: u64,
    /// In mode mix: connections that were closed to be made again.
    pub(crate) churned: u64,
    /// Threads that publish no more.
    pub(crate) draining: u64,
    /// In mode mix: threads whose clients have got all that they are to get.
    pub(crate) caught_up: u64,
    /// Hostile clients that wait for an answer.
    pub(crate) hostile: u64,
}

impl Shared {
    pub(crate) fn new(plan: Plan) -> Self {
        let publishers = plan.publishers();
        let window = window_of(&plan);
        let threads = u32::try_from(plan.threads).unwrap_or(u32::MAX);
        let stages = plan.mix.as_ref().map_or(0, |mix| mix.phases.len());
        let tickets = if let Until::Count(count) = plan.until { count } else { u64::MAX };
        Self {
            run: RandomState::new().hash_one(std::process::id()),
            origin: Instant::now(),
            phase: AtomicU8::new(0),
            measured_from_ns: AtomicU64::new(NEVER),
            measured_to_ns: AtomicU64::new(NEVER),
            due_until_ns: AtomicU64::new(NEVER),
            run_began_ns: AtomicU64::new(0),
            stages: AtomicUsize::new(0),
            stages_began_ns: (0..stages).map(|_| AtomicU64::new(NEVER)).collect(),
            tickets: AtomicU64::new(tickets),
            published: (0..publishers).map(|_| AtomicU64::new(0)).collect(),
            completed: (0..publishers).map(|_| AtomicU64::new(0)).collect(),
            pending: (0..publishers * window).map(|_| AtomicU32::new(threads)).collect(),
            gone: (0..publishers).map(|_| AtomicBool::new(false)).collect(),
            failure: Mutex::new(None),
            counters: (0..plan.threads).map(|_| Counters::default()).collect(),
            plan,
        }
    }

    /// Time since the run began, as messages carry it.
    pub(crate) fn now_ns(&self) -> u64 {
        self.at_ns(Instant::now())
    }

    /// A moment as time since the run began.
    pub(crate) fn at_ns(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    pub(crate) fn enter(&self, phase: Phase) {
        if phase == Phase::Run {
            self.run_began_ns.store(self.now_ns(), Ordering::Relaxed);
        }
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(crate) fn run_began_ns(&self) -> u64 {
        self.run_began_ns.load(Ordering::Relaxed)
    }

    /// The next phase of the mix begins.
    pub(crate) fn enter_stage(&self, stage: usize) {
        if let Some(began_ns) = self.stages_began_ns.get(stage) {
            began_ns.store(self.now_ns(), Ordering::Relaxed);
            self.stages.store(stage + 1, Ordering::Release);
        }
    }

    /// The phase of the mix that is under way, and when it began.
    pub(crate) fn stage(&self) -> Option<(usize, u64)> {
        let stage = self.stages.load(Ordering::Acquire).checked_sub(1)?;
        Some((stage, self.stage_began_ns(stage)))
    }

    /// The phase of the mix that a moment belongs to; the first one for all before it.
    pub(crate) fn stage_at(&self, at_ns: u64) -> usize {
        let mut stage = self.stages.load(Ordering::Acquire).saturating_sub(1);
        while stage > 0 && at_ns < self.stage_began_ns(stage) {
            stage -= 1;
        }
        stage
    }

    fn stage_began_ns(&self, stage: usize) -> u64 {
        self.stages_began_ns.get(stage).map_or(NEVER, |began| began.load(Ordering::Relaxed))
    }

    /// Whether the measurement goes on.
    pub(crate) fn measuring(&self) -> bool {
        self.is_measured(NEVER - 1)
    }

    /// Whether a moment lies in the measurement.
    pub(crate) fn is_measured(&self, at_ns: u64) -> bool {
        self.measured_from_ns.load(Ordering::Acquire) <= at_ns
            && at_ns < self.measured_to_ns.load(Ordering::Acquire)
    }

    pub(crate) fn begin_measuring(&self) {
        self.measured_from_ns.store(self.now_ns(), Ordering::Release);
    }

    /// What is due from now on is neither measured nor sent.
    pub(crate) fn end_measuring(&self) {
        let now_ns = self.now_ns();
        self.due_until_ns.store(now_ns, Ordering::Release);
        self.measured_to_ns.store(now_ns, Ordering::Release);
    }

    /// Nothing is sent any more, also if it was due before.
    pub(crate) fn stop_publishing(&self) {
        self.due_until_ns.store(0, Ordering::Release);
    }

    /// What is due from then on is not sent.
    pub(crate) fn due_until_ns(&self) -> u64 {
        self.due_until_ns.load(Ordering::Acquire)
    }

    /// Beginning and end of the measurement, if both have come.
    pub(crate) fn measured_ns(&self) -> Option<(u64, u64)> {
        let [from, to] = [&self.measured_from_ns, &self.measured_to_ns]
            .map(|at_ns| at_ns.load(Ordering::Acquire));
        (from != NEVER && to != NEVER).then_some((from, to))
    }

    /// Beginning and end of the measurement in seconds since the run began, if they have come.
    pub(crate) fn measured_s(&self) -> (Option<f64>, Option<f64>) {
        let seconds = |at_ns: &AtomicU64| {
            let at_ns = at_ns.load(Ordering::Acquire);
            (at_ns != NEVER).then(|| Duration::from_nanos(at_ns).as_secs_f64())
        };
        (seconds(&self.measured_from_ns), seconds(&self.measured_to_ns))
    }

    /// Whether one more may begin. What comes before the measurement takes no ticket.
    pub(crate) fn take_ticket(&self) -> bool {
        // Behind the measurement, too: a thread may hear late that it is over.
        let is_measured = self.measured_from_ns.load(Ordering::Acquire) != NEVER;
        if !matches!(self.plan.until, Until::Count(_)) || !is_measured {
            return true;
        }
        let taken = self
            .tickets
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.is_ok()
    }

    pub(crate) fn tickets_left(&self) -> u64 {
        self.tickets.load(Ordering::Relaxed)
    }

    /// Messages of a publisher; of one that is none, none.
    pub(crate) fn published(&self, publisher: usize) -> u64 {
        self.published.get(publisher).map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Messages of a publisher that all are to have in the end. `None` for one that is gone.
    pub(crate) fn published_for_sure(&self, publisher: usize) -> Option<u64> {
        let is_gone = self.gone.get(publisher).is_some_and(|gone| gone.load(Ordering::Acquire));
        (!is_gone).then(|| self.published(publisher))
    }

    /// The connection of a client has ended, a publisher's perhaps.
    pub(crate) fn leave(&self, client: usize) {
        if let Some(gone) = self.gone.get(client) {
            gone.store(true, Ordering::Release);
        }
    }

    pub(crate) fn published_total(&self) -> u64 {
        self.published.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// To be said before the message is on its way.
    pub(crate) fn publishing(&self, publisher: usize) {
        self.published[publisher].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn completed(&self, publisher: usize) -> u64 {
        self.completed[publisher].load(Ordering::Acquire)
    }

    pub(crate) fn complete(&self, publisher: usize, messages: u64) {
        self.completed[publisher].fetch_add(messages, Ordering::Release);
    }

    /// All clients of a thread have the message in a place of a window. Whether all others have
    /// it, too; the place is free then.
    pub(crate) fn thread_has_it(&self, slot: usize) -> bool {
        let is_last = self.pending[slot].fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last {
            let threads = u32::try_from(self.plan.threads).unwrap_or(u32::MAX);
            self.pending[slot].store(threads, Ordering::Release);
        }
        is_last
    }

    /// Says why the run cannot go on; the first reason stands.
    pub(crate) fn fail(&self, reason: impl FnOnce() -> String) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert_with(reason);
        }
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().ok()?.clone()
    }

    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for counters in &self.counters {
            sums.open += counters.open.load(Ordering::Acquire);
            sums.handshakes += counters.handshakes.load(Ordering::Acquire);
            sums.under_way += counters.under_way.load(Ordering::Acquire);
            sums.roll_called += counters.roll_called.load(Ordering::Acquire);
            sums.settled += counters.settled.load(Ordering::Acquire);
            sums.measured += counters.measured.load(Ordering::Acquire);
            sums.busy_ns += counters.busy_ns.load(Ordering::Acquire);
            sums.churned += counters.churned.load(Ordering::Acquire);
            sums.draining += counters.draining.load(Ordering::Acquire);
            sums.caught_up += counters.caught_up.load(Ordering::Acquire);
            sums.hostile += counters.hostile.load(Ordering::Acquire);
        }
        sums
    }
}

/// Places in the window of each publisher whose messages more than one client gets.
pub(crate) fn window_of(plan: &Plan) -> usize {
    match plan.scenario {
        Scenario::Broadcast { load: Load::Window(window), .. } => window as usize,
        _ => 0,
    }
}
