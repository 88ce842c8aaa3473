//! What a demo leaves: the verifier's configuration and data, and the commands that look at them.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use assay_hil_tests::board;
use assay_hil_tests::manufacture::cache;
use assay_hil_tests::scenario::live::program;
use tempfile::TempDir;

/// The verifier's folder: a draft while it runs, in its place once all went well. A demo that fails, and two that run at
/// once, leave a whole one.
pub(super) struct Traces {
    draft: TempDir,
    place: PathBuf,
}

/// The commands, as they are typed in the project's folder.
pub(super) struct Commands(pub(super) [String; 3]);

impl Traces {
    /// An empty folder for the demo of this board, open to its owner alone: keys will be in it.
    pub(super) fn new(board: &str) -> Result<Self> {
        let demos = cache::target().join("demo");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&demos)
            .with_context(|| demos.display().to_string())?;
        Ok(Self {
            draft: tempfile::Builder::new()
                .prefix(".draft-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&demos)?,
            place: demos.join(board),
        })
    }

    /// Where the verifier works.
    pub(super) fn folder(&self) -> &Path {
        self.draft.path()
    }

    /// Takes the place of what the demo before left; the verifier must have ended.
    pub(super) fn keep(self, session: &str) -> Result<Commands> {
        match std::fs::remove_dir_all(&self.place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| self.place.display().to_string());
            }
            _ => {}
        }
        let draft = self.draft.keep();
        std::fs::rename(&draft, &self.place).with_context(|| self.place.display().to_string())?;
        let assay = from_root(&program("assay")?);
        let config = from_root(&self.place.join("assayd.yaml"));
        let command = |words: &str| format!("{assay} {words} --config {config}");
        Ok(Commands([
            command("node list"),
            command("session list --all"),
            command(&format!("policy explain --session {session}")),
        ]))
    }
}

impl Commands {
    pub(super) fn show(&self) {
        println!(
            "\nwhat the verifier knows now; from {}:",
            board::workspace_root().display()
        );
        self.0.iter().for_each(|command| println!("  {command}"));
    }
}

fn from_root(path: &Path) -> String {
    let short = path.strip_prefix(board::workspace_root()).unwrap_or(path);
    let text = short.display().to_string();
    match text.contains(|c: char| c.is_whitespace() || "'\"\\$`".contains(c)) {
        false => text,
        true => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
