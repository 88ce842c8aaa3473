//! The verifier as a service under load: `hil service`.
//!
//! [`assayd`] starts the real program, optimised, with its store on disk; [`load`] sends it logins and renewals of software
//! TPMs ([`tpm`], certified by [`maker`], driven by [`agent`]) over connections of [`http`]. All keys and certificates are
//! made before the clock starts. The generator runs on the same processors as the service, so what counts is the service's
//! own processor time, which the kernel knows; what the clock says depends on both, and on the machine.

pub mod agent;
pub mod assayd;
pub mod http;
pub mod load;
pub mod maker;
pub mod optimised;
pub mod rows;
pub mod sessions;
pub mod shares;
pub mod tpm;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::crypto::ByKey;
use agent::Node;
use assayd::{Assayd, Site};
use load::{Amount, Group, Outcome, Work};
use maker::Maker;
use shares::Shares;
use tpm::{Keys, SoftwareTpm};

/// Connections, each with a thread of the generator.
pub const CONNECTIONS: usize = 32;
/// Nodes with P-256 keys.
const P256_NODES: usize = 256;
/// Nodes with RSA keys, which take long to make.
const RSA_NODES: usize = 64;
/// Before anything is counted: caches, connections, the allocator.
const WARM_UP: Duration = Duration::from_secs(2);

/// What the load came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Full logins per second of the service's own processor time.
    pub logins_per_cpu_second: ByKey,
    /// Full logins per second by the clock, the generator on the same processors.
    pub logins_per_second: ByKey,
    /// Renewals per second of the service's own processor time.
    pub renewals_per_cpu_second: ByKey,
    /// Renewals per second by the clock.
    pub renewals_per_second: ByKey,
    /// Where a P-256 login's processor time goes, microseconds.
    pub cpu_us_per_login: Shares,
    /// How long a P-256 login takes at half of `logins_per_second`.
    pub login_ms_at_half_load: Quantiles,
    /// What the service's resident memory grew by per live session, bytes.
    pub memory_per_session_bytes: f64,
    /// Live sessions when that was measured, all of them by logins.
    pub memory_at_sessions: u64,
    /// Rows that a login adds or changes: a session, a node, and the answered challenges.
    pub store_rows_per_login: f64,
    /// Bytes that a login sends to the disk: store, its log, the audit trail, the service's log.
    pub disk_bytes_per_login: f64,
    /// Processors that service and generator shared.
    pub processors: u64,
}

/// Milliseconds, hello to granted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Of half of all logins, at most.
    pub p50: f64,
    /// Of 99 in a hundred, at most.
    pub p99: f64,
}

/// A service, and nodes that have logged in to it once.
pub struct Rig {
    /// The service's files.
    pub site: Site,
    /// The service.
    pub assayd: Assayd,
    /// The nodes.
    pub groups: Vec<Group>,
    folder: tempfile::TempDir,
}

impl Rig {
    /// Makes nodes, starts a service, and logs each node in.
    ///
    /// # Errors
    ///
    /// When the service does not start, or does not let them in.
    pub fn new(program: &Path, keys: Keys, nodes: usize) -> Result<Self> {
        // Beside the program: where programs are built there is a disk, and a temporary folder may be memory.
        let home = program.parent().context("the program's folder")?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(home)?;
        let maker = Maker::new()?;
        let site = Site::set_up(program, folder.path(), &maker.write(folder.path())?)?;
        let mut made = Vec::new();
        for _ in 0..nodes {
            let tpm = SoftwareTpm::new(keys)?;
            let certificate = maker.certify(tpm.ek())?;
            made.push(Node::new(tpm, certificate)?);
        }
        let assayd = site.start()?;
        let mut groups = Group::deal(made, CONNECTIONS.min(nodes), &site.target(&assayd)?)?;
        Group::first_logins(&mut groups, &site.verifier_key()?)?;
        Ok(Self {
            site,
            assayd,
            groups,
            folder,
        })
    }

    /// Runs a load.
    ///
    /// # Errors
    ///
    /// When an answer is not the right one.
    pub fn run(&mut self, work: Work, amount: Amount) -> Result<Outcome> {
        load::run(&mut self.groups, &self.assayd, work, amount)
    }

    /// A folder for what belongs to the run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// `assayd` beside the running program.
///
/// # Errors
///
/// When it is not there, or not optimised.
pub fn program() -> Result<PathBuf> {
    ensure!(
        !cfg!(debug_assertions),
        "figures of a debug build say nothing: ./x bench builds what it needs"
    );
    let path = std::env::current_exe()?.with_file_name("assayd");
    ensure!(path.is_file(), "{} is not built", path.display());
    Ok(path)
}

/// Measures everything; each load lasts for `time`, and memory is looked at when `sessions` live. `progress` hears a line about each part.
///
/// # Errors
///
/// When the service does not start, or an answer is not the right one.
pub fn measure(
    time: Duration,
    sessions: u64,
    progress: &mut dyn FnMut(&str),
) -> Result<ServiceReport> {
    let program = program()?;
    let processors = std::thread::available_parallelism()?.get() as u64;
    let p256 = of_keys(&program, Keys::P256, time, progress)?;
    let rsa2048 = of_keys(&program, Keys::Rsa2048, time, progress)?;
    let held = held(&program, sessions, progress)?;
    let by = |figure: fn(&Rates) -> f64| ByKey {
        rsa2048: figure(&rsa2048).round(),
        p256: figure(&p256).round(),
    };
    Ok(ServiceReport {
        logins_per_cpu_second: by(|rates| rates.logins.0),
        logins_per_second: by(|rates| rates.logins.1),
        renewals_per_cpu_second: by(|rates| rates.renewals.0),
        renewals_per_second: by(|rates| rates.renewals.1),
        cpu_us_per_login: p256.shares,
        login_ms_at_half_load: p256.half,
        memory_per_session_bytes: held.memory,
        memory_at_sessions: sessions,
        store_rows_per_login: held.rows,
        disk_bytes_per_login: held.disk,
        processors,
    })
}

/// Rates per second of processor time, and by the clock; and of logins the rest.
struct Rates {
    logins: (f64, f64),
    renewals: (f64, f64),
    shares: Shares,
    half: Quantiles,
}

fn of_keys(
    program: &Path,
    keys: Keys,
    time: Duration,
    progress: &mut dyn FnMut(&str),
) -> Result<Rates> {
    let (name, nodes) = match keys {
        Keys::P256 => ("P-256", P256_NODES),
        Keys::Rsa2048 => ("RSA-2048", RSA_NODES),
    };
    progress(&format!("making {nodes} nodes with {name} keys"));
    let mut rig = Rig::new(program, keys, nodes)?;
    rig.run(Work::Logins, Amount::Time(WARM_UP))?;
    let mut tell = |what: &str, outcome: &Outcome| {
        progress(&format!(
            "  {what}: {:.0} per CPU second, {:.0} by the clock",
            outcome.per_cpu_second(),
            outcome.per_second()
        ));
        (outcome.per_cpu_second(), outcome.per_second())
    };
    let outcome = rig.run(Work::Logins, Amount::Time(time))?;
    let logins = tell("logins", &outcome);
    let renewals = tell("renewals", &rig.run(Work::Renewals, Amount::Time(time))?);
    let nothing = rig.run(Work::Nothing, Amount::Time(time / 2))?;
    tell("requests for nothing", &nothing);
    let half = rig.run(
        Work::Logins,
        Amount::Rate {
            per_second: logins.1 / 2.0,
            time,
        },
    )?;
    tell("logins at half load", &half);
    Ok(Rates {
        logins,
        renewals,
        shares: Shares::of(&outcome, &nothing, &rig.site.tls())?,
        half: Quantiles {
            p50: rounded(half.quantile_ms(50)),
            p99: rounded(half.quantile_ms(99)),
        },
    })
}

/// What a login leaves behind.
struct Held {
    memory: f64,
    rows: f64,
    disk: f64,
}

#[expect(clippy::cast_precision_loss, reason = "bytes here are far below 2^52")]
fn held(program: &Path, sessions: u64, progress: &mut dyn FnMut(&str)) -> Result<Held> {
    progress(&format!("logging in {sessions} times, for what it leaves"));
    let mut rig = Rig::new(program, Keys::P256, P256_NODES)?;
    rig.run(Work::Logins, Amount::Time(WARM_UP))?;
    let rows = rows::count(&rig.site.database())?;
    let logins = rig.run(Work::Logins, Amount::Count(sessions))?;
    let rows = rows::count(&rig.site.database())? - rows;
    let done = logins.done as f64;
    let grown = logins.after.resident.saturating_sub(logins.before.resident);
    Ok(Held {
        memory: (grown as f64 / done).round(),
        // The node's row is changed by each.
        rows: rounded(rows as f64 / done + 1.0),
        disk: ((logins.after.written - logins.before.written) as f64 / done).round(),
    })
}

/// Two digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
