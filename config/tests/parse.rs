//! Reading files that are right.

use std::time::Duration;

use hioload_config::{
    AdminAddress, ClientAddress, Config, Cpus, Datapath, LogFormat, LogLevel, Origins, Publish,
    Secret, SessionsMax, SlowConsumer,
};

fn parse(text: &str) -> Config {
    Config::parse(text, "test.toml").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_empty_file_means_the_defaults() {
    assert_eq!(parse(""), Config::default());
    assert_eq!(parse("# nothing\n[server]\n[tcp]\n"), Config::default());
}

#[test]
fn the_defaults_keep_every_rule() {
    assert_eq!(Config::default().validate(), Ok(()));
}

#[test]
fn the_default_rings_fit_the_most_workers() {
    assert_eq!(parse("server.workers = 512").server.workers, 512);
}

#[test]
fn a_list_of_cpus_has_a_worker_for_each_unless_the_file_says_how_many() {
    for (text, workers) in [
        ("cpus = \"0-2,9\"", 4),
        ("cpus = \"0-2,9\"\nworkers = \"auto\"", 4),
        ("cpus = \"0-2,9\"\nworkers = 2", 2),
        ("cpus = \"auto\"", Config::default().server.workers),
    ] {
        assert_eq!(parse(&format!("[server]\n{text}")).server.workers, workers, "{text}");
    }
}

#[test]
fn every_key_reaches_its_field() {
    let config = parse(
        r#"
        [server]
        listen = [":8080", "127.0.0.1:8081"]
        datapath = "kernel"
        client_address = "proxy-protocol"
        trusted_proxies = ["10.0.0.0/8", "::1"]
        workers = 3
        cpus = "4,0-2"
        session_shards = 7
        [websocket]
        path = "/live"
        message_max = "2 MiB"
        ping_interval = "1m"
        pong_timeout = "7s"
        close_timeout = "500ms"
        origins = ["https://a.example", "http://[::1]:3000"]
        subprotocols = ["v2", "v1"]
        [broadcast]
        publish = "admin"
        include_sender = false
        slow_consumer = "disconnect"
        backlog_messages_max = 10
        backlog_max = 3000000
        backlog_total_max = "2 GiB"
        mesh_slots = 2
        [tcp]
        accept_backlog = 5
        send_buffer = "64 KiB"
        receive_buffer = 0x8000
        nodelay = false
        keepalive = "1h"
        [limits]
        sessions_max = 5000
        sessions_per_prefix_max = 50
        connections_per_prefix_max = 60
        prefix_v4 = 24
        prefix_v6 = 56
        upgrades_per_second_max = 100
        messages_per_second_max = 10
        bytes_per_second_max = "3 MiB"
        handshake_timeout = "3s"
        handshake_max = "4 KiB"
        handshake_headers_max = 32
        [control]
        admin = "0.0.0.0:9999"
        admin_token = "correct-horse"
        drain_timeout = "2m"
        log_format = "json"
        log_level = "debug"
        connection_log = "off"
        "#,
    );
    assert_eq!(config.server.listen, [":8080".parse().unwrap(), "127.0.0.1:8081".parse().unwrap()]);
    assert_eq!(config.server.datapath, Datapath::Kernel);
    assert_eq!(config.server.client_address, ClientAddress::ProxyProtocol);
    let networks = ["10.0.0.0/8", "::1/128"].map(|it| it.parse().unwrap());
    assert_eq!(config.server.trusted_proxies, networks);
    assert_eq!((config.server.workers, config.server.session_shards), (3, 7));
    assert_eq!(config.server.cpus, Cpus::List(vec![4, 0, 1, 2]));
    assert_eq!(config.websocket.path, "/live");
    assert_eq!(config.websocket.message_bytes_max, 2 << 20);
    assert_eq!(config.websocket.ping_interval, Some(Duration::from_secs(60)));
    assert_eq!(config.websocket.pong_timeout, Duration::from_secs(7));
    assert_eq!(config.websocket.close_timeout, Duration::from_millis(500));
    let origins = ["https://a.example", "http://[::1]:3000"].map(str::to_owned);
    assert_eq!(config.websocket.origins, Origins::List(origins.to_vec()));
    assert_eq!(config.websocket.subprotocols, ["v2", "v1"]);
    assert_eq!(config.broadcast.publish, Publish::Admin);
    assert!(!config.broadcast.include_sender);
    assert_eq!(config.broadcast.slow_consumer, SlowConsumer::Disconnect);
    assert_eq!(config.broadcast.backlog_messages_max, 10);
    assert_eq!(config.broadcast.backlog_bytes_max, 3_000_000);
    assert_eq!(config.broadcast.backlog_total_bytes_max, 2 << 30);
    assert_eq!(config.broadcast.mesh_slots, 2);
    assert_eq!(config.tcp.accept_backlog, 5);
    assert_eq!(config.tcp.send_buffer_bytes, Some(65_536));
    assert_eq!(config.tcp.receive_buffer_bytes, Some(32_768));
    assert!(!config.tcp.nodelay);
    assert_eq!(config.tcp.keepalive, Some(Duration::from_secs(3600)));
    assert_eq!(config.limits.sessions_max, SessionsMax::Count(5000));
    assert_eq!(config.limits.sessions_per_prefix_max, Some(50));
    assert_eq!(config.limits.connections_per_prefix_max, Some(60));
    assert_eq!((config.limits.prefix_v4_bits, config.limits.prefix_v6_bits), (24, 56));
    assert_eq!(config.limits.upgrades_per_second_max, Some(100));
    assert_eq!(config.limits.messages_per_second_max, Some(10));
    assert_eq!(config.limits.bytes_per_second_max, Some(3 << 20));
    assert_eq!(config.limits.handshake_timeout, Duration::from_secs(3));
    assert_eq!(config.limits.handshake_bytes_max, 4096);
    assert_eq!(config.limits.handshake_headers_max, 32);
    assert_eq!(config.control.admin, AdminAddress::Tcp("0.0.0.0:9999".parse().unwrap()));
    assert_eq!(config.control.admin_token, Some(Secret::new("correct-horse")));
    assert_eq!(config.control.drain_timeout, Duration::from_secs(120));
    assert_eq!(config.control.log_format, LogFormat::Json);
    assert_eq!(config.control.log_level, LogLevel::Debug);
    assert_eq!(config.control.connection_log_lines_max, None);
}

#[test]
fn words_and_zeros_turn_things_off() {
    let config = parse(
        r#"
        websocket.ping_interval = "0s"
        tcp.send_buffer = "system"
        tcp.keepalive = "off"
        limits.sessions_max = "off"
        limits.sessions_per_prefix_max = "off"
        control.admin = "off"
        control.admin_token = "off"
        "#,
    );
    assert_eq!(config.limits.sessions_max, SessionsMax::Off);
    assert_eq!(config.limits.sessions_per_prefix_max, None);
    assert_eq!(config.websocket.ping_interval, None);
    assert_eq!(config.tcp.send_buffer_bytes, None);
    assert_eq!(config.tcp.keepalive, None);
    assert_eq!(config.control.admin, AdminAddress::Off);
    assert_eq!(config.control.admin_token, None);
}

#[test]
fn port_0_may_stand_anywhere_and_twice() {
    let config = parse(
        r#"
        server.listen = ["127.0.0.1:0", "127.0.0.1:0", ":0"]
        control.admin = "127.0.0.1:0"
        "#,
    );
    assert_eq!(config.server.listen.len(), 3);
}

#[test]
fn other_address_families_and_ports_do_not_overlap() {
    let config = parse(r#"server.listen = ["0.0.0.0:80", "[::]:80", "127.0.0.1:81"]"#);
    assert_eq!(config.server.listen.len(), 3);
}

#[cfg(unix)]
#[test]
fn the_admin_interface_may_be_a_unix_socket_without_a_token() {
    let config = parse(r#"control.admin = "unix:/run/hioload.sock""#);
    assert_eq!(config.control.admin, AdminAddress::Unix("/run/hioload.sock".into()));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    assert_eq!(parse("\u{feff}server.workers = 3").server.workers, 3);
}

#[test]
fn a_printed_configuration_sets_every_key_and_hides_the_token() {
    let config = parse("server.workers = 2\ncontrol.admin_token = 'correct-horse'");
    let expected = r#"[server]
listen = ["127.0.0.1:8080", "[::1]:8080"]
datapath = "auto"
client_address = "peer"
trusted_proxies = []
workers = 2
cpus = "off"
session_shards = 16

[websocket]
path = "/ws"
message_max = "1 MiB"
ping_interval = "30s"
pong_timeout = "10s"
close_timeout = "5s"
origins = "same-origin"
subprotocols = []

[broadcast]
publish = "clients"
include_sender = true
slow_consumer = "drop-oldest"
backlog_messages_max = 1024
backlog_max = "4 MiB"
backlog_total_max = "1 GiB"
mesh_slots = 1024

[tcp]
accept_backlog = 1024
send_buffer = "system"
receive_buffer = "system"
nodelay = true
keepalive = "off"

[limits]
sessions_max = "auto"
sessions_per_prefix_max = "off"
connections_per_prefix_max = "off"
prefix_v4 = 32
prefix_v6 = 64
upgrades_per_second_max = "off"
messages_per_second_max = "off"
bytes_per_second_max = "off"
handshake_timeout = "10s"
handshake_max = "8 KiB"
handshake_headers_max = 64

[control]
admin = "127.0.0.1:9090"
admin_token = "***"
drain_timeout = "10s"
log_format = "text"
log_level = "info"
connection_log = 10

[dpdk]
memory = "auto"
huge_pages = true
file_prefix = "hioload"
eal_args = []
idle = "adaptive"
flows_max = 65536
half_open_max = 4096
time_wait_max = 65536
burst = 32
"#;
    assert_eq!(config.to_toml(), expected);
    assert!(!format!("{config:?}").contains("correct-horse"));
}
