//! Any text is answered, and a configuration that is taken prints what it means.
#![no_main]

use hioload_config::{Config, Secret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut config = match Config::parse(text, "fuzz.toml") {
        Ok(config) => config,
        Err(error) => {
            assert!(!error.faults().is_empty());
            assert!(error.to_string().starts_with("fuzz.toml:"));
            return;
        }
    };
    assert_eq!(config.validate(), Ok(()));

    let mut printed = config.to_toml();
    if config.control.admin_token.is_some() {
        // A token is hidden in print, and the sign in its place is no token.
        printed = printed.replace("admin_token = \"***\"", "admin_token = \"t\"");
        config.control.admin_token = Some(Secret::new("t"));
    }
    assert_eq!(Config::parse(&printed, "printed.toml"), Ok(config));
});
