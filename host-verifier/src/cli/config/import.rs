//! `assay config import-spire`: SPIRE's configuration brought into ours.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cli::format::Format;
use crate::cli::report::{Unreadable, read_file, say};
use crate::document::visible;
use crate::spire::{self, hcl};

/// The command's arguments.
#[derive(Debug, Args)]
pub struct Import {
    /// SPIRE's server.conf or agent.conf, or a manifest with ConfigMaps that have them
    file: PathBuf,
    /// Write each document into a file of its own in this directory; a file that is there is not replaced
    #[arg(long, value_name = "DIRECTORY")]
    into: Option<PathBuf>,
    /// How to answer
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(options: &Import) -> ExitCode {
    let json = options.format.json();
    match import(options) {
        Ok(import) => {
            tell(&import, options);
            ExitCode::SUCCESS
        }
        Err(unreadable) => unreadable.print(json),
    }
}

fn import(options: &Import) -> Result<spire::Import, Unreadable> {
    let name = options.file.display().to_string();
    let text = read_file(&options.file, hcl::MAX_TEXT)?;
    let text = String::from_utf8(text).map_err(|_| Unreadable::new(&name, "it is no text"))?;
    let import = spire::import(&text).map_err(|error| {
        let hint = "give SPIRE's server.conf or agent.conf, or the manifest of its ConfigMap";
        Unreadable::new(&name, error).with_hint(hint)
    })?;
    if let Some(directory) = &options.into {
        for document in &import.documents {
            let path = directory.join(document.name);
            write(&path, &document.text).map_err(|error| {
                let hint = "the directory must be there, and the file must not";
                Unreadable::new(&path.display().to_string(), error).with_hint(hint)
            })?;
        }
    }
    Ok(import)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn tell(import: &spire::Import, options: &Import) {
    if options.format.json() {
        say(&format!("{:#}", serde_json::json!(import)));
        return;
    }
    for (position, document) in import.documents.iter().enumerate() {
        match &options.into {
            Some(directory) => say(&directory.join(document.name).display().to_string()),
            None => {
                let between = if position == 0 { "" } else { "---\n" };
                say(format!("{between}# {}\n{}", document.name, document.text).trim_end());
            }
        }
    }
    for left in &import.left {
        let (at, key, reason) = (&left.at, &left.key, &left.reason);
        eprintln!(
            "not carried over: {}",
            visible(&format!("{at}: {key}: {reason}"))
        );
        if let Some(instead) = &left.instead {
            eprintln!("hint: {}", visible(instead));
        }
    }
    for note in &import.notes {
        eprintln!("note: {}", visible(note));
    }
    let (carried, left) = (import.carried.len(), import.left.len());
    eprintln!("{carried} settings carried over, {left} not");
}
