//! Where and how a run was made: what a report is read with.

use std::env;
use std::fs;
use std::time::SystemTime;

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub(crate) struct Provenance {
    /// As a shell takes it.
    pub(crate) command: String,
    /// When the run ended, in UTC.
    pub(crate) date: String,
    /// CPU and system of this host.
    pub(crate) host: String,
}

impl Provenance {
    /// Those of this process, now.
    pub(crate) fn now() -> Self {
        let words: Vec<String> =
            env::args_os().map(|word| quoted(&word.to_string_lossy())).collect();
        Self {
            command: words.join(" "),
            date: httpdate::fmt_http_date(SystemTime::now()),
            host: host(),
        }
    }
}

fn host() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let system = match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(release) => format!("Linux {}", release.trim()),
        Err(_) => env::consts::OS.to_owned(),
    };
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| cpu_model(&text));
    let model = model.unwrap_or_else(|| env::consts::ARCH.to_owned());
    let cpu_s = if cpus == 1 { "CPU" } else { "CPUs" };
    format!("{cpus} {cpu_s} ({model}) · {system}")
}

/// What `/proc/cpuinfo` calls the first CPU; not every architecture has a name for it.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let (_, value) = cpuinfo
        .lines()
        .find_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == "model name"))?;
    Some(value.trim().to_owned())
}

/// A word of a command line, in quotes if a shell would read something else.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=[]@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_given_to_a_shell_again() {
        for (word, text) in [
            ("--target", "--target"),
            ("[::1]:80", "[::1]:80"),
            ("", "''"),
            ("/a b?c", "'/a b?c'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }

    #[test]
    fn a_cpu_is_called_by_its_model() {
        let text = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: A CPU @ 2.00GHz\n";
        assert_eq!(cpu_model(text).as_deref(), Some("A CPU @ 2.00GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }
}
