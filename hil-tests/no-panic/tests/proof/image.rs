//! Builds the image.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// A processor of boards that are shipped. What can panic is the sources' doing, and nothing in them asks for the processor.
const TARGET: &str = "thumbv7em-none-eabihf";
/// As images are built, but optimised for proofs: see Cargo.toml.
const PROFILE: &str = "no-panic";

/// The images have one name: one build, and what reads its image, at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Links the image with features, and returns what the compiler said when it does not.
pub(super) fn build(features: &[&str]) -> Result<(), String> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    run(features)
}

/// Where an image with features can panic.
pub(super) fn places_of(features: &[&str]) -> BTreeSet<String> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    run(features).expect("it links whether or not it can panic");
    super::places::read(&target_dir().join(TARGET).join(PROFILE).join("no-panic"))
}

fn run(features: &[&str]) -> Result<(), String> {
    let features = [&["image"], features].concat().join(",");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "assay-no-panic"])
        .args([
            "--bin",
            "no-panic",
            "--no-default-features",
            "--features",
            &features,
        ])
        .args(["--target", TARGET, "--profile", PROFILE])
        .env("CARGO_TARGET_DIR", target_dir())
        .current_dir(super::workspace())
        .output()
        .expect("cargo starts");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Where boards are built, too.
fn target_dir() -> PathBuf {
    std::env::var_os("ASSAY_BOARD_TARGET_DIR")
        .map_or_else(|| super::workspace().join("target/boards"), PathBuf::from)
}
