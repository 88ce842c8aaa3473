//! `hil demo`: boots a board in QEMU and shows its login step by step, its SVID, and the renewal of its session.

mod image;
mod interposer;
mod renewal;
mod steps;
mod traces;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use assay_hil_tests::board::{self, Board, Profile, TpmSource};
use assay_hil_tests::manufacture::{EkKind, Recipe, cache};
use assay_hil_tests::qemu::locate::Installation;
use assay_hil_tests::qemu::{CommandEvent, QemuError, symbols};
use assay_hil_tests::scenario::live::{Live, Options, VerifierEvent};
use serde_json::{Value, json};

use self::renewal::{renewal, show_svid, svid_document};
use self::steps::{Step, steps};
use self::traces::Traces;

/// The board of the demo.
const BOARD: &str = "stm32f405";
const LOGIN_LIMIT: Duration = Duration::from_secs(60);
/// The verifier reports a login, or a renewal, before its last message has crossed the line.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The shortest that a verifier grants, so that nobody waits long for its renewal, which comes half-way.
const SESSION: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Which board [default: stm32f405, or mps2-an386 where this QEMU cannot load the overlay]
    #[arg(long)]
    board: Option<String>,
    /// Which EK certificate the TPM has
    #[arg(long, default_value = "p256", value_name = "rsa2048|p256|p384")]
    ek: EkKind,
    /// Write the login's evidence to files that tpm2-tools and openssl read
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// End with the session, and do not wait half a minute for its renewal
    #[arg(long)]
    no_renewal: bool,
    /// Show measured boot: what the board boots, and what the verifier says to it
    #[arg(long, value_name = "good|tampered|unknown")]
    image: Option<image::Booted>,
    /// Put an attacker on the TPM's bus and show what comes of it; `list` names the attacks
    #[arg(long, value_name = "MODE", value_parser = interposer::chosen, conflicts_with_all = ["board", "evidence", "no_renewal", "image"])]
    interposer: Option<interposer::Chosen>,
    /// Print one JSON document instead of the steps
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(demo: &Demo) -> Result<()> {
    if let Some(booted) = demo.image {
        return image::run(demo, booted);
    }
    if let Some(mode) = demo.interposer {
        return interposer::run(mode, demo.ek, demo.json);
    }
    let say = |text: &str| {
        if !demo.json {
            println!("{text}");
        }
    };
    let board = chosen(demo)?;
    say(&format!(
        "building boards/{} for {}",
        board.name, board.manifest.target
    ));
    let image = board::build(&board, Profile::Firmware)?;
    say(&format!(
        "manufacturing a software TPM with an EK certificate for {}",
        demo.ek.name()
    ));
    let folder = tempfile::Builder::new().prefix("assay-").tempdir()?;
    let tpm = cache::copy(&Recipe::with([demo.ek]), &folder.path().join("made"))?;
    say("starting assayd on SQLite, and the board in QEMU\n");
    let traces = Traces::new(&board.name)?;
    let options = Options {
        session: Some(SESSION),
        verifier: Some(traces.folder().to_owned()),
        ..Options::default()
    };
    let mut live = Live::start(&board, &image, &tpm, folder.path(), &options)?;

    let mut commands = Vec::new();
    let end = live.finish(LOGIN_LIMIT, &mut |event| {
        commands.extend(live.commands(Duration::ZERO));
        if !demo.json {
            tell(event, live.qemu.elapsed(), &commands);
        }
    });
    let end = end.with_context(|| format!("assayd says:\n{}", live.assayd.log()))?;
    // What has not crossed by then is missing below.
    let _ = live.tap.wait_for(&["granted", "denied"], ANSWER_LIMIT);
    let elapsed = live.qemu.elapsed();
    let frames = live.tap.seen();
    commands.extend(live.commands(Duration::from_millis(50)));
    let has_spi = board
        .manifest
        .qemu
        .as_ref()
        .is_some_and(|m| m.has_spi_tpm());
    let steps = steps(&frames, has_spi.then_some(commands.as_slice()));
    let evidence = live.tap.evidence();
    if let Some(folder) = &demo.evidence {
        evidence
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error:#}"))?
            .write(folder)?;
        // What vouches for the EK certificate, for `openssl verify` and `assay ek check`.
        std::fs::copy(tpm.root_ca(), folder.join("ca.pem"))?;
        std::fs::copy(tpm.intermediate_ca(), folder.join("intermediate.pem"))?;
    }
    if !end.is_granted() {
        bail!(
            "login denied ({}): {}",
            end.code.as_deref().unwrap_or("?"),
            end.detail
        );
    }
    let certificate = evidence
        .map(|evidence| evidence.ek_certificate)
        .unwrap_or_default();
    let svid = live.tap.svid()?;
    let mut document = document(&board.name, &end, &steps, &commands, &certificate, elapsed);
    fill(&mut document, "svid", svid.as_ref().map(svid_document));
    if !demo.json {
        show(&document, &steps)?;
        show_svid(svid.as_ref());
        if let Some(folder) = &demo.evidence {
            println!("evidence    {}", folder.display());
        }
    }
    if !demo.no_renewal {
        say(&format!(
            "\nwaiting for the renewal, half-way through the session of {} s",
            SESSION.as_secs()
        ));
        let renewal = renewal(&live, &commands)?;
        if !demo.json {
            renewal.show();
        }
        fill(&mut document, "renewal", Some(renewal.document()));
    }
    live.assayd.settle()?;
    live.end()?;
    let session = document.pointer("/session/id").and_then(Value::as_str);
    let commands = traces.keep(session.context("a session has a name")?)?;
    if !demo.json {
        commands.show();
    }
    fill(&mut document, "commands", Some(json!(commands.0)));
    if demo.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    }
    Ok(())
}

fn fill(document: &mut Value, name: &str, value: Option<Value>) {
    if let Some(document) = document.as_object_mut() {
        document.insert(name.to_owned(), value.unwrap_or(Value::Null));
    }
}

/// The board that is asked for, if QEMU can run it: said before anything is built.
fn chosen(demo: &Demo) -> Result<Board> {
    let Some(name) = &demo.board else {
        return default_board();
    };
    let board = board::find(name)?;
    if board.manifest.qemu.is_none() {
        let all = board::all()?.into_iter();
        let emulated = all.filter(|board| board.manifest.qemu.is_some());
        let names: Vec<_> = emulated.map(|board| board.name).collect();
        bail!(
            "QEMU cannot run boards/{name}\nhint: it can run {}; boards/{name}/README.md says how to flash the real one",
            names.join(", ")
        );
    }
    Ok(board)
}

/// The board that is flashed to hardware, or, in a QEMU that cannot load the overlay, the one that needs none.
fn default_board() -> Result<Board> {
    let board = board::find(BOARD)?;
    let Some(machine) = board.manifest.qemu.as_ref() else {
        return Ok(board);
    };
    let qemu = Installation::find(&machine.binary)?;
    match symbols::check(&qemu.binary) {
        Ok(()) => Ok(board),
        Err(error @ QemuError::Symbol { .. }) => {
            let bridged = |board: &Board| {
                let machine = board.manifest.qemu.as_ref();
                machine.is_some_and(|machine| machine.tpm == TpmSource::Bridge)
            };
            let fallback = board::all()?.into_iter().find(bridged).ok_or(error)?;
            eprintln!(
                "note: {} cannot load the overlay, so this is boards/{} instead of boards/{BOARD}",
                qemu.binary.display(),
                fallback.name
            );
            Ok(fallback)
        }
        Err(error) => Err(error.into()),
    }
}

/// One line: milliseconds and SPI bytes since power-on, and what the verifier found out.
fn tell(event: &VerifierEvent, at: Duration, commands: &[CommandEvent]) {
    let mark = if event.outcome == "ok" { "ok" } else { "!!" };
    let method = event.method.as_deref().unwrap_or_default();
    let bytes = commands.last().map(|c| c.total_bytes.to_string());
    let line = format!(
        "  {mark} {:>6} ms {:>6} B  {:<10} {method:<10} {}",
        at.as_millis(),
        bytes.as_deref().unwrap_or("-"),
        event.step,
        event.detail
    );
    println!("{}", line.trim_end());
    let _ = std::io::stdout().flush();
}

fn document(
    board: &str,
    end: &VerifierEvent,
    steps: &[Step],
    commands: &[CommandEvent],
    certificate: &[u8],
    elapsed: Duration,
) -> Value {
    let attributes = end.attributes.clone().unwrap_or_default();
    let attribute = |name: &str| attributes.get(name).cloned().unwrap_or(Value::Null);
    // Null where no TPM is on SPI: a login that clocked nothing there has not clocked 0 bytes.
    let last = commands.last();
    json!({
        "board": board,
        "tpm": {
            "manufacturer": attribute("tpm_ek.manufacturer"),
            "ek_hash": attribute("tpm_ek.public_hash"),
            "ek_certificate": pem(certificate),
        },
        "steps": steps.iter().map(|step| json!({
            "name": step.name,
            "ms": (step.ms * 1e3).round() / 1e3,
            "spi_bytes": step.spi_bytes,
        })).collect::<Vec<_>>(),
        "spi": {
            "bytes": last.map(|c| c.total_bytes),
            "chip_selects": last.map(|c| c.total_chip_selects),
        },
        "attributes": attributes,
        "policy": end.policy,
        "spiffe_id": end.spiffe_id,
        "session": end.session,
        "elapsed_ms": (elapsed.as_secs_f64() * 1e6).round() / 1e3,
    })
}

fn pem(certificate: &[u8]) -> Value {
    use base64::Engine;
    if certificate.is_empty() {
        return Value::Null;
    }
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut lines = String::from("-----BEGIN CERTIFICATE-----\n");
    for chunk in text.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(chunk));
        lines.push('\n');
    }
    lines.push_str("-----END CERTIFICATE-----\n");
    Value::from(lines)
}

fn show(document: &Value, steps: &[Step]) -> Result<()> {
    println!("\n  step          ms   SPI bytes");
    for step in steps {
        println!(
            "  {:<10} {:>7.1} {:>9}   {}",
            step.name,
            step.ms,
            step.spi_bytes
                .map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            step.what
        );
    }
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let at = |pointer: &str| document.pointer(pointer).map(text).unwrap_or_default();
    println!("\nattributes");
    for (name, value) in document
        .pointer("/attributes")
        .and_then(Value::as_object)
        .context("attributes")?
    {
        println!("  {name} = {}", text(value));
    }
    println!("\npolicy      {}", at("/policy"));
    println!("SPIFFE ID   {}", at("/spiffe_id"));
    println!("session     {}", at("/session/id"));
    println!("expires     {}", at("/session/expires_at"));
    if document.pointer("/spi/bytes").is_some_and(Value::is_u64) {
        println!(
            "SPI         {} bytes in {} chip selects",
            at("/spi/bytes"),
            at("/spi/chip_selects")
        );
    } else {
        println!("SPI         none: this machine's TPM is memory-mapped");
    }
    let elapsed = document.pointer("/elapsed_ms").and_then(Value::as_f64);
    println!(
        "took        {:.0} ms from power-on to session",
        elapsed.unwrap_or_default()
    );
    Ok(())
}
