//! Finds libnuma. Where it is missing, checking works and linking says so.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    if let Err(error) = pkg_config::Config::new().atleast_version("2.0.12").probe("numa") {
        // In one line: cargo shows no more.
        let error = error.to_string();
        let error = error.trim_start().lines().next().unwrap_or_default();
        println!(
            "cargo::warning=libnuma 2.0.12 or later is not found ({error}): the feature `numa` \
             cannot be linked. Install libnuma-dev (Debian) or numactl-devel (Fedora)"
        );
        println!("cargo::rustc-link-lib=numa");
    }
}
