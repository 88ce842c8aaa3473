//! `hil soak`: two days of a node's life, in which everything goes wrong that can.

use std::time::{Duration, Instant};

use anyhow::Result;
use assay_hil_tests::soak::{ATTEMPTS, Part, Report, Soak, WATCHDOG, most_bytes};
use clap::ValueEnum;
use clap::builder::PossibleValue;

/// A part, on the command line.
#[derive(Debug, Clone, Copy)]
struct Named(Part);

impl ValueEnum for Named {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Named; Part::ALL.len()] = {
            let [renewal, pin, measured_boot, power_cuts] = Part::ALL;
            [
                Named(renewal),
                Named(pin),
                Named(measured_boot),
                Named(power_cuts),
            ]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

/// Run a soak.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Logins that must succeed
    #[arg(default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    logins: u64,
    /// Where the random numbers begin; the same seed gives the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the node does without, of what one in the field has; it has all of it unless it is told otherwise
    #[arg(long, value_delimiter = ',')]
    without: Vec<Named>,
    /// One JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("assay-soak-").tempdir()?;
    let soak = Soak {
        logins: args.logins,
        seed: args.seed,
        parts: Part::ALL
            .into_iter()
            .filter(|part| !args.without.iter().any(|Named(without)| without == part))
            .collect(),
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
    let parts: Vec<_> = report.parts.iter().map(|part| part.name()).collect();
    println!("with {}", parts.join(", "));
    let within = |limit: u64| format!("at most {limit}");
    let none = String::new;
    println!("{:>12}  {:<46}  limit", "number", "of");
    for (what, number, limit) in [
        ("logins", report.logins, none()),
        ("renewals", report.renewals, none()),
        ("starts of the board", report.boots, none()),
        (
            "starts that a loss of power cut short",
            report.power_cuts,
            none(),
        ),
        (
            "restarts for a TPM that was reset alone",
            report.restarts,
            none(),
        ),
        (
            "evictions that the verifier wanted for it",
            report.evictions,
            none(),
        ),
        (
            "power cycles of a board that was reset alone",
            report.power_cycles,
            none(),
        ),
        ("attempts", report.attempts, none()),
        ("disturbances that showed", report.disturbed, none()),
        (
            "attempts of the longest recovery",
            report.longest_recovery.into(),
            within(u64::from(ATTEMPTS) - 1),
        ),
        (
            "µs, the model's longest wait without a kick",
            report.longest_wait_without_kick_us,
            within(u64::try_from(WATCHDOG.as_micros()).unwrap_or(u64::MAX)),
        ),
        (
            "SPI bytes of a login at the beginning",
            report.bytes_first,
            none(),
        ),
        (
            "SPI bytes of a login at the end",
            report.bytes_last,
            within(most_bytes(report.bytes_first)),
        ),
        (
            "objects in the TPM, at most",
            report.most_in_tpm.objects as u64,
            "what the driver holds".to_owned(),
        ),
        (
            "sessions in the TPM, at most",
            report.most_in_tpm.sessions as u64,
            "what the driver holds".to_owned(),
        ),
        (
            "NV indices",
            report.most_in_tpm.indices as u64,
            "as at the beginning".to_owned(),
        ),
    ] {
        println!(
            "{}",
            format!("{number:>12}  {what:<46}  {limit}").trim_end()
        );
    }
    println!("what was done to the node, and showed:");
    for (kind, number) in &report.disturbances {
        println!("{number:>12}  {kind}");
    }
    println!("what failed attempts ended with:");
    for (failure, number) in &report.failures {
        println!("{number:>12}  {failure}");
    }
    println!(
        "every promise held: nothing leaked or grew, no wait was without a kick, and the node always came back (docs/faults.md)"
    );
}
