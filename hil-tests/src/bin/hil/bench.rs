//! `hil bench`: what a login costs on the bus and in the processor, what the verifier's cryptography and its methods cost, what
//! the agent of hosts takes, and what the service does under load.

#![expect(clippy::cast_precision_loss, reason = "bytes here are far below 2^52")]

use anyhow::Result;
use assay_hil_tests::measure::bench::{self, BenchReport};
use assay_hil_tests::measure::clouds::{self, Clouds};
use assay_hil_tests::measure::flows::{self, BusFlows, Flow};
use assay_hil_tests::measure::host_agent::{self, HostAgentReport};
use assay_hil_tests::measure::methods::{self, Methods, Rate};
use assay_hil_tests::measure::service::{self, ServiceReport};

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

/// A part of it.
#[derive(clap::Args)]
pub(crate) struct Part {
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// The agent's part.
#[derive(clap::Args)]
pub(crate) struct AgentPart {
    #[command(flatten)]
    part: Part,
    /// The folder with `assayd` and `assay-agent`, both optimised, instead of building them
    #[arg(long, value_name = "DIR")]
    programs: Option<std::path::PathBuf>,
}

/// Judging proofs alone.
pub(crate) fn methods(part: &Part) -> Result<()> {
    let report = methods::run()?;
    if part.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        row("", "measured", "target");
        show_methods(&report);
    }
    Ok(())
}

/// Logins of cloud instances alone.
pub(crate) fn clouds(part: &Part) -> Result<()> {
    let report = clouds::run()?;
    if part.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        row("", "measured", "target");
        show_clouds(&report);
    }
    Ok(())
}

/// A board's login and renewal alone, with and without the sessions that guard its bus.
pub(crate) fn bus(part: &Part) -> Result<()> {
    let report = flows::measure(&mut |line| eprintln!("{line}"))?;
    if part.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        row("", "measured", "");
        show_bus(&report);
    }
    Ok(())
}

/// The agent of hosts alone.
pub(crate) fn agent(options: &AgentPart) -> Result<()> {
    let AgentPart { part, programs } = options;
    let programs = match programs {
        Some(programs) => programs.canonicalize()?,
        None => service::optimised::programs()?,
    };
    let report = host_agent::measure(&programs, bench::AGENT_STARTS, &mut |line| {
        eprintln!("{line}")
    })?;
    if part.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        row("", "measured", "target");
        show_agent(&report);
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
    show_bus(&report.bus);
    show_methods(&report.methods);
    show_clouds(&report.clouds);
    show_agent(&report.host_agent);
    service(&report.service);
}

fn show_bus(bus: &BusFlows) {
    let images = [("secure sessions", &bus.secure), ("plain bus", &bus.plain)];
    for (image, flows) in images {
        show_flow(&format!("cold login, {image}"), &flows.cold_login);
        show_flow(&format!("renewal, {image}"), &flows.renewal);
        show_flow(&format!("warm quote, {image}"), &flows.warm_quote);
    }
}

fn show_flow(name: &str, flow: &Flow) {
    let floor = format!("{} by the floor", flow.spi_bytes_floor);
    row(
        &format!("{name}: SPI bytes"),
        &flow.spi_bytes.to_string(),
        &floor,
    );
    if let Some(theirs) = &flow.wolftpm {
        row(
            "  by wolfTPM",
            &theirs.spi_bytes.to_string(),
            &format!("ours {:.3} of it", theirs.ratio),
        );
    }
    count("  TPM commands", flow.tpm_commands);
    count("  instructions", flow.instructions);
    row(
        "  virtual ms",
        &format!("{:.1}", flow.virtual_ms),
        "without the TPM's own time",
    );
    let chips = flow.estimated_seconds.iter();
    let chips = chips.map(|(chip, seconds)| format!("{chip} {seconds:.2}"));
    let chips: Vec<_> = chips.collect();
    row("  estimated seconds", "", &chips.join(", "));
}

fn show_clouds(clouds: &Clouds) {
    let Clouds { slow, fast, .. } = clouds;
    row(
        "calls of AWS for a fleet's logins",
        &slow.calls.to_string(),
        &format!(
            "{} by the rules; {} logins of {} instances in {} accounts",
            slow.calls_predicted, clouds.logins, clouds.instances, clouds.accounts
        ),
    );
    let cold = format!("{:.1} s", slow.cold_seconds);
    row("  first login of each, all together", &cold, "");
    let fast = format!("{:.0}/s", fast.per_second);
    row("aws_iid logins, AWS at 0 ms", &fast, "");
    let rate = format!("{:.0}/s", slow.per_second);
    let missed = if clouds.ratio < 0.9 { "  MISSED" } else { "" };
    let target = format!("{:.3}   ≥ 0.9{missed}", clouds.ratio);
    row(
        &format!("aws_iid logins, AWS at {} ms", slow.call_ms),
        &rate,
        &target,
    );
}

fn show_methods(methods: &Methods) {
    let judged = methods
        .iter()
        .flat_map(|(method, keys)| keys.iter().map(move |(key, judged)| (method, key, judged)));
    for (method, key, judged) in judged {
        let key = if key == "none" { "" } else { key.as_str() };
        for (state, rate) in [("warm", &judged.warm), ("cold", &judged.cold)] {
            show_rate(&format!("{method} {key} {state}"), rate, state == "warm");
        }
    }
}

/// The target is that of an attestor that knows the keys.
fn show_rate(name: &str, rate: &Rate, is_held: bool) {
    let per_second = format!("{:.0}/s", rate.per_second);
    let target = match rate.ratio {
        None => "no signature".to_owned(),
        Some(ratio) => {
            let missed = if ratio < 0.8 { "  MISSED" } else { "" };
            let target = if is_held { "≥ 0.8" } else { "" };
            let missed = if is_held { missed } else { "" };
            let bare = format!("{ratio:.3} of {} bare", rate.signatures);
            format!("{bare}   {target}{missed}").trim_end().to_owned()
        }
    };
    row(name, &per_second, &target);
}

fn show_agent(agent: &HostAgentReport) {
    let memory = agent.agent_memory;
    let mebibytes = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    at_most(
        "agent's resident memory, MiB",
        mebibytes(memory.resident),
        15.0,
    );
    row(
        "  its own, without files",
        &format!("{:.1}", mebibytes(memory.anonymous)),
        "",
    );
    let first = agent.agent_first_svid_ms;
    at_most("agent's start to its first SVID, ms", first.median, 200.0);
    row("  least", &format!("{:.1}", first.least), "");
    let ran = agent.agent_first_svid_cpu_ms.median;
    row("  agent's processor time", &format!("{ran:.1}"), "");
    let login = agent.agent_login_ms.median;
    row("assay-agent login, ms", &format!("{login:.1}"), "");
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
