//! Broken files, each breaking another rule, and the exact answer to each.

use hioload_config::Config;

struct Broken {
    rule: &'static str,
    text: &'static str,
    answer: &'static str,
}

#[test]
fn every_broken_file_gets_its_answer() {
    for Broken { rule, text, answer } in TABLE {
        let error = Config::parse(text, "hioload.toml").expect_err(rule);
        assert_eq!(error.to_string(), *answer, "{rule}");
    }
}

const TABLE: &[Broken] = &[
    Broken {
        rule: "an unclosed table header",
        text: "[server
workers = 2",
        answer: "hioload.toml:1:8: not valid TOML: unclosed table, expected `]`",
    },
    Broken {
        rule: "a value without quotes",
        text: "[limits]
handshake_timeout = 30s",
        answer: "hioload.toml:2:21: limits.handshake_timeout: expected a value, got text without \
         quotes",
    },
    Broken {
        rule: "an unclosed string",
        text: r#"[websocket]
path = "/ws"#,
        answer: "hioload.toml:2:12: websocket.path: not valid TOML: invalid basic string, expected \
         `\"`",
    },
    Broken {
        rule: "a key set twice",
        text: "[server]
workers = 2
workers = 3",
        answer: r#"hioload.toml:3:1: expected each key and table once, got "workers" again"#,
    },
    Broken {
        rule: "a table opened twice",
        text: "[server]
workers = 2
[server]
session_shards = 3",
        answer: r#"hioload.toml:3:2: expected each key and table once, got "server" again"#,
    },
    Broken {
        rule: "an unknown key that is nearly a known one",
        text: "[server]
worker = 2",
        answer: r#"hioload.toml:2:1: server.worker: unknown key: did you mean "workers"?"#,
    },
    Broken {
        rule: "an unknown key that is like no other",
        text: "[tcp]
speed = 2",
        answer: "hioload.toml:2:1: tcp.speed: unknown key: [tcp] has accept_backlog, send_buffer, \
         receive_buffer, nodelay, keepalive",
    },
    Broken {
        rule: "a key of another table",
        text: r#"[server]
ping_interval = "30s""#,
        answer: "hioload.toml:2:1: server.ping_interval: unknown key: it belongs to [websocket]",
    },
    Broken {
        rule: "an unknown table",
        text: r#"[web_socket]
path = "/ws""#,
        answer: r#"hioload.toml:1:2: web_socket: unknown table: did you mean "websocket"?"#,
    },
    Broken {
        rule: "a key outside of its table",
        text: r#"listen = ":8080""#,
        answer: "hioload.toml:1:1: listen: unknown key: it belongs to [server]",
    },
    Broken {
        rule: "a value in place of a table",
        text: "server = 5",
        answer: "hioload.toml:1:10: server: expected a table, got 5",
    },
    Broken {
        rule: "a table in place of a value",
        text: "[server.workers]
count = 2",
        answer: "hioload.toml:1:1: server.workers: expected a whole number from 1 to 512 or \
         \"auto\", got a table",
    },
    Broken {
        rule: "a string in place of a count",
        text: r#"[server]
workers = "two""#,
        answer: "hioload.toml:2:11: server.workers: expected a whole number from 1 to 512 or \
         \"auto\", got \"two\"",
    },
    Broken {
        rule: "a number in place of a flag",
        text: "[tcp]
nodelay = 1",
        answer: "hioload.toml:2:11: tcp.nodelay: expected true or false, got 1",
    },
    Broken {
        rule: "a float in place of a count",
        text: "[broadcast]
mesh_slots = 1e3",
        answer: "hioload.toml:2:14: broadcast.mesh_slots: expected a whole number from 1 to 65536, \
         got 1e3",
    },
    Broken {
        rule: "a bare number in place of a duration",
        text: "[control]
drain_timeout = 10",
        answer: r#"hioload.toml:2:17: control.drain_timeout: expected a duration such as "30s", got 10"#,
    },
    Broken {
        rule: "a number in place of a path",
        text: "[websocket]
path = 8080",
        answer: r#"hioload.toml:2:8: websocket.path: expected a path such as "/ws", got 8080"#,
    },
    Broken {
        rule: "no workers",
        text: "[server]
workers = 0",
        answer: "hioload.toml:2:11: server.workers: expected a whole number from 1 to 512 or \
         \"auto\", got 0",
    },
    Broken {
        rule: "a CPU that is no list of CPUs",
        text: "[server]
cpus = 3",
        answer: "hioload.toml:2:8: server.cpus: expected \"off\", \"auto\" or a list of CPUs from 0 \
         to 8191 such as \"0-3,6\", got 3",
    },
    Broken {
        rule: "a range of CPUs that runs backwards",
        text: r#"[server]
cpus = "3-0""#,
        answer: "hioload.toml:2:8: server.cpus: expected \"off\", \"auto\" or a list of CPUs from 0 \
         to 8191 such as \"0-3,6\", got \"3-0\"",
    },
    Broken {
        rule: "a CPU twice",
        text: r#"[server]
cpus = "0-3,2""#,
        answer: "hioload.toml:2:8: server.cpus: expected each CPU once, got 2 again",
    },
    Broken {
        rule: "more CPUs than workers there may be",
        text: r#"[server]
cpus = "0-512""#,
        answer: "hioload.toml:2:8: server.cpus: expected 1 to 512 CPUs, as there are workers, got \
         513",
    },
    Broken {
        rule: "fewer CPUs than workers",
        text: r#"[server]
workers = 4
cpus = "0-1,6""#,
        answer: "hioload.toml:3:8: server.cpus: each worker needs a CPU of its own: expected \
         server.cpus of at least 4 CPUs (server.workers 4), got 3 (\"0-1,6\")",
    },
    Broken {
        rule: "a negative count",
        text: "[server]
session_shards = -1",
        answer: "hioload.toml:2:18: server.session_shards: expected a whole number from 1 to 4096, \
         got -1",
    },
    Broken {
        rule: "a count beyond all integers",
        text: "[tcp]
accept_backlog = 99999999999999999999999",
        answer: "hioload.toml:2:18: tcp.accept_backlog: expected a whole number from 1 to 65535, \
         got 99999999999999999999999",
    },
    Broken {
        rule: "a size in an unknown unit",
        text: r#"[websocket]


message_max = "64 kib/s""#,
        answer: "hioload.toml:4:15: websocket.message_max: expected a size such as \"64 KiB\", got \
         \"64 kib/s\"",
    },
    Broken {
        rule: "a message size beyond sanity",
        text: r#"[websocket]
message_max = "2 GiB""#,
        answer: "hioload.toml:2:15: websocket.message_max: expected a size from 1 B to 1 GiB, got 2 \
         GiB",
    },
    Broken {
        rule: "no room for a handshake",
        text: "[limits]
handshake_max = 100",
        answer: "hioload.toml:2:17: limits.handshake_max: expected a size from 512 B to 1 MiB, got \
         100 B",
    },
    Broken {
        rule: "too few header fields for an upgrade",
        text: "[limits]
handshake_headers_max = 4",
        answer: "hioload.toml:2:25: limits.handshake_headers_max: expected a whole number from 5 to \
         256, got 4",
    },
    Broken {
        rule: "a limit that would let nobody in",
        text: "[limits]
sessions_max = 0",
        answer: "hioload.toml:2:16: limits.sessions_max: expected a whole number from 1 to \
         100000000 or \"off\" or \"auto\", got 0",
    },
    Broken {
        rule: "a prefix longer than an address",
        text: "[limits]
prefix_v4 = 33",
        answer: "hioload.toml:2:13: limits.prefix_v4: expected a whole number from 1 to 32, got 33",
    },
    Broken {
        rule: "a timeout of zero",
        text: r#"[websocket]
close_timeout = "0s""#,
        answer: "hioload.toml:2:17: websocket.close_timeout: expected a duration from 1ms to 24h, \
         got 0s",
    },
    Broken {
        rule: "an interval beyond sanity",
        text: r#"[websocket]
ping_interval = "25h""#,
        answer: "hioload.toml:2:17: websocket.ping_interval: expected a duration from 1ms to 24h or \
         \"off\", got 25h",
    },
    Broken {
        rule: "a keep-alive that TCP cannot count",
        text: r#"[tcp]
keepalive = "500ms""#,
        answer: "hioload.toml:2:13: tcp.keepalive: expected a duration from 1s to 9h or \"off\", \
         got 500ms",
    },
    Broken {
        rule: "a buffer too small for a segment",
        text: r#"[tcp]
send_buffer = "1 B""#,
        answer: "hioload.toml:2:15: tcp.send_buffer: expected a size from 1 KiB to 256 MiB or \
         \"system\", got 1 B",
    },
    Broken {
        rule: "an unknown word",
        text: r#"[control]
log_level = "verbose""#,
        answer: "hioload.toml:2:13: control.log_level: expected one of \"error\", \"warn\", \
         \"info\", \"debug\", \"trace\", got \"verbose\"",
    },
    Broken {
        rule: "a log without a line",
        text: r#"[control]
connection_log = 0"#,
        answer: "hioload.toml:2:18: control.connection_log: expected a whole number from 1 to \
         100000 or \"off\", got 0",
    },
    Broken {
        rule: "a path without its slash",
        text: r#"[websocket]
path = "ws""#,
        answer: r#"hioload.toml:2:8: websocket.path: expected a path that begins with "/", got "ws""#,
    },
    Broken {
        rule: "a path with a query",
        text: r#"[websocket]
path = "/ws?room=1""#,
        answer: "hioload.toml:2:8: websocket.path: expected a path of letters, digits, %XX and \
         /-._~!$&'()*+,;=:@, got \"/ws?room=1\"",
    },
    Broken {
        rule: "a path that no client asks for",
        text: r#"[websocket]
path = "/chat/../ws""#,
        answer: "hioload.toml:2:8: websocket.path: expected a path without \".\" and \"..\" \
         segments, got \"/chat/../ws\"",
    },
    Broken {
        rule: "one origin without its list",
        text: r#"[websocket]
origins = "https://chat.example""#,
        answer: "hioload.toml:2:11: websocket.origins: expected \"same-origin\", \"any\" or a list \
         of origins such as [\"https://chat.example\"], got \"https://chat.example\"",
    },
    Broken {
        rule: "an empty list of origins",
        text: "[websocket]
origins = []",
        answer: "hioload.toml:2:11: websocket.origins: expected 1 to 256 origins, got 0",
    },
    Broken {
        rule: "an origin with a path",
        text: r#"[websocket]
origins = ["https://a.example", "https://b.example/chat"]"#,
        answer: "hioload.toml:2:33: websocket.origins: expected an origin without a path, \
         \"https://b.example\", got \"https://b.example/chat\"",
    },
    Broken {
        rule: "an origin twice",
        text: r#"[websocket]
origins = ["https://a.example", "https://a.example"]"#,
        answer: "hioload.toml:2:33: websocket.origins: expected each entry once, got \
         \"https://a.example\" again",
    },
    Broken {
        rule: "an origin that is no string",
        text: r#"[websocket]
origins = ["https://a.example", 5]"#,
        answer: "hioload.toml:2:33: websocket.origins: expected an origin such as \
         \"https://chat.example\", got 5",
    },
    Broken {
        rule: "a subprotocol with a space",
        text: r#"[websocket]
subprotocols = ["chat.v1", "chat v2"]"#,
        answer: "hioload.toml:2:28: websocket.subprotocols: expected a token of 1 to 128 letters, \
         digits and !#$%&'*+-.^_`|~ (RFC 9110, section 5.6.2), got \"chat v2\"",
    },
    Broken {
        rule: "a subprotocol twice",
        text: r#"[websocket]
subprotocols = ["chat", "chat"]"#,
        answer: "hioload.toml:2:25: websocket.subprotocols: expected each entry once, got \"chat\" \
         again",
    },
    Broken {
        rule: "nowhere to listen",
        text: "[server]
listen = []",
        answer: "hioload.toml:2:10: server.listen: expected 1 to 64 addresses, got 0",
    },
    Broken {
        rule: "a host name to listen on",
        text: r#"[server]
listen = "localhost:8080""#,
        answer: "hioload.toml:2:10: server.listen: expected an address, since names are not looked \
         up (this host is \"127.0.0.1:8080\" or \"[::1]:8080\"), got \"localhost:8080\"",
    },
    Broken {
        rule: "an address without a port",
        text: r#"[server]
listen = ["127.0.0.1"]"#,
        answer: "hioload.toml:2:11: server.listen: expected an address such as \"127.0.0.1:8080\", \
         \"[::1]:8080\" or \":8080\", got \"127.0.0.1\"",
    },
    Broken {
        rule: "an address twice",
        text: r#"[server]
listen = ["127.0.0.1:8080", "127.0.0.1:8080"]"#,
        answer: "hioload.toml:2:29: server.listen: expected addresses that do not overlap, got \
         \"127.0.0.1:8080\" again",
    },
    Broken {
        rule: "an address that another covers",
        text: r#"[server]
listen = [":8080", "127.0.0.1:8080"]"#,
        answer: "hioload.toml:2:20: server.listen: expected addresses that do not overlap, got \
         \"127.0.0.1:8080\" beside \":8080\"",
    },
    Broken {
        rule: "a multicast address",
        text: r#"[server]
listen = "224.0.0.1:8080""#,
        answer: "hioload.toml:2:10: server.listen: expected an address of this host, got \
         \"224.0.0.1:8080\"",
    },
    Broken {
        rule: "an IPv4 address in IPv6 clothes",
        text: r#"[server]
listen = "[::ffff:127.0.0.1]:8080""#,
        answer: "hioload.toml:2:10: server.listen: expected the IPv4 address itself, \
         \"127.0.0.1:8080\", got \"[::ffff:127.0.0.1]:8080\"",
    },
    Broken {
        rule: "a network that is none",
        text: r#"[server]
client_address = "x-forwarded-for"
trusted_proxies = ["10.0.0.0/8", "10.0.0.0/33"]"#,
        answer: "hioload.toml:3:34: server.trusted_proxies: expected a network such as \
         \"10.0.0.0/8\", got \"10.0.0.0/33\"",
    },
    Broken {
        rule: "a network with bits behind its prefix",
        text: r#"[server]
client_address = "x-forwarded-for"
trusted_proxies = ["10.0.0.1/8"]"#,
        answer: "hioload.toml:3:20: server.trusted_proxies: expected the network itself, \
         \"10.0.0.0/8\", got \"10.0.0.1/8\"",
    },
    Broken {
        rule: "a network of IPv4 addresses in IPv6 clothes",
        text: r#"[server]
client_address = "x-forwarded-for"
trusted_proxies = ["::ffff:0.0.0.0/96"]"#,
        answer: "hioload.toml:3:20: server.trusted_proxies: expected an IPv4 network, or another \
         IPv6 network, got \"::ffff:0.0.0.0/96\"",
    },
    Broken {
        rule: "a proxy's word without a proxy",
        text: r#"[server]
client_address = "proxy-protocol""#,
        answer: "hioload.toml:2:18: server.client_address: expected a network at least, since \
         server.client_address is taken from trusted proxies only, got none",
    },
    Broken {
        rule: "proxies that are trusted with nothing",
        text: r#"[server]
trusted_proxies = ["10.0.0.0/8"]"#,
        answer: "hioload.toml:2:19: server.trusted_proxies: expected \"proxy-protocol\" or \
         \"x-forwarded-for\" beside server.trusted_proxies, which say nothing otherwise, got \
         \"peer\" beside \"10.0.0.0/8\"",
    },
    Broken {
        rule: "every address for the admin interface",
        text: r#"[control]
admin = ":9090""#,
        answer: "hioload.toml:2:9: control.admin: expected an address such as \"127.0.0.1:9090\", \
         \"unix:/run/hioload.sock\" or \"off\", got \":9090\"",
    },
    Broken {
        rule: "an empty token",
        text: r#"[control]
admin_token = """#,
        answer: "hioload.toml:2:15: control.admin_token: expected 1 to 256 visible ASCII \
         characters, got none",
    },
    Broken {
        rule: "a token with a space",
        text: r#"[control]
admin_token = "hunter 2""#,
        answer: "hioload.toml:2:15: control.admin_token: expected 1 to 256 visible ASCII \
         characters, got something else (not shown)",
    },
    Broken {
        rule: "a token that is no string",
        text: "[control]
admin_token = 4711",
        answer: "hioload.toml:2:15: control.admin_token: expected a token in quotes or \"off\", got \
         an integer (not shown)",
    },
    Broken {
        rule: "a token copied from a printed file",
        text: r#"[control]
admin_token = "***""#,
        answer: "hioload.toml:2:15: control.admin_token: expected the token itself, got \"***\", \
         which stands for a token that was hidden in print",
    },
    Broken {
        rule: "an admin interface that others can reach, without a token",
        text: r#"[control]
admin = "0.0.0.0:9090""#,
        answer: "hioload.toml:2:9: control.admin: expected a loopback address, or \
         control.admin_token to be set, since other hosts can reach \"0.0.0.0:9090\" and \
         could stop the server there",
    },
    Broken {
        rule: "an admin interface among the clients",
        text: r#"[server]
listen = ":9090""#,
        answer: "hioload.toml:2:10: server.listen: the admin interface and the clients cannot share \
         an address: expected them apart, got control.admin \"127.0.0.1:9090\" beside \
         server.listen \":9090\"",
    },
    Broken {
        rule: "a backlog that holds no message",
        text: r#"[websocket]
message_max = "8 MiB"
[broadcast]
backlog_max = "8 MiB""#,
        answer: "hioload.toml:4:15: broadcast.backlog_max: a session's backlog must hold one \
         message of the largest size: expected broadcast.backlog_max of at least 8388618 \
         bytes (websocket.message_max 8388608 + 10 for the frame header), got 8388608 (8 \
         MiB)",
    },
    Broken {
        rule: "a backlog in all that holds no message on one of the workers",
        text: r#"[server]
workers = 4
[broadcast]
backlog_total_max = "4 MiB""#,
        answer: "hioload.toml:4:21: broadcast.backlog_total_max: each worker has an equal share, \
         which must hold one message of the largest size: expected broadcast.backlog_total_max of \
         at least 4194344 bytes (server.workers 4 x (websocket.message_max 1048576 + 10 for the \
         frame header)), got 4194304 (4 MiB)",
    },
    Broken {
        rule: "a policy that there is not",
        text: r#"[broadcast]
slow_consumer = "drop""#,
        answer: r#"hioload.toml:2:17: broadcast.slow_consumer: expected one of "drop-oldest", "drop-newest", "disconnect", got "drop""#,
    },
    Broken {
        rule: "a second that holds no message",
        text: "[limits]
bytes_per_second_max = 1048576",
        answer: "hioload.toml:2:24: limits.bytes_per_second_max: a second must hold one message of \
         the largest size: expected limits.bytes_per_second_max of at least 1048590 bytes \
         (websocket.message_max 1048576 + 14 for the frame header), got 1048576 (1 MiB)",
    },
    Broken {
        rule: "a message larger than the default backlog",
        text: r#"[websocket]
message_max = "4 MiB""#,
        answer: "hioload.toml:2:15: websocket.message_max: a session's backlog must hold one \
         message of the largest size: expected broadcast.backlog_max of at least 4194314 \
         bytes (websocket.message_max 4194304 + 10 for the frame header), got 4194304 (4 \
         MiB)",
    },
    Broken {
        rule: "a mesh beyond memory",
        text: "[server]
workers = 512
[broadcast]
mesh_slots = 2048",
        answer: "hioload.toml:4:14: broadcast.mesh_slots: the rings between workers must fit into \
         memory: expected at most 268435456 slots in all, got 535822336 (server.workers 512 \
         make 261632 rings, broadcast.mesh_slots 2048 each)",
    },
];
