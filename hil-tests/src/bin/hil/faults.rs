//! `hil faults`: the whole fault matrix, its record and its page in the documentation.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use assay_hil_tests::board;
use assay_hil_tests::scenario::matrix::{Cell, Record, run, table};

/// Run every cell of the fault matrix.
#[derive(clap::Args)]
pub(crate) struct Faults {
    /// Replace the record and the tables in the documentation
    #[arg(long)]
    overwrite: bool,
    /// Only rows whose name contains this: a fault, a phase, or `once`, `held`, `always`
    #[arg(long, conflicts_with = "overwrite")]
    only: Option<String>,
}

pub(crate) fn run(args: &Faults) -> Result<()> {
    let started = Instant::now();
    let told = Mutex::new(Instant::now());
    let choose = |cells: Vec<Cell>| -> Vec<Cell> {
        let wanted = |cell: &Cell| {
            args.only
                .as_ref()
                .is_none_or(|part| cell.row().to_string().contains(part))
        };
        cells.into_iter().filter(wanted).collect()
    };
    let results = run::run(
        |login| choose(login.cells()),
        |done| {
            if let Ok(mut told) = told.lock()
                && told.elapsed() > Duration::from_secs(10)
            {
                eprintln!("{done} cells");
                *told = Instant::now();
            }
        },
    )?;

    let mut record = Record::new(results.login);
    let mut findings = 0;
    let mut counts = BTreeMap::<String, u32>::new();
    let (mut longest, mut most_bytes) = (None, None);
    for (cell, result) in &results.cells {
        match result {
            Ok(report) => {
                record.add(cell, report.outcome);
                let name = report
                    .outcome
                    .map_or("not shown".to_owned(), |outcome| outcome.to_string());
                let count = counts.entry(name).or_default();
                *count = count.saturating_add(1);
                if report.attempts > 1 {
                    println!(
                        "{cell}: needs {} attempts after the fault is gone",
                        report.attempts
                    );
                }
                longest = longest.max(Some((report.took, cell)));
                most_bytes = most_bytes.max(Some((report.bytes, cell)));
            }
            Err(finding) => {
                println!("{cell}: {finding}");
                findings += 1;
            }
        }
    }
    println!(
        "{} cells in {:.0} s",
        results.cells.len(),
        started.elapsed().as_secs_f32()
    );
    for (name, count) in counts {
        println!("{count:>6}  {name}");
    }
    if let (Some((took, slow)), Some((bytes, large))) = (longest, most_bytes) {
        println!(
            "longest: {:.1} s of virtual time, {slow}",
            took.as_secs_f32()
        );
        println!("most bytes: {bytes}, {large}");
    }
    if findings > 0 {
        bail!("{findings} findings");
    }
    if args.overwrite {
        let (record_file, page) = files();
        fs::write(&record_file, record.to_string())
            .with_context(|| record_file.display().to_string())?;
        let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        fs::write(&page, table::replace(&text, &record)?)?;
        println!("replaced {} and {}", record_file.display(), page.display());
    } else if args.only.is_some() {
        print!("{record}");
    }
    Ok(())
}

/// The record, and the page that is made from it.
fn files() -> (PathBuf, PathBuf) {
    let root = board::workspace_root();
    (
        root.join("hil-tests/golden/faults.txt"),
        root.join("docs/faults.md"),
    )
}
