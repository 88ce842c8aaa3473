//! `hil build`, `hil lint`, `hil list`.

use anyhow::{Result, bail};
use assay_hil_tests::board::{self, Board, Profile};

/// One board, or all.
#[derive(clap::Args)]
pub(crate) struct Selection {
    /// Folder name below boards/
    board: Option<String>,
    /// Every board
    #[arg(long, conflicts_with = "board")]
    all: bool,
}

impl Selection {
    fn boards(&self) -> Result<Vec<Board>> {
        match (&self.board, self.all) {
            (Some(name), _) => Ok(vec![board::find(name)?]),
            (None, true) => board::all(),
            (None, false) => bail!("name a board, or --all"),
        }
    }
}

pub(crate) fn build(selection: &Selection) -> Result<()> {
    for board in selection.boards()? {
        println!("{}", board::build(&board, Profile::Firmware)?.display());
    }
    Ok(())
}

pub(crate) fn lint(selection: &Selection) -> Result<()> {
    selection.boards()?.iter().try_for_each(board::lint)
}

pub(crate) fn list() -> Result<()> {
    for board in board::all()? {
        let qemu = board
            .manifest
            .qemu
            .map_or("-".to_owned(), |machine| machine.machine);
        println!(
            "{:<20} {:<28} tier {}  link {} at {} baud  QEMU {qemu}",
            board.name,
            board.manifest.target,
            board.manifest.tier,
            board.manifest.serial.uart,
            board.manifest.serial.baud,
        );
    }
    Ok(())
}
