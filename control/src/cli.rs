//! The command line, and what it makes of the configuration.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hioload::config::{AdminAddress, Config, ConfigError, Datapath, Fault, ListenAddress};

const AFTER_HELP: &str = "\
Without a command: serve. Without a file and flags: a chat for this host, at
http://127.0.0.1:8080/, with the admin interface at http://127.0.0.1:9090/.

SIGINT and SIGTERM (Ctrl-C and Ctrl-Break on Windows) drain: no new clients, the
last messages and a Close to every client, the end within control.drain_timeout.
A second signal ends at once.

Exit status: 0 all clients were closed in time, 3 some were cut off, 1 it could
not start or go on, 2 bad flags or configuration, 130 ended by a second signal.
`hioload stats` ends with 1 where no appliance answers.

RUST_LOG refines control.log_level, for example RUST_LOG=hioload_engine=debug.";

/// A WebSocket broadcast appliance: what one client says, all clients get
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeFlags,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients until a signal ends it (the default)
    #[command(after_help = AFTER_HELP)]
    Serve(ServeFlags),
    /// Print what a configuration file means, in full, with the memory that ports of DPDK need, or
    /// all that is wrong with it
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print what a running appliance is doing, asked through its admin interface
    Stats(StatsFlags),
}

/// Flags of `stats`.
#[derive(Args, Debug)]
pub(crate) struct StatsFlags {
    /// Where the admin interface listens; 127.0.0.1:9090 unless the file says otherwise
    #[arg(long, value_name = "HOST:PORT|unix:PATH")]
    pub(crate) admin: Option<AdminAddress>,

    /// The appliance's configuration file, for its control.admin
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print JSON, as the admin interface gives it
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `serve`. They override the file, and the file overrides the defaults.
#[derive(Args, Debug, Default)]
pub(crate) struct ServeFlags {
    /// Configuration file (TOML); without it every setting has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address to serve on; may be given more than once. ":8080" means every address
    #[arg(long, value_name = "HOST:PORT")]
    addr: Vec<ListenAddress>,

    /// Serve over DPDK, or fail with the reason
    #[arg(long)]
    dpdk: bool,

    /// Shards of the session registry
    #[arg(long, value_name = "N", value_parser = whole_number)]
    shards: Option<usize>,

    /// Worker threads; "auto" is one for each CPU, or for each that the file lists for them
    #[arg(long, value_name = "N", value_parser = workers)]
    workers: Option<Workers>,
}

impl Cli {
    /// What to do; to serve, if nothing is said.
    pub(crate) fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl ServeFlags {
    /// The configuration that file and flags make together.
    ///
    /// # Errors
    /// All that is wrong with it, by file and line or by flag.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let change = |config: &mut Config| self.apply(config);
        let config = match &self.config {
            Some(file) => Config::load_with(file, change),
            None => Config::parse_with("", "the flags", change),
        };
        config.map_err(|error| self.explain(error).to_string())
    }

    fn apply(&self, config: &mut Config) {
        let server = &mut config.server;
        if !self.addr.is_empty() {
            server.listen.clone_from(&self.addr);
        }
        if self.dpdk {
            server.datapath = Datapath::Dpdk;
        }
        server.session_shards = self.shards.unwrap_or(server.session_shards);
        match self.workers {
            Some(Workers::Auto) => config.server.workers = config.workers_auto(),
            Some(Workers::Count(count)) => server.workers = count,
            None => {}
        }
    }

    /// The keys that flags have set, each with its flag.
    fn given(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let flags = [
            ("server.listen", "--addr", !self.addr.is_empty()),
            ("server.datapath", "--dpdk", self.dpdk),
            ("server.session_shards", "--shards", self.shards.is_some()),
            ("server.workers", "--workers", self.workers.is_some()),
        ];
        flags.into_iter().filter_map(|(key, flag, given)| given.then_some((key, flag)))
    }

    /// Faults as the one who typed the flags sees them.
    fn explain(&self, mut error: ConfigError) -> ConfigError {
        error.faults_mut().iter_mut().for_each(|fault| self.explain_fault(fault));
        error
    }

    fn explain_fault(&self, fault: &mut Fault) {
        let of_flag = |(key, _): &(&str, _)| fault.key.as_deref() == Some(*key);
        match self.given().find(of_flag) {
            Some((_, flag)) if fault.place.is_none() => fault.key = Some(flag.to_owned()),
            _ => {
                for (key, flag) in self.given() {
                    if fault.message.contains(key) {
                        // Writing to a string does not fail.
                        let _ = write!(fault.message, " ({key} is what {flag} says)");
                    }
                }
            }
        }
    }
}

/// How many workers a flag asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workers {
    /// As many as suit the host and the file.
    Auto,
    Count(usize),
}

fn workers(text: &str) -> Result<Workers, &'static str> {
    if text == "auto" {
        return Ok(Workers::Auto);
    }
    whole_number(text).map(Workers::Count).map_err(|_| "expected a whole number or \"auto\"")
}

/// Any: its bounds are those of the configuration.
fn whole_number(text: &str) -> Result<usize, &'static str> {
    text.parse().map_err(|_| "expected a whole number")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn flags(arguments: &[&str]) -> ServeFlags {
        let arguments = ["hioload"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).expect("valid flags").into_command() {
            Command::Serve(flags) => flags,
            command => panic!("not serve: {command:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_what_is_done_when_nothing_is_said() {
        let config = flags(&[]).config().unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(flags(&["--workers", "3"]).workers, flags(&["serve", "--workers", "3"]).workers);
    }

    #[test]
    fn flags_override_the_defaults() {
        let flags = flags(&["--addr", ":9000", "--addr", "[::1]:0", "--shards", "4", "--dpdk"]);
        let mut config = Config::default();
        flags.apply(&mut config);
        let server = config.server;
        let listen: Vec<String> = server.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, [":9000", "[::1]:0"]);
        assert_eq!((server.session_shards, server.datapath), (4, Datapath::Dpdk));
    }

    #[test]
    fn a_fault_that_a_flag_made_names_the_flag() {
        let fault = flags(&["--workers", "0"]).config().unwrap_err();
        assert!(fault.starts_with("--workers: expected"), "{fault}");
        let fault = flags(&["--addr", ":9090"]).config().unwrap_err();
        assert!(fault.starts_with("--addr: the admin interface"), "{fault}");
        let fault = flags(&["--dpdk"]).config().unwrap_err();
        assert!(fault.starts_with("--dpdk: expected a port"), "{fault}");
    }
}
