//! Runs many cells on as many benches as there are cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Result, ensure};

use super::bench::{Bench, Finding, Report};
use super::cell::{Cell, Login};

/// What became of many cells.
#[derive(Debug)]
pub struct Results {
    /// The commands of the clean login.
    pub login: Login,
    /// One entry per cell.
    pub cells: Vec<(Cell, Result<Report, Finding>)>,
}

/// Runs the cells that `choose` picks for the login at hand. `progress` hears the number of cells done.
///
/// # Errors
///
/// When a bench cannot be made or fails by itself, and when two benches record different logins.
pub fn run(
    choose: impl Fn(&Login) -> Vec<Cell> + Sync,
    progress: impl Fn(usize) + Sync,
) -> Result<Results> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    let logins = thread::scope(|scope| {
        let work = || -> Result<Login> {
            let mut bench = Bench::new()?;
            let cells = choose(bench.login());
            while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = bench.run(cell)?;
                // A bench whose firmware panicked has left its TPM in some state; the next power-on resets it.
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((*cell, result));
                progress(done.fetch_add(1, Ordering::Relaxed).saturating_add(1));
            }
            Ok(bench.login().clone())
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a bench panicked"))
        });
        joined
            .map(|login| login.and_then(|login| login))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut logins = logins.into_iter();
    let login = logins.next().unwrap_or_else(|| Login::new(Vec::new()));
    ensure!(
        logins.all(|other| other == login),
        "two clean logins have different commands"
    );
    let mut cells = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    cells.sort_by_key(|(cell, _)| *cell);
    Ok(Results { login, cells })
}
