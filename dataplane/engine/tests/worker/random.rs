//! Random events over two workers, and what holds whatever happens.

use std::collections::HashMap;
use std::time::Duration;

use hioload_config::SlowConsumer;
use hioload_engine::{CloseCode, SessionId, Totals};
use hioload_net::FlowId;
use proptest::prelude::*;

use crate::scene::{CLOSE, PING, PONG, Scene, UPGRADE, text};

/// What can happen. A client is chosen among those there have been, whatever became of it.
#[derive(Clone, Copy, Debug)]
enum Op {
    Connect {
        worker: usize,
    },
    Say {
        client: usize,
        what: What,
    },
    End {
        client: usize,
    },
    Reset {
        client: usize,
    },
    SetWindow {
        client: usize,
        bytes: usize,
    },
    Turn {
        worker: usize,
    },
    Pass {
        seconds: u64,
    },
    Publish,
    /// To the session that a worker has opened as this one.
    SendTo {
        worker: usize,
        number: u64,
    },
    Kick {
        worker: usize,
        number: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum What {
    Upgrade,
    HalfAnUpgrade,
    Page,
    Message { count: usize },
    Reply,
    Bye,
    Failure,
    Close,
    Ping,
    Pong,
    Noise,
}

const WORKERS: usize = 2;
const DRAIN: Duration = Duration::from_secs(10);

fn op() -> impl Strategy<Value = Op> {
    let client = 0..12usize;
    prop_oneof![
        3 => (0..WORKERS).prop_map(|worker| Op::Connect { worker }),
        6 => (client.clone(), Just(What::Upgrade)).prop_map(|(client, what)| Op::Say { client, what }),
        8 => (client.clone(), what()).prop_map(|(client, what)| Op::Say { client, what }),
        1 => client.clone().prop_map(|client| Op::End { client }),
        2 => client.clone().prop_map(|client| Op::Reset { client }),
        2 => (client, prop_oneof![0..400usize, Just(1 << 40)])
            .prop_map(|(client, bytes)| Op::SetWindow { client, bytes }),
        8 => (0..WORKERS).prop_map(|worker| Op::Turn { worker }),
        1 => (1..20u64).prop_map(|seconds| Op::Pass { seconds }),
        2 => Just(Op::Publish),
        4 => (0..WORKERS, 1..8u64).prop_map(|(worker, number)| Op::SendTo { worker, number }),
        1 => (0..WORKERS, 1..8u64).prop_map(|(worker, number)| Op::Kick { worker, number }),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        Just(What::HalfAnUpgrade),
        Just(What::Page),
        (1..50usize).prop_map(|count| What::Message { count }),
        (1..50usize).prop_map(|count| What::Message { count }),
        (1..50usize).prop_map(|count| What::Message { count }),
        Just(What::Reply),
        Just(What::Bye),
        Just(What::Failure),
        Just(What::Close),
        Just(What::Ping),
        Just(What::Pong),
        Just(What::Noise),
    ]
}

impl What {
    /// What a client that has said `said` messages before sends.
    fn bytes(self, client: usize, said: &mut usize) -> Vec<u8> {
        match self {
            Self::Upgrade => UPGRADE.to_vec(),
            Self::HalfAnUpgrade => UPGRADE[..40].to_vec(),
            Self::Page => b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(),
            Self::Message { count } => {
                let first = *said;
                *said += count;
                (first..*said).flat_map(|number| text(&format!("{client}:{number}"))).collect()
            }
            Self::Reply => text("me"),
            Self::Bye => text("bye"),
            Self::Failure => text("fail"),
            Self::Close => CLOSE.to_vec(),
            Self::Ping => PING.to_vec(),
            Self::Pong => PONG.to_vec(),
            Self::Noise => vec![0xff; 9],
        }
    }
}

/// A client: its worker, its connection, and how many messages it has said.
type Client = (usize, FlowId, usize);

/// What was sent to single sessions: how many messages to each, and how many kicks.
#[derive(Default)]
struct Directed {
    messages: HashMap<SessionId, u64>,
    kicks: u64,
}

fn perform(op: Op, scene: &mut Scene, clients: &mut Vec<Client>, directed: &mut Directed) {
    let client = match op {
        Op::Connect { worker } => {
            let flow = scene.streams[worker].connect();
            return clients.push((worker, flow, 0));
        }
        Op::Turn { worker } => return scene.turn(worker),
        Op::Pass { seconds } => return scene.pass(Duration::from_secs(seconds)),
        Op::Publish => {
            // It is refused once the drain has begun.
            let _ = scene.controls.publish("news");
            return;
        }
        Op::SendTo { worker, number } => {
            let id = session(worker, number);
            let next = directed.messages.get(&id).copied().unwrap_or_default();
            // It may not be open, no more or not yet.
            if scene.controls.send(id, &*format!("to {id}:{next}"), Duration::ZERO).is_ok() {
                directed.messages.insert(id, next + 1);
            }
            return;
        }
        Op::Kick { worker, number } => {
            let id = session(worker, number);
            let kicked = scene.controls.close(id, CloseCode::NORMAL, "", Duration::ZERO);
            directed.kicks += u64::from(kicked.is_ok());
            return;
        }
        Op::Say { client, .. }
        | Op::End { client }
        | Op::Reset { client }
        | Op::SetWindow { client, .. } => client,
    };
    // Counted from the latest, so that most of them still exist.
    let Some(client) = clients.len().checked_sub(client + 1) else { return };
    let (worker, flow, said) = &mut clients[client];
    let streams = &scene.streams[*worker];
    match op {
        Op::Say { what, .. } => streams.send(*flow, &what.bytes(client, said)),
        Op::End { .. } => streams.end(*flow),
        Op::Reset { .. } => streams.reset(*flow),
        Op::SetWindow { bytes, .. } => streams.set_window(*flow, bytes),
        _ => {}
    }
}

/// The id of the session that `worker` has opened as its `number`th.
fn session(worker: usize, number: u64) -> SessionId {
    (((worker as u64) << 48) + number).to_string().parse().expect("an id")
}

/// Whether each message that was to be delivered is accounted for.
fn reconciles(totals: &Totals, waiting: u64) -> bool {
    let dropped = dropped_as_slow(totals) + totals.deliveries_dropped_closed;
    totals.deliveries_due == totals.deliveries_sent + dropped + waiting
        && totals.backlog_messages <= waiting
}

fn dropped_as_slow(totals: &Totals) -> u64 {
    totals.deliveries_dropped_backlog
        + totals.deliveries_dropped_memory
        + totals.deliveries_dropped_disconnected
}

/// Whether the messages of each publisher stand in their order, none twice; and, when `whole`,
/// none missing between the first and the last.
fn in_order(heard: &[String], whole: bool) -> bool {
    let mut last = HashMap::new();
    heard.iter().filter_map(|text| text.split_once(':')).all(|(publisher, number)| {
        let number: usize = number.parse().expect("a number");
        let before = last.insert(publisher, number);
        before.is_none_or(|before| if whole { number == before + 1 } else { number > before })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_happens_counts_reconcile_and_nothing_is_left_behind(
        ops in prop::collection::vec(op(), 1..200),
        // Where among them the drain begins, if it does.
        drain_at in prop::option::of(0..200usize),
        backlog in prop_oneof![Just(3usize), Just(1024)],
        slots in 1..40usize,
        policy in prop_oneof![
            Just(SlowConsumer::DropOldest),
            Just(SlowConsumer::DropNewest),
            Just(SlowConsumer::Disconnect),
        ],
        memory in prop_oneof![Just(1usize << 10), Just(1 << 30)],
    ) {
        let mut scene = Scene::new(WORKERS, |config| {
            config.broadcast.slow_consumer = policy;
            config.broadcast.backlog_total_bytes_max = memory;
            config.broadcast.backlog_messages_max = backlog;
            config.broadcast.mesh_slots = slots;
        });
        let mut clients = Vec::new();
        let mut directed = Directed::default();
        for (number, op) in ops.into_iter().enumerate() {
            if drain_at == Some(number) {
                scene.drain(DRAIN);
            }
            perform(op, &mut scene, &mut clients, &mut directed);
            let totals = scene.totals();
            let waiting = scene.messages_waiting();
            prop_assert!(reconciles(&totals, waiting), "{:?}", totals);
        }

        scene.settle();
        for streams in &scene.streams {
            prop_assert_eq!(streams.forgotten(), [], "queued, writable, and nobody writes");
            prop_assert_eq!(streams.bytes_unread(), 0, "they have come, and nobody reads");
        }
        let totals = scene.totals();
        prop_assert_eq!(totals.connections, scene.open_flows());
        prop_assert_eq!(scene.controls.latencies().count(), totals.deliveries_sent);
        prop_assert_eq!(totals.active_clients(), scene.controls.registry().len() as u64);
        let sent = directed.messages.values().sum::<u64>() + directed.kicks;
        let obeyed = totals.directed_sent + totals.sessions_kicked + totals.directed_missed;
        // A worker that has ended may have left some.
        let all_run = scene.ended().iter().all(Option::is_none);
        prop_assert!(if all_run { obeyed == sent } else { obeyed <= sent }, "{:?}", totals);
        let whole = dropped_as_slow(&totals) == 0;
        for &(worker, flow, _) in &clients {
            prop_assert!(in_order(&scene.heard(worker, flow), whole));
        }

        scene.drain(DRAIN);
        scene.settle();
        scene.pass(DRAIN);
        scene.settle();
        prop_assert!(scene.ended().iter().all(Option::is_some));
        let totals = scene.totals();
        prop_assert!(reconciles(&totals, 0), "{:?}", totals);
        prop_assert_eq!((totals.active_clients(), scene.controls.registry().len()), (0, 0));
        prop_assert_eq!(scene.open_flows(), 0);
    }
}
