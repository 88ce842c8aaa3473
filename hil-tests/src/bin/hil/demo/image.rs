//! `hil demo --image`: a board that boots an image that is registered, one that was tampered with, or one that nobody knows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use assay_hil_tests::board::{self, Board, IMAGE_START, Profile, symbol_address};
use assay_hil_tests::manufacture::{Recipe, cache};
use assay_hil_tests::scenario::live::{Live, Options, Reference, VerifierEvent};
use assay_hil_tests::scenario::loopback;
use serde_json::{Value, json};

use super::{Demo, LOGIN_LIMIT, chosen, tell};

/// What the board boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Booted {
    /// The image that is registered.
    Good,
    /// The same with one bit of it changed, which changes nothing that it does.
    Tampered,
    /// An image that nobody registered.
    Unknown,
}

impl Booted {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Tampered => "tampered",
            Self::Unknown => "unknown",
        }
    }

    /// The check that refuses it.
    const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::Tampered => Some("image-digest"),
            Self::Unknown => Some("image-unknown"),
        }
    }
}

/// A text in every image of a Cortex-M board: what a fault says last. One letter of it is the whole attack.
const TEXT: &[u8] = b"CFSR";

pub(super) fn run(demo: &Demo, booted: Booted) -> Result<()> {
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
    let built = board::build(&board, Profile::Firmware)?;
    if symbol_address(&built, IMAGE_START)?.is_none() {
        let emulated = |one: &Board| one.manifest.qemu.is_some() && one.measures_itself();
        let others = board::all()?.into_iter().filter(emulated);
        let names: Vec<_> = others.map(|one| one.name).collect();
        bail!(
            "boards/{} does not measure what it boots\nhint: {} do, of those that QEMU can run; docs/measured-boot.md says what a board needs for it",
            board.name,
            names.join(", ")
        );
    }
    let folder = tempfile::Builder::new().prefix("assay-").tempdir()?;
    let tpm = cache::copy(&Recipe::with([demo.ek]), &folder.path().join("made"))?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut references = Vec::new();
    if booted == Booted::Unknown {
        say("nothing is registered at the verifier");
    } else {
        say(&format!(
            "assay image register {} --erased 00 --name {} --version {version}",
            file_name(&built),
            board.name
        ));
        references.push(Reference {
            elf: built.clone(),
            name: board.name.clone(),
            version: version.clone(),
        });
    }
    let image = match booted {
        Booted::Tampered => {
            say("one bit of the image is changed before it is flashed");
            tamper(&built, folder.path())?
        }
        _ => built,
    };
    let options = Options {
        policy: Some(loopback::measured_policy(
            &[&tpm.root_ca(), &tpm.intermediate_ca()],
            &board.name,
        )),
        references,
        ..Options::default()
    };
    say(&format!(
        "the policy wants the image {}; the board boots\n",
        board.name
    ));
    let live = Live::start(&board, &image, &tpm, folder.path(), &options)?;
    let mut refused = None;
    let end = live.finish(LOGIN_LIMIT, &mut |event| {
        if event.outcome != "ok" && event.method.as_deref() == Some("tpm_quote") {
            refused.get_or_insert_with(|| event.detail.clone());
        }
        if !demo.json {
            tell(event, live.qemu.elapsed(), &live.commands(Duration::ZERO));
        }
    });
    let end = end.with_context(|| format!("assayd says:\n{}", live.assayd.log()))?;
    let document = match booted.refusal() {
        None => accepted(&end, &board.name, &version)?,
        Some(check) => refusal(&end, refused.as_deref(), check)?,
    };
    live.end()?;
    if demo.json {
        let mut document = document;
        super::fill(&mut document, "image", Some(json!(booted.name())));
        super::fill(&mut document, "board", Some(json!(board.name)));
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        show(&document);
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |n| n.to_string_lossy().into_owned(),
    )
}

/// A copy of the image that differs in one bit of a text.
fn tamper(built: &Path, folder: &Path) -> Result<PathBuf> {
    let mut elf = std::fs::read(built)?;
    let at = elf.windows(TEXT.len()).position(|w| w == TEXT);
    let byte = at.and_then(|at| elf.get_mut(at));
    *byte.context("the image has no text to change")? ^= 1;
    let path = folder.join("tampered.elf");
    std::fs::write(&path, elf)?;
    Ok(path)
}

fn accepted(end: &VerifierEvent, name: &str, version: &str) -> Result<Value> {
    if !end.is_granted() {
        bail!("the good image was refused: {}", end.detail);
    }
    let attributes = end.attributes.clone().unwrap_or_default();
    let image = ["name", "version", "digest"].map(|field| {
        let value = attributes.get(&format!("tpm_quote.image.{field}"));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    });
    let [named, of_version, digest] = image;
    if named != name || of_version != version {
        bail!("the image was taken for {named} {of_version}");
    }
    Ok(json!({
        "granted": true,
        "name": named,
        "version": of_version,
        "digest": digest,
        "boot_counter": attributes.get("tpm_quote.boot_counter"),
        "spiffe_id": end.spiffe_id,
    }))
}

fn refusal(end: &VerifierEvent, detail: Option<&str>, check: &str) -> Result<Value> {
    if end.is_granted() {
        bail!("an image that must be refused was accepted");
    }
    let detail = detail.with_context(|| format!("refused for another reason: {}", end.detail))?;
    if !detail.contains(check) {
        bail!("refused for another reason: {detail}");
    }
    Ok(json!({ "granted": false, "code": end.code, "check": check, "reason": detail }))
}

fn show(document: &Value) {
    let text = |name: &str| match document.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    if document.get("granted") == Some(&Value::Bool(true)) {
        println!("\naccepted    {} {}", text("name"), text("version"));
        println!("digest      {}", text("digest"));
        println!("boot        {}", text("boot_counter"));
        println!("SPIFFE ID   {}", text("spiffe_id"));
    } else {
        println!("\nrefused     {}", text("reason"));
        println!("the node    is told: {}", text("code"));
    }
}
