//! `hil soak`: half a day of a node's life, in which everything goes wrong that can.

use std::time::{Duration, Instant};

use anyhow::Result;
use assay_hil_tests::soak::{Report, Soak};

/// Run a soak.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Logins that must succeed
    #[arg(default_value_t = 10_000)]
    logins: u64,
    /// Where the random numbers begin; the same seed gives the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("assay-soak-").tempdir()?;
    let soak = Soak {
        logins: args.logins,
        seed: args.seed,
    };
    let (started, mut told) = (Instant::now(), Instant::now());
    let report = soak.run(folder.path(), &mut |report| {
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            let (logins, attempts) = (report.logins, report.attempts);
            eprintln!("{logins} of {} logins, {attempts} attempts", args.logins);
        }
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, started.elapsed());
    }
    Ok(())
}

fn print(report: &Report, took: Duration) {
    let (hours, minutes) = (
        report.virtual_seconds / 3_600,
        report.virtual_seconds / 60 % 60,
    );
    println!(
        "{hours} h {minutes} min of a node's life in {} s",
        took.as_secs()
    );
    let showed: u64 = report.disturbances.values().sum();
    for (what, number) in [
        ("logins", report.logins),
        ("attempts", report.attempts),
        ("disturbances that showed", showed),
        (
            "attempts of the longest recovery",
            report.longest_recovery.into(),
        ),
        (
            "µs, the longest without a kick",
            report.longest_without_kick_us,
        ),
        ("SPI bytes of a login at the beginning", report.bytes_first),
        ("SPI bytes of a login at the end", report.bytes_last),
        (
            "objects in the TPM, at most",
            report.most_in_tpm.objects as u64,
        ),
        (
            "sessions in the TPM, at most",
            report.most_in_tpm.sessions as u64,
        ),
        (
            "NV indices, as at the beginning",
            report.most_in_tpm.indices as u64,
        ),
    ] {
        println!("{number:>12}  {what}");
    }
    println!("what failed attempts ended with:");
    for (failure, number) in &report.failures {
        println!("{number:>12}  {failure}");
    }
}
