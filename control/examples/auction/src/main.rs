//! Runs the auction: `cargo run -- [hioload.toml]`, then
//! `wscat -c 'ws://127.0.0.1:8080/ws?name=ann'` and `wscat -c ws://127.0.0.1:8080/watch`.

use std::error::Error;
use std::thread;

use hioload::Config;

fn main() -> Result<(), Box<dyn Error>> {
    let config = match std::env::args_os().nth(1) {
        Some(file) => Config::load(file)?,
        None => Config::default(),
    };
    let (builder, appraiser) = auction::builder(config);
    let appliance = builder.start()?;
    let handle = appliance.handle();
    thread::spawn(move || appraiser.run(&handle));
    println!("auction at ws://{}/ws?name=you", appliance.addresses()[0]);
    appliance.join()?;
    Ok(())
}
