//! The page that `--report` writes.

#[expect(dead_code, reason = "other tests have servers do worse")]
mod double;
mod page;
mod program;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::Value;

use crate::double::{Act, Double, Faults, Manners};
use crate::page::text_of;
use crate::program::{Ran, run};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("report-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn page(&self) -> String {
        fs::read_to_string(self.0.join("page.html")).expect("there is a page")
    }

    /// Runs the program with a report into this folder.
    fn run(&self, target: &str, flags: &str) -> Ran {
        run(target, &format!("{flags} --report {}", self.0.join("page.html").display()))
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).expect("a folder").count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn against(faults: Faults) -> String {
    Double::start(Manners { faults, ..Manners::default() }).target()
}

/// That all is there which the JSON has. Returns the text of the page.
#[track_caller]
fn assert_complete(page: &str, ran: &Ran) -> String {
    let text = text_of(page);
    let lines: Vec<&str> = text.lines().collect();
    for (name, value) in ran.json.as_object().expect("an object") {
        let is_apart = name == "examples" || name == "series";
        assert_eq!(
            lines.contains(&name.as_str()),
            !value.is_null() && !is_apart,
            "{name}: {value} in\n{text}"
        );
    }
    for example in ran.json["examples"].as_array().expect("a list") {
        assert!(lines.contains(&example.as_str().expect("a text")), "{example} in\n{text}");
    }
    text
}

#[test]
fn a_page_has_all_that_the_json_has_in_every_mode() {
    for (mode, charts) in [
        ("broadcast --connections 5 --window 8 --messages 1000", 2),
        ("broadcast --connections 3 --slow 1 --rate 200 --duration 300ms", 2),
        ("echo --connections 1 --messages 300", 2),
        ("connect --connections 3 --duration 300ms --warmup 0s", 2),
        ("idle --connections 5 --duration 300ms", 2),
        ("slowloris --bad 3 --connections 2 --interval 20ms --duration 300ms", 2),
    ] {
        let folder = Folder::new("modes");
        let ran = folder.run(&against(double::no_fault), mode);
        assert_eq!(ran.status, 0, "{mode}: {ran:?}");
        let page = folder.page();
        let text = assert_complete(&page, &ran);
        assert!(text.contains("All checks passed"), "{mode}: {text}");
        let series = ran.json["series"].as_array().expect("a list").len();
        // One of each is for a phone. A run of less than an interval has no rates.
        let expected = if series > 0 { charts } else { 1 };
        assert_eq!(page.matches("<svg class=\"wide\" role=\"img\"").count(), expected, "{mode}");
        assert_eq!(page.matches("<svg class=\"narrow\"").count(), expected, "{mode}");
        assert_eq!(folder.files(), 1, "nothing is left beside it");
    }
}

#[test]
fn figures_are_written_as_people_read_them() {
    let folder = Folder::new("figures");
    let target = against(double::no_fault);
    let ran = folder.run(&target, "broadcast --connections 5 --window 8 --messages 1000");
    let text = text_of(&folder.page());
    let lines: Vec<&str> = text.lines().collect();
    let value_of = |name: &str| {
        let at = lines.iter().position(|line| *line == name).expect("it is there");
        lines[at + 1]
    };
    assert_eq!(ran.number("deliveries"), 5000);
    assert_eq!(value_of("deliveries"), "5,000");
    assert_eq!(value_of("size_bytes"), "64 bytes");
    assert_eq!(value_of("ok"), "yes");
    assert_eq!(value_of("target"), target);
    let seconds = ran.json["measured_s"].as_f64().expect("a number");
    assert_eq!(value_of("measured_s"), format!("{seconds:.3} s"));
    assert!(text.contains("broadcast --connections 5 --window 8 --messages 1000"), "{text}");
}

#[test]
fn what_failed_is_said_first_with_its_examples() {
    let folder = Folder::new("faults");
    let target = against(|client, message| match (client, message % 20) {
        (0, 4) => Act::Lose,
        (1, 8) => Act::Repeat(2),
        (2, 12) => Act::HoldBack,
        (3, 16) => Act::Flip(48),
        _ => Act::Deliver,
    });
    let flags = "broadcast --connections 9 --threads 3 --window 8 --messages 200";
    let ran = folder.run(&target, flags);
    assert_eq!(ran.status, 1, "{ran:?}");
    let page = folder.page();
    let text = assert_complete(&page, &ran);
    let verdict = "10 lost, 10 duplicated, 10 reordered, 10 damaged";
    let at = text.find(verdict).unwrap_or_else(|| panic!("no {verdict} in\n{text}"));
    assert!(at < text.find("At a glance").expect("it has one"), "{text}");
    assert!(page.contains("class=\"verdict failed\""), "{page}");
}

#[test]
fn a_run_that_is_given_up_has_a_page_that_says_why() {
    let folder = Folder::new("given-up");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let ran = folder.run(&target, "idle --connections 2");
    assert_eq!(ran.status, 1, "{ran:?}");
    let text = assert_complete(&folder.page(), &ran);
    let error = ran.json["error"].as_str().expect("a reason");
    assert!(text.contains(error), "{text}");
}

#[test]
fn what_the_user_wrote_is_text_and_no_markup() {
    let folder = Folder::new("markup");
    let flags = "idle --connections 1 --duration 1ms --path /<script>alert('1')</script>&lt;\"";
    let ran = folder.run(&against(double::no_fault), flags);
    let page = folder.page();
    assert!(!page.contains("<script"), "{page}");
    let text = assert_complete(&page, &ran);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"/<script>alert('1')</script>&lt;\""), "{text}");
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    let folder = Folder::new("alone");
    let flags = "broadcast --connections 2 --rate 500 --duration 300ms";
    let ran = folder.run(&against(double::no_fault), flags);
    assert_eq!(ran.status, 0, "{ran:?}");
    let page = folder.page().replace("http://www.w3.org/2000/svg", "");
    for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn a_page_that_could_not_be_written_is_told_before_the_run() {
    let folder = Folder::new("refused");
    let missing = folder.0.join("missing").join("page.html");
    for path in [&missing, &folder.0] {
        // Nobody listens there: it is not asked.
        let ran = run("127.0.0.1:1", &format!("idle --report {}", path.display()));
        assert_eq!((ran.status, &ran.json), (2, &Value::Null), "{ran:?}");
        let named = format!("--report {}: ", path.display());
        assert!(ran.stderr.contains(&named), "{ran:?}");
    }
    assert_eq!(folder.files(), 0);
}

#[test]
fn a_page_that_is_there_stays_when_a_run_cannot_begin() {
    let folder = Folder::new("stays");
    fs::write(folder.0.join("page.html"), "the last one").expect("a file");
    let ran = folder.run("127.0.0.1:1", "idle --source ::1");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(folder.page(), "the last one");
    assert_eq!(folder.files(), 1);
}
