//! `hil bench`: what a login costs on the bus and in the processor, and what the verifier's cryptography costs.

use anyhow::Result;
use assay_hil_tests::measure::bench::{self, BenchReport};

#[derive(clap::Args)]
pub(crate) struct Bench {
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Reports; a target that is missed shows in the table and is no failure, since a busy machine can cause it.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    // Progress never mixes with the document.
    let report = bench::measure(&mut |line| eprintln!("{line}"))?;
    if bench.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        show(&report);
    }
    Ok(())
}

fn show(report: &BenchReport) {
    let (login, crypto) = (&report.login, &report.crypto);
    let row =
        |name: &str, value: String, target: &str| println!("{name:<34} {value:>12}   {target}");
    row("", "measured".to_owned(), "target");
    row("SPI bytes of a cold login", login.spi_bytes.to_string(), "");
    row(
        "  floor for the same commands",
        login.spi_bytes_floor.to_string(),
        "",
    );
    row(
        "  ratio",
        format!("{:.3}", report.spi_bytes_ratio),
        met(report.spi_bytes_ratio <= 1.05, "≤ 1.05"),
    );
    row(
        "  commands and responses alone",
        login.tpm_bytes.to_string(),
        "",
    );
    row("  chip selects", login.chip_selects.to_string(), "");
    row("  TPM commands", login.tpm_commands.to_string(), "");
    row(
        "instructions of a cold login",
        login.instructions.to_string(),
        "",
    );
    for (step, count) in &login.instructions_by_step {
        row(&format!("  {step}"), count.to_string(), "");
    }
    row(
        "  spread from run to run",
        format!("{:.2} %", report.instructions_spread * 100.0),
        met(report.instructions_spread <= 0.01, "≤ 1 %"),
    );
    for (name, ratio, ours, bare) in [
        (
            "quotes judged",
            crypto.verify_ratio,
            crypto.verify_per_second,
            crypto.bare_verify_per_second,
        ),
        (
            "credentials made",
            crypto.make_credential_ratio,
            crypto.make_credential_per_second,
            crypto.bare_make_credential_per_second,
        ),
    ] {
        for (key, ratio, ours, bare) in [
            ("RSA-2048", ratio.rsa2048, ours.rsa2048, bare.rsa2048),
            ("P-256", ratio.p256, ours.p256, bare.p256),
        ] {
            row(
                &format!("{name} per second, {key}"),
                format!("{ours:.0}"),
                "",
            );
            row("  bare aws-lc in the same run", format!("{bare:.0}"), "");
            row("  ratio", format!("{ratio:.3}"), met(ratio >= 0.9, "≥ 0.9"));
        }
    }
}

fn met(is_met: bool, target: &'static str) -> &'static str {
    match (is_met, target) {
        (true, target) => target,
        (false, "≤ 1.05") => "≤ 1.05  MISSED",
        (false, "≤ 1 %") => "≤ 1 %  MISSED",
        (false, _) => "≥ 0.9  MISSED",
    }
}
