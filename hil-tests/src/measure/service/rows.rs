//! The store's rows, looked at and seeded past the service, by the `sqlite3` program.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Rows that logins add: a session each, and the challenges that were answered.
const COUNT: &str =
    "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM answered_challenges)";

/// Rows of sessions and of answered challenges.
///
/// # Errors
///
/// When the program is missing or the file cannot be read.
pub fn count(database: &Path) -> Result<u64> {
    let text = run(database, COUNT)?;
    text.trim().parse().context("a count")
}

/// Adds live sessions until there are `sessions`, each of a node of its own, after the pattern of one that a login left.
///
/// # Errors
///
/// When there is no session yet, or the store refuses.
pub fn seed(database: &Path, sessions: u64) -> Result<()> {
    run(database, &seeding(sessions))?;
    let there: u64 = run(database, "SELECT count(*) FROM sessions")?
        .trim()
        .parse()?;
    ensure!(there == sessions, "{there} sessions, and not {sessions}");
    Ok(())
}

/// Hashes of seeded nodes are their numbers, which no SHA-256 of a key is.
fn seeding(sessions: u64) -> String {
    format!(
        "PRAGMA foreign_keys = ON; BEGIN IMMEDIATE;\n\
         CREATE TEMP TABLE numbers AS WITH RECURSIVE n(i) AS (\n\
           SELECT count(*) + 1 FROM sessions UNION ALL SELECT i + 1 FROM n WHERE i < {sessions}) SELECT i FROM n;\n\
         CREATE TEMP TABLE pattern AS SELECT * FROM sessions LIMIT 1;\n\
         INSERT INTO nodes (ek_hash, ak_name, spiffe_id, cluster, clock, reset_count, restart_count, safe,\n\
             firmware_version, first_seen, last_seen)\n\
           SELECT printf('%064x', i), randomblob(34), 'spiffe://bench.example/node/' || printf('%064x', i), p.cluster,\n\
             1000, 7, 0, 1, 0, p.issued_at, p.issued_at FROM numbers, pattern AS p;\n\
         INSERT INTO sessions (id, login_id, cluster, policy, spiffe_id, ek_hash, attributes, issued_at, expires_at,\n\
             secret_sha256, reattest_at, renewal_nonce, renewal_basis)\n\
           SELECT randomblob(16), lower(hex(randomblob(16))), p.cluster, p.policy,\n\
             'spiffe://bench.example/node/' || printf('%064x', i), printf('%064x', i), p.attributes, p.issued_at - i % 600,\n\
             p.expires_at, randomblob(32), p.reattest_at, randomblob(32), p.renewal_basis FROM numbers, pattern AS p;\n\
         COMMIT;"
    )
}

fn run(database: &Path, statements: &str) -> Result<String> {
    let output = Command::new("sqlite3")
        .args(["-bail", "-batch", "-cmd", ".timeout 10000"])
        .arg(database)
        .arg(statements)
        .output()
        .context("sqlite3 (Debian package sqlite3)")?;
    ensure!(
        output.status.success(),
        "sqlite3: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
