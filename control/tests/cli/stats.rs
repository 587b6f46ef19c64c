//! `hioload stats`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Output;
use std::thread;

use crate::process::{ConfigFile, run, stderr};
use crate::server::Server;

fn serve(file: &ConfigFile) -> Server {
    Server::start(&mut crate::process::hioload(&["--config", file.path()]))
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

/// The one line that says why there are no statistics.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn for_people_it_is_a_table() {
    let file = ConfigFile::on_free_ports("server.workers = 2\n");
    let server = serve(&file);
    let mut client = server.websocket();
    client.send(tungstenite::Message::text("hello")).expect("it is read");
    assert_eq!(client.read().expect("it comes back").to_string(), "hello");

    let output = run(&["stats", "--admin", &server.address("admin").to_string()]);
    let text = stdout(&output);
    for line in [
        ["state", "serving", "(kernel)"].as_slice(),
        &["workers", "2"],
        &["clients", "1", "now,", "1", "since", "the", "start"],
        &["messages", "received", "1", "0"],
        &["deliveries", "sent", "1", "0"],
        &["deliveries", "dropped", "0", "0"],
        &["messages_processed", "1"],
    ] {
        let there = text.lines().any(|there| there.split_whitespace().eq(line.iter().copied()));
        assert!(there, "{line:?} in\n{text}");
    }
}

#[test]
fn for_programs_it_is_what_the_admin_interface_says() {
    let file = ConfigFile::on_free_ports("");
    let server = serve(&file);
    let output = run(&["stats", "--json", "--admin", &server.address("admin").to_string()]);
    let stats: serde_json::Value = serde_json::from_str(stdout(&output)).expect("JSON");
    assert_eq!(stats["state"], "serving");
    assert!(stats["session_shards"].is_array(), "all of it: {stats}");
}

#[test]
fn the_file_of_an_appliance_says_where_to_ask_and_the_flag_overrides_it() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let text = format!("server.listen = \"127.0.0.1:0\"\ncontrol.admin = \"{port}\"\n");
    let file = ConfigFile::new(&text);
    let server = serve(&file);
    let output = run(&["stats", "--json", "--config", file.path()]);
    assert!(stdout(&output).contains("\"serving\""));
    let other = ConfigFile::new("control.admin = \"off\"\n");
    let admin = server.address("admin").to_string();
    let output = run(&["stats", "--json", "--config", other.path(), "--admin", &admin]);
    assert!(stdout(&output).contains("\"serving\""));
}

#[test]
fn a_file_that_is_valid_with_flags_alone_says_where_to_ask_as_well() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let one_port = format!("control.admin = \"{port}\"\n");
    // Both cannot be, unless the server is told to listen elsewhere.
    let text = format!("server.listen = \"{port}\"\n{one_port}");
    let file = ConfigFile::new(&text);
    let server = Server::start(&mut crate::process::hioload(&[
        "--config",
        file.path(),
        "--addr",
        "127.0.0.1:0",
    ]));
    let output = run(&["stats", "--json", "--config", file.path()]);
    assert!(stdout(&output).contains("\"serving\""));
    drop(server);

    let with_ports = r#"
        server.datapath = "kernel"
        server.listen = "10.0.0.1:80"
        [[dpdk.port]]
        vdev = "net_tap0"
        addresses = ["10.0.0.2/24"]
    "#;
    let file = ConfigFile::new(&format!("{one_port}{with_ports}"));
    let refused = refusal(&["stats", "--config", file.path()]);
    assert!(refused.contains(&port.to_string()), "nobody is there any more: {refused}");
    let output = run(&["stats", "--config", ConfigFile::new("control.admin = 7\n").path()]);
    assert_eq!(output.status.code(), Some(2), "what is no value at all is refused: {output:?}");
}

#[test]
#[cfg(unix)]
fn an_appliance_on_a_unix_socket_answers_there() {
    let path = std::env::temp_dir().join(format!("hioload-stats-{}.sock", std::process::id()));
    let admin = format!("unix:{}", path.display());
    let text = format!("server.listen = \"127.0.0.1:0\"\ncontrol.admin = \"{admin}\"\n");
    let file = ConfigFile::new(&text);
    let _server = serve(&file);
    let output = run(&["stats", "--json", "--admin", &admin]);
    assert!(stdout(&output).contains("\"serving\""));
    let text = refusal(&["stats", "--admin", &format!("{admin}.not")]);
    assert!(text.contains("nothing listens on unix:"), "{text}");
}

#[test]
fn where_nobody_listens_it_says_where_to_look() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let text = refusal(&["stats", "--admin", &free.to_string()]);
    for part in [&free.to_string(), "nothing listens", "admin=", "--admin", "--config"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_port_of_the_clients_is_not_taken_for_the_admin_interface() {
    let file = ConfigFile::on_free_ports("");
    let server = serve(&file);
    let text = refusal(&["stats", "--admin", &server.address("addresses").to_string()]);
    assert!(text.contains("not answer as the admin interface") && text.contains("404"), "{text}");
}

#[test]
fn who_answers_something_else_is_named() {
    let answers: [(&[u8], &str); 6] = [
        (b"220 mail.example ESMTP\r\n", "does not answer as the admin interface"),
        (b"", "does not answer as the admin interface"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue", "none of ours"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "does not answer as"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "302"),
        (b"HTTP/1.1 421 No\r\nContent-Length: 15\r\n\r\nask \x1b[31m others", "421"),
    ];
    for (answer, expected) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let stranger = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it asks");
            let asked = stream.read(&mut [0; 4096]).expect("a question");
            assert!(asked > 0);
            stream.write_all(answer).expect("it listens");
        });
        let text = refusal(&["stats", "--json", "--admin", &address]);
        stranger.join().expect("asked once");
        assert!(text.contains(expected) && text.contains(&address), "{expected} in {text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn who_listens_and_says_nothing_is_not_awaited_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let text = refusal(&["stats", "--admin", &address]);
    assert!(text.contains("has not answered it for 5 s"), "{text}");
}

#[test]
fn an_address_that_cannot_be_asked_is_refused_with_what_to_do() {
    let off = ConfigFile::new("control.admin = \"off\"\n");
    let text = refusal(&["stats", "--config", off.path()]);
    assert!(text.contains("control.admin is \"off\""), "{text}");
    let text = refusal(&["stats", "--admin", "127.0.0.1:0"]);
    assert!(text.contains("port 0") && text.contains("admin="), "{text}");

    let bad = ConfigFile::new("control.admin = 9090\n");
    for (arguments, expected) in [
        (["stats", "--config", bad.path()], ":1:17: control.admin: expected"),
        (["stats", "--admin", "localhost:9090"], "127.0.0.1:9090"),
        (["stats", "--admin", "9090"], "127.0.0.1:9090"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains(expected), "{expected} in {output:?}");
    }
}
