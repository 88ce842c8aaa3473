//! `hil bench`: what a login costs on the bus and in the processor, what the verifier's cryptography costs, and what the
//! service does under load.

use anyhow::Result;
use assay_hil_tests::measure::bench::{self, BenchReport};
use assay_hil_tests::measure::service::ServiceReport;

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
    row("", "measured", "target");
    count("SPI bytes of a cold login", login.spi_bytes);
    count("  floor for the same commands", login.spi_bytes_floor);
    at_most("  ratio", report.spi_bytes_ratio, 1.05);
    count("  commands and responses alone", login.tpm_bytes);
    count("  chip selects", login.chip_selects);
    count("  TPM commands", login.tpm_commands);
    count("instructions of a cold login", login.instructions);
    for (step, instructions) in &login.instructions_by_step {
        count(&format!("  {step}"), *instructions);
    }
    at_most(
        "  standard error, relative",
        report.instructions_error,
        0.01,
    );
    let (ratio, ours, bare) = (
        crypto.verify_ratio,
        crypto.verify_per_second,
        crypto.bare_verify_per_second,
    );
    per_second(
        "quotes judged, RSA-2048",
        ours.rsa2048,
        bare.rsa2048,
        ratio.rsa2048,
    );
    per_second("quotes judged, P-256", ours.p256, bare.p256, ratio.p256);
    let (ratio, ours, bare) = (
        crypto.make_credential_ratio,
        crypto.make_credential_per_second,
        crypto.bare_make_credential_per_second,
    );
    per_second(
        "credentials made, RSA-2048",
        ours.rsa2048,
        bare.rsa2048,
        ratio.rsa2048,
    );
    per_second("credentials made, P-256", ours.p256, bare.p256, ratio.p256);
    service(&report.service);
}

/// Targets are of one processor that nothing else uses.
fn service(report: &ServiceReport) {
    let (cpu, clock) = (report.logins_per_cpu_second, report.logins_per_second);
    at_least("logins per CPU second, P-256", cpu.p256, 2_500.0);
    at_least("logins per CPU second, RSA-2048", cpu.rsa2048, 3_500.0);
    at_least("logins per second, P-256", clock.p256, 2_000.0);
    row(
        "logins per second, RSA-2048",
        &format!("{:.0}", clock.rsa2048),
        "",
    );
    for (name, microseconds) in report.cpu_us_per_login.rows() {
        row(
            &format!("  of a P-256 login: {name}"),
            &format!("{microseconds:.0} µs"),
            "",
        );
    }
    let renewals = report.renewals_per_cpu_second;
    at_least("renewals per CPU second, P-256", renewals.p256, 4_000.0);
    at_least(
        "renewals per CPU second, RSA-2048",
        renewals.rsa2048,
        4_000.0,
    );
    let half = report.login_ms_at_half_load;
    row(
        "login at half load, median",
        &format!("{:.1} ms", half.p50),
        "",
    );
    row("  99 in a hundred", &format!("{:.1} ms", half.p99), "");
    let (memory, rows) = (report.memory_per_session_bytes, report.store_rows_per_login);
    at_most("memory per live session, bytes", memory, 2_048.0);
    row("rows per login", &rows.to_string(), "");
    row(
        "bytes to disk per login",
        &report.disk_bytes_per_login.to_string(),
        "",
    );
}

fn at_least(name: &str, value: f64, least: f64) {
    let missed = if value < least { "  MISSED" } else { "" };
    row(name, &format!("{value:.0}"), &format!("≥ {least}{missed}"));
}

fn per_second(name: &str, ours: f64, bare: f64, ratio: f64) {
    row(&format!("{name}, per second"), &format!("{ours:.0}"), "");
    row("  bare aws-lc in the same run", &format!("{bare:.0}"), "");
    let missed = if ratio < 0.9 { "  MISSED" } else { "" };
    row("  ratio", &format!("{ratio:.3}"), &format!("≥ 0.9{missed}"));
}

fn at_most(name: &str, value: f64, most: f64) {
    let missed = if value > most { "  MISSED" } else { "" };
    row(name, &format!("{value:.4}"), &format!("≤ {most}{missed}"));
}

fn count(name: &str, value: u64) {
    row(name, &value.to_string(), "");
}

fn row(name: &str, value: &str, target: &str) {
    println!("{name:<40} {value:>12}   {target}");
}
