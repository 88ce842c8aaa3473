//! Building and linting a board for its own target.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Board, workspace_root};

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The one that is flashed.
    Firmware,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
        }
    }
}

/// Builds a board and returns its ELF. Boards build in a target folder of their own, so that a test which needs an
/// image never waits for the build that started the test.
///
/// # Errors
///
/// When the build fails; cargo's own output has gone to stderr.
pub fn build(board: &Board, profile: Profile) -> Result<PathBuf> {
    build_with(board, profile, &[])
}

/// The image whose bus nobody guards: without the sessions of the feature `secure-bus`, to tell what they cost.
///
/// # Errors
///
/// When the build fails; cargo's own output has gone to stderr.
pub fn build_plain(board: &Board, profile: Profile) -> Result<PathBuf> {
    // In a folder of its own: the path of the image is the same.
    build_in(
        &target_dir().join("plain"),
        board,
        profile,
        &board.package,
        &["--no-default-features"],
    )
}

/// The same with cargo features of the board. Such an image has a target folder of its own, so that it never takes the place
/// of the plain one under somebody's feet.
///
/// # Errors
///
/// When the build fails; cargo's own output has gone to stderr.
pub fn build_with(board: &Board, profile: Profile, features: &[String]) -> Result<PathBuf> {
    let target_dir = match features {
        [] => target_dir(),
        _ => target_dir().join("with").join(features.join("+")),
    };
    build_in(
        &target_dir,
        board,
        profile,
        &board.package,
        &["--features", &features.join(",")],
    )
}

/// Builds a board's bring-up image and returns its ELF: a binary of its own, or the board's own binary with the feature `console`.
///
/// # Errors
///
/// When the board has none, or the build fails; cargo's own output has gone to stderr.
pub fn build_bringup(board: &Board, profile: Profile) -> Result<PathBuf> {
    let console = "console".to_owned();
    if !board.manifest.bringup && board.manifest.features.contains(&console) {
        return build_with(board, profile, &[console]);
    }
    if !board.manifest.bringup {
        bail!(
            "boards/{} has no bring-up image (neither `bringup` nor the feature `console` in its manifest)",
            board.name
        );
    }
    // Another binary, so the same folder does.
    let binary = format!("{}-bringup", board.package);
    let features = ["--features", "console"];
    build_in(&target_dir(), board, profile, &binary, &features)
}

/// Builds a board's image with the asynchronous driver and returns its ELF.
///
/// # Errors
///
/// When the board has none, or the build fails; cargo's own output has gone to stderr.
pub fn build_embassy(board: &Board, profile: Profile) -> Result<PathBuf> {
    if board.manifest.embassy.is_none() {
        bail!(
            "boards/{} has no image under embassy (`embassy` in its manifest)",
            board.name
        );
    }
    let binary = format!("{}-embassy", board.package);
    let features = ["--features", "embassy"];
    build_in(&target_dir(), board, profile, &binary, &features)
}

fn build_in(
    target_dir: &Path,
    board: &Board,
    profile: Profile,
    binary: &str,
    features: &[&str],
) -> Result<PathBuf> {
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--locked", "-p", &board.package])
        .args(["--bin", binary])
        .args([
            "--target",
            &board.manifest.target,
            "--profile",
            profile.name(),
        ])
        .args(features)
        .args(same_paths(&board.manifest.target))
        .env("CARGO_TARGET_DIR", target_dir)
        .current_dir(workspace_root());
    if features
        .iter()
        .any(|list| list.split(',').any(|feature| feature == "defmt"))
        && std::env::var_os("DEFMT_LOG").is_none()
    {
        // Without it only errors are in the image, and an empty log looks like a broken one.
        command.env("DEFMT_LOG", "debug");
    }
    let status = command.status().context("cargo does not start")?;
    if !status.success() {
        bail!(
            "boards/{} does not build for {}",
            board.name,
            board.manifest.target
        );
    }
    Ok(target_dir
        .join(&board.manifest.target)
        .join(profile.name())
        .join(binary))
}

/// Runs clippy over a board: plain, and once per feature its manifest names.
///
/// # Errors
///
/// When clippy finds anything.
pub fn lint(board: &Board) -> Result<()> {
    let features = std::iter::once(None).chain(board.manifest.features.iter().map(Some));
    for feature in features {
        let mut command = cargo();
        command
            .args(["clippy", "--quiet", "--locked", "-p", &board.package])
            .args(["--target", &board.manifest.target])
            .env("CARGO_TARGET_DIR", target_dir())
            .current_dir(workspace_root());
        if let Some(feature) = feature {
            command.args(["--features", feature]);
        }
        let status = command
            .args(["--", "-D", "warnings"])
            .status()
            .context("cargo does not start")?;
        if !status.success() {
            let with = feature
                .map(|f| format!(" with feature `{f}`"))
                .unwrap_or_default();
            bail!("boards/{}: clippy has findings{with}", board.name);
        }
    }
    Ok(())
}

/// Names of files are in an image, for its panics. Where cargo keeps crates differs between machines and says who built
/// it, so it is cut off; cargo joins these flags with those of `.cargo/config.toml`.
fn same_paths(target: &str) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let Some(crates) = home.map(|home| home.join("registry/src")) else {
        return Vec::new();
    };
    // As a TOML string: a path may have quotes and backslashes.
    let flag = toml::Value::from(format!("--remap-path-prefix={}=crates", crates.display()));
    vec![
        "--config".to_owned(),
        format!("target.{target}.rustflags=[{flag}]"),
    ]
}

fn target_dir() -> PathBuf {
    std::env::var_os("ASSAY_BOARD_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target/boards"), PathBuf::from)
}

/// Cargo as a shell would find it. The path that `CARGO` had at build time is that of one toolchain's binary; run
/// without rustup's proxy before it, a dependency's own `rust-toolchain.toml` would decide which compiler is used.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
