//! What a running appliance is doing, asked from outside through its admin interface.

mod client;
mod report;

use std::mem;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use hioload::config::{AdminAddress, Config};
use hyper::body::Bytes;

use self::client::{AskError, Client};
use self::report::{Sample, report};
use crate::cli::StatsFlags;
use crate::{EXIT_FAILED, EXIT_USAGE, print, refuse};

/// Rates are over this time.
const RATE_TIME: Duration = Duration::from_secs(1);

const STATS: &str = "/stats";

/// Prints the statistics of an appliance: for people, or as JSON.
pub(crate) fn stats(flags: &StatsFlags) -> ExitCode {
    let address = match address(flags) {
        Ok(address) => address,
        Err(faults) => return refuse(&faults, EXIT_USAGE),
    };
    let asked = Client::new(address).and_then(|client| match flags.json {
        true => json(&client),
        false => compare(&client),
    });
    match asked {
        Ok(text) => print(&text, "the statistics"),
        Err(error) => refuse(&format_args!("hioload stats: {error}"), EXIT_FAILED),
    }
}

/// The flag before the file, the file before the default.
fn address(flags: &StatsFlags) -> Result<AdminAddress, String> {
    if let Some(address) = &flags.admin {
        return Ok(address.clone());
    }
    let mut admin = Config::default().control.admin;
    if let Some(file) = &flags.config {
        // The appliance may have flags which the file needs, so what it says elsewhere is not held
        // against it.
        let leave_only_admin = |config: &mut Config| {
            admin = mem::take(config).control.admin;
        };
        Config::load_with(file, leave_only_admin).map_err(|error| error.to_string())?;
    }
    Ok(admin)
}

/// The statistics as the appliance gives them.
fn json(client: &Client) -> Result<String, AskError> {
    let body = client.get(STATS)?;
    sample(client, &body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Two samples, and what happened between them.
fn compare(client: &Client) -> Result<String, AskError> {
    let begin = Instant::now();
    let before = sample(client, &client.get(STATS)?)?;
    thread::sleep(RATE_TIME);
    let between = begin.elapsed();
    let after = sample(client, &client.get(STATS)?)?;
    Ok(report(client.address(), &before, &after, between))
}

fn sample(client: &Client, body: &Bytes) -> Result<Sample, AskError> {
    serde_json::from_slice(body)
        .map_err(|error| client.stranger(format_args!("its {STATS} is none of ours ({error})")))
}
