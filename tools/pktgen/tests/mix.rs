//! Scenarios of phases, against an appliance and against a server that does wrong.

#[expect(dead_code, reason = "other tests have servers do worse")]
mod double;
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use hioload::config::AdminAddress;
use hioload::{Appliance, Broadcast, Config, Recovery};
use serde_json::Value;

use crate::double::{Act, Double, Faults, Manners};
use crate::program::{Ran, run};

/// A scenario in a file that goes with the test.
struct Scenario(PathBuf);

impl Scenario {
    fn new(name: &str, text: &str) -> Self {
        let file = format!("mix-{name}-{}.toml", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn run(&self, target: &str, flags: &str) -> Ran {
        run(target, &format!("mix {}{flags}", self.0.display()))
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn appliance(adjust: impl FnOnce(&mut Config)) -> Appliance {
    let mut config = Config::default();
    config.server.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.server.workers = 2;
    config.control.admin = AdminAddress::Off;
    adjust(&mut config);
    let builder = Appliance::builder().config(config).handler(Broadcast);
    builder.layer(Recovery).start().expect("it starts")
}

/// Runs a scenario against an appliance, and expects no offence.
fn run_against_appliance(scenario: &Scenario, flags: &str) -> Ran {
    let appliance = appliance(|_| {});
    let ran = scenario.run(&appliance.addresses()[0].to_string(), flags);
    appliance.stop().expect("it ends well");
    assert_eq!(ran.status, 0, "{ran:?}");
    ran
}

fn run_against_double(faults: Faults, name: &str, text: &str) -> Ran {
    let double = Double::start(Manners { faults, ..Manners::default() });
    Scenario::new(name, text).run(&double.target(), " --timeout 1s")
}

fn phase<'a>(ran: &'a Ran, name: &str) -> &'a Value {
    let phases = ran.json["phases"].as_array().expect("a list");
    phases.iter().find(|phase| phase["name"] == name).unwrap_or_else(|| panic!("{name}: {ran:?}"))
}

#[track_caller]
fn count(ran: &Ran, name: &str, field: &str) -> u64 {
    phase(ran, name)[field].as_u64().unwrap_or_else(|| panic!("no {field} of {name}: {ran:?}"))
}

#[test]
fn connections_follow_the_phases_and_each_gets_all_messages_of_its_time() {
    let text = "connections = 4\n\
        [[phase]]\nname = 'grow'\nduration = '500ms'\nconnections = 40\npublishers = 2\nrate = 400\n\
        size = { min = 32, max = 3000 }\n\
        [[phase]]\nname = 'stay'\nduration = '1s'\npublishers = 4\nrate = 120\n\
        [[phase]]\nname = 'shrink'\nduration = '500ms'\nconnections = 5\nrate = 200\n\
        [[phase]]\nname = 'few'\nduration = '500ms'\n";
    let scenario = Scenario::new("phases", text);
    for threads in [1, 3] {
        let ran = run_against_appliance(&scenario, &format!(" --threads {threads}"));
        assert_eq!(ran.json["mode"], "mix");
        // A busy machine is late with some.
        assert!((30..=40).contains(&count(&ran, "stay", "open")), "{ran:?}");
        assert!((5..=15).contains(&count(&ran, "few", "open")), "{ran:?}");
        assert!(count(&ran, "few", "messages") < 50, "{ran:?}");
        // 40 clients, and about 120 messages.
        assert!((1_000..=8_000).contains(&count(&ran, "stay", "deliveries")), "{ran:?}");
        let latency = &phase(&ran, "stay")["latency_us"];
        assert!(latency["count"].as_u64() > Some(1_000), "{ran:?}");
        assert!((30..=40).contains(&ran.number("connects")), "nobody came twice: {ran:?}");
    }
}

#[test]
fn clients_that_come_back_get_all_that_is_sent_while_they_are_there() {
    let text = "connections = 30\n\
        [[phase]]\nname = 'busy'\nduration = '1s'\nrate = 500\nchurn = 100\npublishers = 3\n\
        [[phase]]\nname = 'calm'\nduration = '500ms'\nrate = 100\n";
    let ran = run_against_appliance(&Scenario::new("churn", text), " --threads 2");
    let churned = count(&ran, "busy", "churned") + count(&ran, "calm", "churned");
    assert!((20..=200).contains(&churned), "{ran:?}");
    let connects = ran.number("connects");
    assert!((20 + churned..=30 + churned).contains(&connects), "nearly all are back: {ran:?}");
    assert!(ran.number("deliveries") > 2_000, "{ran:?}");
}

#[test]
fn what_a_run_counts_from_its_first_connection_on_is_what_the_server_counts() {
    let appliance = appliance(|_| {});
    let text = "connections = 20\n\
        [[phase]]\nname = 'a'\nduration = '700ms'\nrate = 300\nchurn = 100\npublishers = 3\n\
        [[phase]]\nname = 'b'\nduration = '300ms'\nrate = 300\nchurn = 100\nconnections = 9\n";
    let scenario = Scenario::new("counts", text);
    let ran = scenario.run(&appliance.addresses()[0].to_string(), " --threads 2");
    assert_eq!(ran.status, 0, "{ran:?}");
    // Clients leave with the server's Close, and the server hears of it a little later.
    let began = Instant::now();
    let counts = loop {
        let totals = appliance.stats().totals;
        let closed = totals["sessions_closed"];
        if closed == totals["sessions_opened"] || began.elapsed() > Duration::from_secs(10) {
            break [totals["messages_received"], totals["deliveries_sent"], closed, closed];
        }
        thread::sleep(Duration::from_millis(10));
    };
    appliance.stop().expect("it ends well");
    let of_run = ["messages_sent", "messages_received", "opened", "closed"]
        .map(|name| ran.number(&format!("whole_run.{name}")));
    assert_eq!(of_run, counts, "{ran:?}");
    assert!(of_run[0] > ran.number("messages"), "the calls of the roll, too: {ran:?}");
}

#[test]
fn who_reads_slowly_is_beside_the_others_and_holds_up_nobody() {
    let text = "connections = 5\n\
        [[phase]]\nname = 'slow'\nduration = '1s'\nrate = 500\nsize = 16384\nslow = 3\n\
        slow_pause = '100ms'\n\
        [[phase]]\nname = 'stuck'\nduration = '500ms'\nrate = 500\nsize = 16384\nslow = 2\n\
        [[phase]]\nname = 'none'\nduration = '1s'\nrate = 100\n";
    let ran = run_against_appliance(&Scenario::new("slow", text), "");
    assert!((6..=8).contains(&count(&ran, "slow", "open")), "{ran:?}");
    assert!((5..=6).contains(&count(&ran, "none", "open")), "{ran:?}");
    assert_eq!((ran.number("slow"), ran.number("connections")), (3, 8), "{ran:?}");
}

#[test]
fn a_mix_runs_without_sockets_as_well() {
    let text = "connections = 20\n\
        [[phase]]\nname = 'a'\nduration = '500ms'\nconnections = 40\nrate = 200\nchurn = 50\n";
    let scenario = Scenario::new("ring", text);
    let ran = scenario.run("10.0.0.1:8080", " --transport ring");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.number("deliveries") > 200, "{ran:?}");
}

/// Silence, in which three clients join three others, and then about 300 messages.
const JOINED: &str = "connections = 3\n\
    [[phase]]\nname = 'join'\nduration = '600ms'\nconnections = 6\n\
    [[phase]]\nname = 'speak'\nduration = '1s'\nrate = 300\n";

#[test]
fn what_one_who_joined_misses_is_lost() {
    let ran = run_against_double(
        |client, message| if client == 4 && message == 200 { Act::Lose } else { Act::Deliver },
        "joined",
        JOINED,
    );
    assert_eq!(ran.number("lost"), 1, "{ran:?}");
    assert_eq!(ran.status, 1, "{ran:?}");
}

#[test]
fn what_nobody_sends_after_a_loss_is_found_at_the_end() {
    let ran = run_against_double(
        |client, message| if client == 1 && message >= 200 { Act::Lose } else { Act::Deliver },
        "tail",
        JOINED,
    );
    // What was due in the measurement and late is published behind it, and is lost, too.
    let (lost, messages) = (ran.number("lost"), ran.number("messages"));
    assert!((messages - 200..messages - 150).contains(&lost), "{ran:?}");
    let error = ran.json["error"].as_str().expect("a reason");
    assert!(error.contains("draining: 0 of 1 threads have all their deliveries"), "{ran:?}");
}

#[test]
fn repeats_and_damage_are_found_at_any_size() {
    let text = JOINED.replace("rate = 300", "rate = 300\nsize = { min = 60, max = 900 }");
    let ran = run_against_double(
        |client, message| match (client, message) {
            (5, 210) => Act::Repeat(2),
            (0, 220) => Act::Flip(50),
            _ => Act::Deliver,
        },
        "sizes",
        &text,
    );
    let counts = ["lost", "duplicated", "reordered", "damaged"].map(|name| ran.number(name));
    assert_eq!(counts, [0, 1, 0, 1], "{ran:?}");
}

#[test]
fn a_connection_that_the_server_ends_is_an_offence_and_is_made_again() {
    let ran = run_against_double(
        // One of those who joined, and hence no publisher.
        |client, message| if client == 4 && message == 150 { Act::HangUp } else { Act::Deliver },
        "ended",
        JOINED,
    );
    assert_eq!(ran.number("disconnected"), 1, "{ran:?}");
    assert_eq!(ran.number("connects"), 7, "{ran:?}");
    assert_eq!((ran.number("lost"), &ran.json["error"]), (0, &Value::Null), "{ran:?}");
}

#[test]
fn without_one_of_its_publishers_a_mix_cannot_go_on_and_nothing_else_is_lost() {
    let text = JOINED.replace("rate = 300", "rate = 300\npublishers = 3");
    let ran = run_against_double(
        // Whichever of the three it is, they all publish.
        |client, message| if client == 1 && message == 50 { Act::HangUp } else { Act::Deliver },
        "publisher",
        &text,
    );
    assert_eq!((ran.status, ran.number("disconnected")), (1, 1), "{ran:?}");
    assert_eq!(ran.number("lost"), 0, "{ran:?}");
    assert!(ran.json["error"].as_str().is_some_and(|error| error.contains("client ")), "{ran:?}");
}

#[test]
fn a_close_that_is_not_answered_is_an_offence() {
    let double = Double::start(Manners { ignores_close: true, ..Manners::default() });
    let text = "connections = 3\n[[phase]]\nname = 'a'\nduration = '2s'\nchurn = 3\nrate = 50\n";
    let ran = Scenario::new("deaf", text).run(&double.target(), " --timeout 200ms");
    // Up to six of those that were to come back, and the three that were there at the end.
    assert!((3..=9).contains(&ran.number("protocol_errors")), "{ran:?}");
    let example = ran.json["examples"][0].as_str().expect("a text");
    assert!(example.contains("the Close is not answered within 200ms"), "{ran:?}");
}

#[test]
fn with_a_window_publishers_wait_for_their_own_messages_alone() {
    let text = "connections = 10\n\
        [[phase]]\nname = 'rate'\nduration = '300ms'\nrate = 200\npublishers = 2\n\
        [[phase]]\nname = 'window'\nduration = '500ms'\nwindow = 8\npublishers = 3\nchurn = 50\n\
        [[phase]]\nname = 'again'\nduration = '300ms'\nrate = 200\n";
    let ran = run_against_appliance(&Scenario::new("window", text), " --threads 2");
    // A round trip takes far less than the 120 ms that 24 messages in it would come to.
    assert!(count(&ran, "window", "messages") > 100, "{ran:?}");
    let seconds = phase(&ran, "again")["duration_s"].as_f64().expect("a number");
    let rate = phase(&ran, "again")["messages_per_s"].as_f64().expect("a number");
    assert!(rate * seconds <= 200.0 * seconds + 50.0, "{ran:?}");
}

#[test]
fn a_scenario_that_is_wrong_is_refused_by_line_and_key() {
    let scenario = Scenario::new("wrong", "connections = 2\n[[phase]]\nname = 'a'\n");
    let ran = scenario.run("127.0.0.1:1", "");
    assert_eq!(ran.status, 2, "{ran:?}");
    let fault = format!("{}:2: missing field `duration`", scenario.0.display());
    assert!(ran.stderr.contains(&fault), "{ran:?}");
    let ran = run("127.0.0.1:1", "mix nowhere.toml");
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("nowhere.toml: "), "{ran:?}");
}

#[test]
fn every_example_runs_when_its_phases_are_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples = 0;
    for file in fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("a text");
        let short: Vec<&str> = text
            .lines()
            .map(|line| if line.starts_with("duration") { "duration = '400ms'" } else { line })
            .collect();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let ran = run_against_appliance(&Scenario::new(&name, &short.join("\n")), "");
        assert!(ran.number("deliveries") > 500, "{name}: {ran:?}");
        examples += 1;
    }
    assert!(examples >= 3, "{examples} examples");
}
