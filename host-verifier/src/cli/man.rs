//! `assay man`: the manual, a page for each command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use serde::Serialize;

use super::Cli;
use super::format::Format;
use super::service::{Failure, finish};

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the pages go; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How to answer
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Written {
    folder: String,
    pages: Vec<String>,
}

/// Runs the command.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    finish(options.format, write(&options.out), |written| {
        format!("{}: {} pages", written.folder, written.pages.len())
    })
}

fn write(out: &Path) -> Result<Written, Failure> {
    let fail = |error: std::io::Error| Failure::failed(format!("{}: {error}", out.display()));
    std::fs::create_dir_all(out).map_err(fail)?;
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    pages_of(&command, "assay", &mut |name, page| {
        pages.push(format!("{name}.1"));
        std::fs::write(out.join(format!("{name}.1")), page)
    })
    .map_err(fail)?;
    Ok(Written {
        folder: out.display().to_string(),
        pages,
    })
}

/// A page for a command and for all below it. `help` repeats them and has none.
fn pages_of(
    command: &clap::Command,
    name: &str,
    write: &mut dyn FnMut(&str, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("assay ", env!("CARGO_PKG_VERSION")))
        .manual("Assay")
        .render(&mut page)?;
    write(name, &page)?;
    for below in command.get_subcommands() {
        if below.get_name() != "help" && !below.is_hide_set() {
            pages_of(below, &format!("{name}-{}", below.get_name()), write)?;
        }
    }
    Ok(())
}
