//! `hil service`: what the verifier does under load.

use std::time::Duration;

use anyhow::Result;
use assay_hil_tests::measure::service;

#[derive(clap::Args)]
pub(crate) struct Service {
    /// Seconds of each load
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Sessions at which memory is looked at
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    sessions: u64,
}

#[derive(clap::Args)]
pub(crate) struct Sessions {
    /// Sizes of the store, smallest first
    #[arg(default_values_t = [1_000, 100_000, 1_000_000])]
    sizes: Vec<u64>,
    /// Print a JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Measures at each size of the store.
pub(crate) fn sessions(sessions: &Sessions) -> Result<()> {
    let table = service::sessions::measure(&sessions.sizes, &mut |line| eprintln!("{line}"))?;
    if sessions.json {
        println!("{}", serde_json::to_string_pretty(&table)?);
        return Ok(());
    }
    println!("  sessions     login      list      show    revoke   restart   (ms)");
    for row in table {
        println!(
            "{:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
            row.sessions, row.login_ms, row.list_ms, row.show_ms, row.revoke_ms, row.restart_ms
        );
    }
    Ok(())
}

/// Prints one JSON document.
pub(crate) fn run(service: &Service) -> Result<()> {
    let time = Duration::from_secs(service.seconds);
    let report = service::measure(time, service.sessions, &mut |line| eprintln!("{line}"))?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
