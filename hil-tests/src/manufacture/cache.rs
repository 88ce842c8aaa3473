//! Each recipe is manufactured once per target folder; tests get copies, so that what one does to its TPM
//! does not reach the next.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{ManufactureError, ManufacturedTpm, Recipe, at, make_folder, manufacture};
use crate::board;

/// Part of the cache's path; raised whenever the same recipe gives another TPM.
const FORMAT: u32 = 1;

/// Where manufactured TPMs are kept: `manufactured-<format>` in cargo's target folder.
#[must_use]
pub fn folder() -> PathBuf {
    target().join(format!("manufactured-{FORMAT}"))
}

/// Cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| board::workspace_root().join("target"), PathBuf::from);
    std::path::absolute(&target).unwrap_or(target)
}

/// A TPM by `recipe`, copied into `into` (absolute). Made on first use, by whichever process comes first.
///
/// # Errors
/// [`ManufactureError`].
pub fn copy(recipe: &Recipe, into: &Path) -> Result<ManufacturedTpm, ManufactureError> {
    let original = folder().join(recipe.key());
    if !original.is_dir() {
        make(recipe, &original)?;
    }
    copy_folder(&original, into)?;
    Ok(ManufacturedTpm {
        folder: into.to_owned(),
        recipe: recipe.clone(),
    })
}

/// Makes the TPM beside its place and moves it there in one step: another process sees all or nothing.
fn make(recipe: &Recipe, original: &Path) -> Result<(), ManufactureError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let draft = folder().join(format!(".draft-{}-{number}", std::process::id()));
    make_folder(&draft)?;
    let made = manufacture(recipe, &draft);
    let moved = made.and_then(|_| fs::rename(&draft, original).map_err(at(original)));
    if moved.is_err() {
        let _ = fs::remove_dir_all(&draft);
    }
    match moved {
        // Somebody else was quicker; theirs is as good.
        Err(ManufactureError::File { .. }) if original.is_dir() => Ok(()),
        other => other,
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), ManufactureError> {
    make_folder(to)?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(at(&source))?;
        }
    }
    Ok(())
}
