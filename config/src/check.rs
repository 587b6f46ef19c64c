//! The rules of a configuration, wherever it came from.
//!
//! Rules of one key are in `kind`; the rules between keys are here.

mod ports;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::error::{ConfigError, Located};
use crate::kind::{Kind, overlap};
use crate::schema::{Key, Tables, Visitor, key, visit, visit_each};
use crate::size;
use crate::{AdminAddress, ClientAddress, Config, Cpus};

const LISTEN: Key = key("server", "listen");
const WORKERS: Key = key("server", "workers");
const CPUS: Key = key("server", "cpus");
const CLIENT_ADDRESS: Key = key("server", "client_address");
const TRUSTED_PROXIES: Key = key("server", "trusted_proxies");
const MESSAGE_MAX: Key = key("websocket", "message_max");
const BACKLOG_MAX: Key = key("broadcast", "backlog_max");
const BACKLOG_TOTAL_MAX: Key = key("broadcast", "backlog_total_max");
const MESH_SLOTS: Key = key("broadcast", "mesh_slots");
const BYTES_PER_SECOND_MAX: Key = key("limits", "bytes_per_second_max");
const ADMIN: Key = key("control", "admin");
const ADMIN_TOKEN: Key = key("control", "admin_token");

/// Slots of all the rings of the mesh together. 512 workers with rings of the default size are just
/// below it.
const MESH_SLOTS_TOTAL_MAX: usize = 1 << 28;

/// Checks a configuration that was built or changed in code.
pub(crate) fn validate(config: &Config) -> Result<(), ConfigError> {
    let Checker { mut faults, relations: broken } = Checker::of(config);
    let faulty = faults.iter().map(|(key, _)| *key).collect();
    let relations = relations(config, broken, &faulty).into_iter();
    faults.extend(relations.map(|Relation { keys, message }| (keys[0], message)));
    let located = faults.into_iter().map(|(key, message)| Located {
        offset: None,
        key: Some(key.to_string()),
        message,
    });
    if located.len() == 0 { Ok(()) } else { Err(ConfigError::in_code(located.collect())) }
}

/// What is wrong with keys by themselves.
pub(crate) fn faults_of_keys(config: &Config) -> Vec<(Key, String)> {
    Checker::of(config).faults
}

#[derive(Default)]
struct Checker {
    faults: Vec<(Key, String)>,
    relations: Vec<Relation>,
}

impl Checker {
    fn of(config: &Config) -> Self {
        let mut checker = Self::default();
        visit(&mut config.clone(), &mut checker);
        checker
    }
}

impl Visitor for Checker {
    fn key<T>(&mut self, key: Key, kind: &impl Kind<T>, value: &mut T) {
        let refusals = kind.check(value).into_iter();
        self.faults.extend(refusals.map(|refusal| (key, refusal.to_string())));
    }

    fn tables<T: Default>(
        &mut self,
        tables: &Tables,
        elements: &mut Vec<T>,
        each: fn(usize, &mut T, &mut Self),
    ) {
        if elements.len() > tables.max {
            self.faults.push((tables.key, tables.too_many(elements.len())));
        }
        visit_each(elements, each, self);
    }

    fn refuse(&mut self, relation: Relation) {
        self.relations.push(relation);
    }
}

/// A rule between keys that is broken.
pub(crate) struct Relation {
    /// The keys that together break it, the one to blame first.
    pub(crate) keys: Vec<Key>,
    pub(crate) message: String,
}

/// The rules between keys that `config` breaks, those included that are known to be `broken`,
/// without those about a key that is `faulty` by itself.
pub(crate) fn relations(
    config: &Config,
    mut broken: Vec<Relation>,
    faulty: &BTreeSet<Key>,
) -> Vec<Relation> {
    let rules = [
        each_worker_has_a_cpu,
        backlog_holds_a_message,
        total_holds_a_message_per_worker,
        mesh_is_bounded,
        second_holds_a_message,
        proxies_are_trusted_for_something,
        admin_is_apart,
        admin_is_protected,
    ];
    broken.extend(rules.into_iter().filter_map(|rule| rule(config)));
    broken.extend(ports::relations(config));
    broken.retain(|relation| relation.keys.iter().all(|key| !faulty.contains(key)));
    broken
}

fn each_worker_has_a_cpu(config: &Config) -> Option<Relation> {
    let (workers, cpus) = (config.server.workers, &config.server.cpus);
    let Cpus::List(list) = cpus else {
        return None;
    };
    (list.len() < workers).then(|| Relation {
        keys: vec![CPUS, WORKERS],
        message: format!(
            "each worker needs a CPU of its own: expected {CPUS} of at least {workers} CPUs \
             ({WORKERS} {workers}), got {} (\"{cpus}\")",
            list.len(),
        ),
    })
}

fn backlog_holds_a_message(config: &Config) -> Option<Relation> {
    let message = config.websocket.message_bytes_max;
    let backlog = config.broadcast.backlog_bytes_max;
    let header = header_bytes(message);
    let needed = message.checked_add(header)?;
    (backlog < needed).then(|| Relation {
        keys: vec![BACKLOG_MAX, MESSAGE_MAX],
        message: format!(
            "a session's backlog must hold one message of the largest size: expected {BACKLOG_MAX} \
             of at least {needed} bytes ({MESSAGE_MAX} {message} + {header} for the frame header), \
             got {backlog} ({})",
            size::print(backlog),
        ),
    })
}

fn total_holds_a_message_per_worker(config: &Config) -> Option<Relation> {
    let (workers, message) = (config.server.workers, config.websocket.message_bytes_max);
    let total = config.broadcast.backlog_total_bytes_max;
    let header = header_bytes(message);
    let needed = message.checked_add(header)?.checked_mul(workers)?;
    (total < needed).then(|| Relation {
        keys: vec![BACKLOG_TOTAL_MAX, MESSAGE_MAX, WORKERS],
        message: format!(
            "each worker has an equal share, which must hold one message of the largest size: \
             expected {BACKLOG_TOTAL_MAX} of at least {needed} bytes ({WORKERS} {workers} x \
             ({MESSAGE_MAX} {message} + {header} for the frame header)), got {total} ({})",
            size::print(total),
        ),
    })
}

/// Frames of clients have one (RFC 6455, section 5.3).
const MASKING_KEY_BYTES: usize = 4;

/// The header of an unmasked frame (RFC 6455, section 5.2).
fn header_bytes(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => 10,
    }
}

fn mesh_is_bounded(config: &Config) -> Option<Relation> {
    let (workers, slots) = (config.server.workers, config.broadcast.mesh_slots);
    let rings = workers.saturating_mul(workers.saturating_sub(1));
    let total = rings.saturating_mul(slots);
    (total > MESH_SLOTS_TOTAL_MAX).then(|| Relation {
        keys: vec![MESH_SLOTS, WORKERS],
        message: format!(
            "the rings between workers must fit into memory: expected at most \
             {MESH_SLOTS_TOTAL_MAX} slots in all, got {total} ({WORKERS} {workers} make {rings} \
             rings, {MESH_SLOTS} {slots} each)"
        ),
    })
}

/// Otherwise a message could be of a legal size and never be allowed.
fn second_holds_a_message(config: &Config) -> Option<Relation> {
    let message = config.websocket.message_bytes_max;
    let bytes = config.limits.bytes_per_second_max?;
    let header = header_bytes(message) + MASKING_KEY_BYTES;
    let needed = message.checked_add(header)?;
    (bytes < needed).then(|| Relation {
        keys: vec![BYTES_PER_SECOND_MAX, MESSAGE_MAX],
        message: format!(
            "a second must hold one message of the largest size: expected {BYTES_PER_SECOND_MAX} of \
             at least {needed} bytes ({MESSAGE_MAX} {message} + {header} for the frame header), got \
             {bytes} ({})",
            size::print(bytes),
        ),
    })
}

fn proxies_are_trusted_for_something(config: &Config) -> Option<Relation> {
    let server = &config.server;
    match (server.client_address, server.trusted_proxies.as_slice()) {
        (ClientAddress::Peer, []) => None,
        (ClientAddress::Peer, [network, ..]) => Some(Relation {
            keys: vec![CLIENT_ADDRESS, TRUSTED_PROXIES],
            message: format!(
                "expected \"proxy-protocol\" or \"x-forwarded-for\" beside {TRUSTED_PROXIES}, which \
                 say nothing otherwise, got \"peer\" beside \"{network}\""
            ),
        }),
        (_, []) => Some(Relation {
            keys: vec![TRUSTED_PROXIES, CLIENT_ADDRESS],
            message: format!(
                "expected a network at least, since {CLIENT_ADDRESS} is taken from trusted proxies \
                 only, got none"
            ),
        }),
        (_, [_, ..]) => None,
    }
}

fn admin_is_apart(config: &Config) -> Option<Relation> {
    let AdminAddress::Tcp(admin) = config.control.admin else {
        return None;
    };
    let serves = |socket: &SocketAddr| overlap(*socket, admin);
    let taken = config.server.listen.iter().find(|address| {
        let sockets = address.socket_addresses();
        sockets.iter().any(serves)
    })?;
    Some(Relation {
        keys: vec![ADMIN, LISTEN],
        message: format!(
            "the admin interface and the clients cannot share an address: expected them apart, got \
             {ADMIN} \"{admin}\" beside {LISTEN} \"{taken}\""
        ),
    })
}

fn admin_is_protected(config: &Config) -> Option<Relation> {
    let AdminAddress::Tcp(admin) = config.control.admin else {
        return None;
    };
    (!admin.ip().is_loopback() && config.control.admin_token.is_none()).then(|| Relation {
        keys: vec![ADMIN, ADMIN_TOKEN],
        message: format!(
            "expected a loopback address, or {ADMIN_TOKEN} to be set, since other hosts can reach \
             \"{admin}\" and could stop the server there"
        ),
    })
}
