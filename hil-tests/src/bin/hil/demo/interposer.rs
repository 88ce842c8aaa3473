//! `hil demo --interposer MODE`: an attack on the TPM's bus, and what the node or the verifier says to it.
//!
//! Firmware, SPI model, attacker and verifier are in one process and in virtual time; the TPM is a software TPM.

use anyhow::{Result, bail};
use assay_hil_tests::manufacture::EkKind;
use assay_hil_tests::scenario::interposer::{Bench, Bus, Report, Verdict};
use assay_host_verifier::document;
use assay_spi_tpm::interposer::{MODES, Mode};
use serde_json::{Value, json};

/// What is to be shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chosen {
    /// The names of all attacks.
    List,
    /// One of them.
    One(&'static Mode),
}

/// An argument as what it names.
pub(super) fn chosen(name: &str) -> Result<Chosen, String> {
    match name {
        "list" => Ok(Chosen::List),
        name => Mode::from_name(name)
            .map(Chosen::One)
            .ok_or_else(|| unknown(name)),
    }
}

/// Shows an attack, or the names of all. The exit status is 0 when it was defeated.
pub(super) fn run(chosen: Chosen, ek: EkKind, is_json: bool) -> Result<()> {
    let Chosen::One(mode) = chosen else {
        return list(is_json);
    };
    if !is_json {
        println!("attack      {}", mode.name);
        println!(
            "stage       {}, {}",
            mode.stage.name(),
            mode.operation.name()
        );
        println!("tries       {}", mode.tries);
        println!("EK          {ek}\n");
    }
    let mut reports = Vec::new();
    for bus in Bus::ALL {
        let report = Bench::new(ek)?.run(mode, bus)?;
        if !is_json {
            show(&report);
        }
        reports.push(report);
    }
    let fell = reports.last().filter(|last| !last.verdict.is_defeated());
    if is_json {
        let runs: Vec<_> = reports.iter().map(document).collect();
        let document = json!({
            "mode": mode.name,
            "stage": mode.stage.name(),
            "operation": mode.operation.name(),
            "tries": mode.tries,
            "ek": ek.name(),
            "runs": runs,
            "defeated": fell.is_none(),
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    }
    match fell {
        Some(report) => bail!(
            "the attack `{}` was not defeated: the attacker has {}",
            mode.name,
            report.gained.as_deref().unwrap_or("what he wanted")
        ),
        None => Ok(()),
    }
}

fn list(is_json: bool) -> Result<()> {
    if is_json {
        let modes = Mode::all().map(|mode| {
            json!({
                "mode": mode.name,
                "stage": mode.stage.name(),
                "operation": mode.operation.name(),
                "tries": mode.tries,
            })
        });
        println!(
            "{}",
            serde_json::to_string_pretty(&modes.collect::<Vec<_>>())?
        );
        return Ok(());
    }
    for modes in MODES {
        for mode in *modes {
            println!("  {:<20} {}", mode.name, mode.tries);
        }
    }
    Ok(())
}

/// What to say to a name that no attack has: which is spelt most like it, and which others have a word of it.
fn unknown(name: &str) -> String {
    let alike = Mode::all().map(|mode| mode.name).filter(|known| {
        name.split('-')
            .any(|word| known.split('-').any(|own| own == word))
    });
    let nearest = document::nearest(name, Mode::all().map(|mode| mode.name));
    let others = alike.filter(|known| Some(*known) != nearest);
    let alike: Vec<_> = nearest.into_iter().chain(others).take(5).collect();
    let meant = match alike.as_slice() {
        [] => String::new(),
        alike => format!("did you mean {}? ", alike.join(", ")),
    };
    format!("no attack `{name}`: {meant}`./x demo --interposer list` names all of them")
}

fn show(report: &Report) {
    let did = if report.deeds.is_empty() {
        "nothing: the node says no such thing".to_owned()
    } else {
        let times = match report.strikes {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        format!("{} ({times})", report.deeds.join("; "))
    };
    println!("{} bus", report.bus.name());
    println!("  attacker  {did}");
    println!("  node      {}", report.node_said);
    if let Some(said) = &report.verifier_said {
        println!("  verifier  {said}");
    }
    println!("  outcome   {}\n", outcome(report));
}

fn outcome(report: &Report) -> String {
    match report.verdict {
        Verdict::Node(code) => format!("defeated: the node gave up with {code}"),
        Verdict::Verifier(code) => format!("defeated: the verifier's word is {code}"),
        Verdict::Harmless => {
            "harmless: the session is the one of a node without an attacker".into()
        }
        Verdict::Absent => "nothing to attack on this bus".into(),
        Verdict::Fell => format!(
            "SUCCEEDS: the attacker has {}",
            report.gained.as_deref().unwrap_or("what he wanted")
        ),
    }
}

fn document(report: &Report) -> Value {
    let (outcome, code) = match report.verdict {
        Verdict::Node(code) => ("node", Some(code.to_string())),
        Verdict::Verifier(code) => ("verifier", Some(code.to_string())),
        Verdict::Harmless => ("harmless", None),
        Verdict::Absent => ("absent", None),
        Verdict::Fell => ("succeeds", None),
    };
    json!({
        "bus": report.bus.name(),
        "deeds": report.deeds,
        "strikes": report.strikes,
        "node": report.node_said,
        "verifier": report.verifier_said,
        "outcome": outcome,
        "code": code,
        "gained": report.gained,
    })
}
