//! What a fault looks like beyond its message: several of them, where they are, what is not said.

use std::fs;
use std::time::Duration;

use hioload_config::{AdminAddress, Config, Origins, Secret};

fn refusal(text: &str) -> String {
    Config::parse(text, "hioload.toml").expect_err(text).to_string()
}

fn invalid(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    config.server.workers = 2;
    change(&mut config);
    config.validate().expect_err("an invalid configuration").to_string()
}

#[test]
fn all_faults_are_reported_in_the_order_of_the_file() {
    let text = r#"[tcp]
nodelay = maybe
keepalive = "1ms"
[server]
listen = ["localhost:80", "::1"]
wokers = 4
workers = 0
[control]
admin = "0.0.0.0:9090"
admin = "127.0.0.1:9090"
"#;
    let expected = "\
hioload.toml:2:11: tcp.nodelay: expected a value, got text without quotes
hioload.toml:3:13: tcp.keepalive: expected a duration from 1s to 9h or \"off\", got 1ms
hioload.toml:5:11: server.listen: expected an address, since names are not looked up (this host is \
\"127.0.0.1:80\" or \"[::1]:80\"), got \"localhost:80\"
hioload.toml:5:27: server.listen: expected an address such as \"127.0.0.1:8080\", \
\"[::1]:8080\" or \":8080\", got \"::1\"
hioload.toml:6:1: server.wokers: unknown key: did you mean \"workers\"?
hioload.toml:7:11: server.workers: expected a whole number from 1 to 512 or \"auto\", got 0
hioload.toml:10:1: expected each key and table once, got \"admin\" again";
    assert_eq!(refusal(text), expected);
}

#[test]
fn nothing_is_judged_beyond_a_broken_table_header() {
    // The keys below the header may have been read into another table.
    let text = "[server]\nworkers = 0\n[limits\nhandshake_headers_max = 0\nspeed = 3\n";
    let expected = "\
hioload.toml:2:11: server.workers: expected a whole number from 1 to 512 or \"auto\", got 0
hioload.toml:3:8: not valid TOML: unclosed table, expected `]`";
    assert_eq!(refusal(text), expected);
}

#[test]
fn a_rule_between_keys_is_not_judged_with_a_value_that_is_refused() {
    let text = "[websocket]\nmessage_max = \"8 MiB\"\n[broadcast]\nbacklog_max = \"16 MB\"\n";
    let expected = "hioload.toml:4:15: broadcast.backlog_max: expected a size such as \"64 KiB\", \
                    got \"16 MB\"";
    assert_eq!(refusal(text), expected);
}

#[test]
fn long_and_strange_values_are_shown_short_and_on_one_line() {
    let text = format!("[websocket]\npath = \"\\u001b[2J\\n{}\"\n", "a".repeat(1000));
    let shown = format!("\"\\u{{1b}}[2J\\n{}...\"", "a".repeat(59));
    let expected = format!(
        "hioload.toml:2:8: websocket.path: expected a path that begins with \"/\", got {shown}"
    );
    assert_eq!(refusal(&text), expected);
}

#[test]
fn strange_names_are_shown_in_quotes() {
    let expected = "hioload.toml:1:1: \"a\\nb\": unknown key: the tables are server, websocket, \
                    broadcast, tcp, limits, control, dpdk";
    assert_eq!(refusal("\"a\\nb\" = 1"), expected);
}

#[test]
fn no_message_shows_a_token() {
    for value in [
        "\"hunter 2\"",
        "hunter2",
        "\"hunter2",
        "'''hunter2\nhunter2'''",
        "[\"hunter2\"]",
        "{ hunter = 2 }",
        "\"hunter2\\q\"",
        "\"hunter2\" hunter2",
    ] {
        let text = format!("[control]\nadmin = \"0.0.0.0:1\"\nadmin_token = {value}\n");
        let error = Config::parse(&text, "hioload.toml").expect_err(value);
        assert!(!error.to_string().contains("hunter"), "{error}");
        assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
    }
}

#[test]
fn a_value_from_code_is_refused_by_its_key() {
    assert_eq!(
        invalid(|config| config.server.workers = 0),
        "server.workers: expected a whole number from 1 to 512 or \"auto\", got 0"
    );
    assert_eq!(
        invalid(|config| config.server.listen.clear()),
        "server.listen: expected 1 to 64 addresses, got 0"
    );
    assert_eq!(
        invalid(|config| config.websocket.ping_interval = Some(Duration::ZERO)),
        "websocket.ping_interval: expected a duration from 1ms to 24h or \"off\", got 0s"
    );
    assert_eq!(
        invalid(|config| config.websocket.origins = Origins::List(vec!["*".to_owned()])),
        "websocket.origins: expected an origin such as \"https://chat.example\", got \"*\""
    );
    assert_eq!(
        invalid(|config| config.control.admin_token = Some(Secret::new(""))),
        "control.admin_token: expected 1 to 256 visible ASCII characters, got none"
    );
}

#[test]
fn a_contradiction_from_code_is_refused_by_the_key_to_blame() {
    let with_admin = |address: &str| {
        let admin = AdminAddress::Tcp(address.parse().unwrap());
        invalid(|config| config.control.admin = admin)
    };
    assert_eq!(
        with_admin("[::1]:8080"),
        "control.admin: the admin interface and the clients cannot share an address: expected \
         them apart, got control.admin \"[::1]:8080\" beside server.listen \"[::1]:8080\""
    );
    assert_eq!(
        with_admin("[::]:9090"),
        "control.admin: expected a loopback address, or control.admin_token to be set, since \
         other hosts can reach \"[::]:9090\" and could stop the server there"
    );
    let tight_backlog = invalid(|config| {
        config.websocket.message_bytes_max = 100;
        config.broadcast.backlog_bytes_max = 101;
    });
    assert_eq!(
        tight_backlog,
        "broadcast.backlog_max: a session's backlog must hold one message of the largest size: \
         expected broadcast.backlog_max of at least 102 bytes (websocket.message_max 100 + 2 for \
         the frame header), got 101 (101 B)"
    );
}

const ONE_ADDRESS: &str =
    "server.listen = \"127.0.0.1:9000\"\ncontrol.admin = \"127.0.0.1:9000\"\n";

fn changed(text: &str, change: impl FnOnce(&mut Config)) -> Result<Config, String> {
    Config::parse_with(text, "hioload.toml", change).map_err(|error| error.to_string())
}

#[test]
fn a_contradiction_within_a_file_is_none_where_a_change_does_away_with_it() {
    assert!(Config::parse(ONE_ADDRESS, "hioload.toml").is_err());
    let listen = vec!["127.0.0.1:8000".parse().unwrap()];
    let config = changed(ONE_ADDRESS, |config| config.server.listen.clone_from(&listen)).unwrap();
    assert_eq!(config.server.listen, listen);
}

#[test]
fn what_a_change_leaves_of_a_file_is_refused_in_its_place() {
    let error = changed(ONE_ADDRESS, |config| config.server.session_shards = 1).unwrap_err();
    assert!(error.starts_with("hioload.toml:2:17: control.admin: the admin"), "{error}");

    let file = "server.workers = 0\ncontrol.admin = \"127.0.0.1:9000\"\n";
    let listen = "127.0.0.1:9000".parse().unwrap();
    let error = changed(file, |config| config.server.listen = vec![listen]).unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert!(lines[0].starts_with("hioload.toml:1:18: server.workers: expected"), "{error}");
    assert!(lines[1].starts_with("hioload.toml:2:17: control.admin: the admin"), "{error}");
}

#[test]
fn a_change_that_is_wrong_by_itself_has_no_place_in_the_file() {
    let error = changed("server.workers = 1\n", |config| config.server.workers = 0).unwrap_err();
    assert!(error.starts_with("server.workers: expected a whole number from 1"), "{error}");
    let admin = AdminAddress::Tcp("127.0.0.1:8080".parse().unwrap());
    let error = changed("", |config| config.control.admin = admin).unwrap_err();
    assert!(error.starts_with("control.admin: the admin interface and the clients"), "{error}");
}

#[test]
fn all_faults_of_a_configuration_from_code_are_reported() {
    let error = invalid(|config| {
        config.server.session_shards = 0;
        config.limits.handshake_headers_max = 1000;
        config.control.admin = AdminAddress::Tcp("0.0.0.0:9090".parse().unwrap());
    });
    let keys: Vec<_> = error.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(keys, ["server.session_shards", "limits.handshake_headers_max", "control.admin"]);
}

#[test]
fn a_configuration_from_code_that_is_full_of_faults_is_answered_with_the_first_fifty() {
    let mut config = Config::default();
    let origins = (0..60).map(|number| format!("http://{number}/")).collect();
    config.websocket.origins = Origins::List(origins);
    let error = config.validate().unwrap_err();
    assert_eq!((error.faults().len(), error.omitted()), (50, 10));
}

#[cfg(unix)]
#[test]
fn a_unix_socket_path_must_fit_its_address() {
    let path = format!("/{}", "a".repeat(107));
    let error = invalid(|config| config.control.admin = AdminAddress::Unix(path.into()));
    assert!(error.ends_with("of 108 bytes"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load("no/such/hioload.toml").unwrap_err().to_string();
    assert!(error.starts_with("no/such/hioload.toml: cannot be read: "), "{error}");
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_the_place() {
    let path = temporary("latin1.toml", b"[server]\n# caf\xe9\n");
    let error = Config::load(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{path}:2:6: expected UTF-8, got the byte 0xe9"));
}

#[test]
fn a_file_is_read_up_to_one_mebibyte() {
    let largest = temporary("largest.toml", &vec![b'\n'; 1 << 20]);
    assert_eq!(Config::load(&largest), Ok(Config::default()));

    let larger = temporary("larger.toml", &vec![b'\n'; (1 << 20) + 1]);
    let error = Config::load(&larger).unwrap_err().to_string();
    assert_eq!(error, format!("{larger}: expected at most 1 MiB, got a larger file"));
}

#[test]
fn a_file_full_of_faults_is_answered_with_the_first_fifty() {
    let lines: String = (0..2_000).map(|number| format!("key{number} = {number}\n")).collect();
    let error = Config::parse(&lines, "hioload.toml").unwrap_err();
    assert_eq!((error.faults().len(), error.omitted()), (50, 1_950));
    assert_eq!(error.faults()[49].place.map(|place| place.line), Some(50));
}

#[test]
fn a_file_full_of_bad_values_and_unknown_names_is_answered() {
    // Each line is two faults.
    let lines: String = (0..2_000).map(|number| format!("key{number} = yes\n")).collect();
    let error = Config::parse(&lines, "hioload.toml").unwrap_err();
    assert_eq!(error.faults().len() + error.omitted(), 4_000);
}

/// A file of this test run with `contents`.
fn temporary(name: &str, contents: &[u8]) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&path, contents).unwrap();
    path
}
