//! `hil size`: flash, RAM and stack of every board against its budget.

use anyhow::{Result, bail};
use assay_hil_tests::measure::size::{self, BoardSize, SizeReport};

#[derive(clap::Args)]
pub(crate) struct Size {
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Fails when something is over its budget, after it has said so in full.
pub(crate) fn run(size: &Size) -> Result<()> {
    // Progress never mixes with the document.
    let report = size::measure(&mut |line| eprintln!("{line}"))?;
    if size.json {
        println!("{}", serde_json::to_string_pretty(&report.to_json()?)?);
    } else {
        show(&report);
    }
    if !report.ok {
        bail!("{}", complaints(&report).join("; "));
    }
    Ok(())
}

fn show(report: &SizeReport) {
    println!(
        "{:<20} {:<6} {:>7} {:>7} {:>5}",
        "board", "", "bytes", "budget", ""
    );
    for (name, board) in &report.boards {
        let rows = [
            ("flash", Some(board.flash), board.budget.flash),
            ("ram", board.ram, board.budget.ram),
            ("stack", board.stack, board.budget.stack),
        ];
        for (row, (what, bytes, budget)) in rows.into_iter().enumerate() {
            let name = if row == 0 { name } else { "" };
            let shown = bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
            println!(
                "{name:<20} {what:<6} {shown:>7} {budget:>7} {}",
                verdict(bytes, budget)
            );
        }
        println!("{:<20} {}", "", deepest(board));
        let plain = board.without_secure_sessions;
        println!(
            "{:<20} without secure sessions: flash {}, static {}",
            "", plain.flash, plain.static_ram
        );
        if let Some(embassy) = board.embassy {
            println!(
                "{:<20} under embassy: flash {} of {}, static {} of {}",
                "",
                embassy.flash,
                embassy.budget.flash,
                embassy.static_ram,
                embassy.budget.static_ram
            );
        }
    }
    let part = &report.tpm_part;
    println!(
        "{:<20} {:<6} {:>7} {:>7} {}",
        "TPM part alone",
        "flash",
        part.flash,
        part.budget,
        verdict(Some(part.flash), part.budget)
    );
    println!(
        "{:<20} wolfTPM takes {} for the same 17 commands",
        "", part.wolftpm
    );
    println!("\ncommon and firmware build for");
    for (target, builds) in &report.targets {
        println!("  {target:<30} {}", if *builds { "ok" } else { "FAILS" });
    }
}

/// Share of the budget, or how far over.
fn verdict(bytes: Option<u64>, budget: u64) -> String {
    match bytes {
        None => "not known: QEMU cannot run this board".to_owned(),
        Some(bytes) if bytes > budget => format!("OVER by {}", bytes - budget),
        Some(bytes) => format!("{:>4} %", bytes * 100 / budget.max(1)),
    }
}

fn deepest(board: &BoardSize) -> String {
    match board.scenarios.iter().max_by_key(|scenario| scenario.stack) {
        Some(deepest) => {
            format!(
                "static {}, deepest of {} scenarios: {}",
                board.static_ram,
                board.scenarios.len(),
                deepest.scenario
            )
        }
        None => format!("static {}", board.static_ram),
    }
}

fn complaints(report: &SizeReport) -> Vec<String> {
    let boards = report.boards.iter().filter(|(_, board)| !board.ok);
    let boards = boards.map(|(name, board)| {
        format!(
            "boards/{name} is over its budget of {}",
            board.over.join(" and ")
        )
    });
    let part = &report.tpm_part;
    let part =
        (!part.ok).then(|| format!("the TPM part takes {} bytes of {}", part.flash, part.budget));
    let targets = report.targets.iter().filter(|(_, builds)| !**builds);
    let targets =
        targets.map(|(target, _)| format!("common and firmware do not build for {target}"));
    boards.chain(part).chain(targets).collect()
}
