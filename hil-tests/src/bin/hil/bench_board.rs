//! `hil board`: the scenarios on a real board.

use std::path::PathBuf;

use anyhow::{Result, bail};
use assay_hil_tests::bench::{BenchRig, Dut, flash_commands, shown};
use assay_hil_tests::board::{self, Profile};
use assay_hil_tests::scenario::{loopback, rig};

#[derive(clap::Args)]
pub(crate) struct OnBench {
    /// Folder name below boards/
    board: String,
    /// CAs of the TPM's maker: PEM or DER files
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present_any = ["policy", "dry_run"])]
    manufacturer_cas: Vec<PathBuf>,
    /// An AgentAttestation document instead of "certified by these CAs"
    #[arg(long, value_name = "FILE", conflicts_with = "manufacturer_cas")]
    policy: Option<PathBuf>,
    /// Show what would be done and stop: builds the image, checks the files, touches no hardware
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(on_bench: &OnBench) -> Result<()> {
    let board = board::find(&on_bench.board)?;
    let dut = Dut::of(&board)?;
    let policy = match &on_bench.policy {
        Some(path) => std::fs::read_to_string(path)?,
        None => {
            let absolute = on_bench.manufacturer_cas.iter().map(std::path::absolute);
            let absolute = absolute.collect::<Result<Vec<_>, _>>()?;
            if let Some(missing) = absolute.iter().find(|path| !path.is_file()) {
                bail!("{}: no such file", missing.display());
            }
            loopback::policy(
                &absolute.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
                false,
            )
        }
    };
    println!(
        "board   {} ({}), TPM {} {}",
        board.name, board.manifest.target, dut.tpm.vendor, dut.tpm.part
    );
    println!("probe   {}", dut.probe.selector);
    println!("serial  {} at {} baud", dut.serial.port, dut.serial.baud);
    if !on_bench.dry_run {
        // What is missing on the bench is said before minutes of building.
        dut.check()?;
    }
    let image = board::build_with(&board, Profile::Firmware, &dut.features)?;
    if on_bench.dry_run {
        println!("\nwould run");
        for command in flash_commands(&board, &dut, &image, "record.bin".as_ref())? {
            println!("  {}", shown(&command));
        }
        println!("\nand then");
        rig::ALL
            .iter()
            .for_each(|scenario| println!("  {}", scenario.name));
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut bench = BenchRig::start(&board, &dut, &image, &policy, folder.path())?;
    for scenario in rig::ALL {
        scenario.run(&mut bench)?;
        println!("  ok  {}", scenario.name);
    }
    Ok(())
}
