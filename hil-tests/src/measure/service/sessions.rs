//! Whether the service minds how many sessions there are: the same few requests with a thousand, and with a million.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use assay_host_verifier::session::SessionId;
use serde::{Deserialize, Serialize};

use super::http::Connection;
use super::load::{Amount, Work};
use super::tpm::Keys;
use super::{Rig, program, rounded, rows};

/// Nodes that log in for real.
const NODES: usize = 32;
/// Each request is made so often.
const TIMES: usize = 31;
/// Of these the first are for the caches.
const LOGINS: u64 = 320;

/// Milliseconds at one size of the store; medians.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtSize {
    /// Live sessions in the store, each of another node.
    pub sessions: u64,
    /// SQLite's file, bytes.
    pub file_bytes: u64,
    /// From the start of the process until the API listens.
    pub restart_ms: f64,
    /// Resident memory after that and all requests below, bytes.
    pub resident_bytes: u64,
    /// A login, hello to granted, one connection after the other.
    pub login_ms: f64,
    /// The first page of the list.
    pub list_ms: f64,
    /// One session.
    pub show_ms: f64,
    /// One session revoked.
    pub revoke_ms: f64,
}

/// Measures at each of these sizes, smallest first.
///
/// # Errors
///
/// When the service does not start, or an answer is not the right one.
pub fn measure(sizes: &[u64], progress: &mut dyn FnMut(&str)) -> Result<Vec<AtSize>> {
    let mut rig = Rig::new(&program()?, Keys::P256, NODES)?;
    let mut table = Vec::new();
    for size in sizes {
        progress(&format!("seeding {size} sessions"));
        rig = rig.restarted(|database| rows::seed(database, *size))?;
        let row = at(&mut rig, *size)?;
        progress(&format!(
            "  login {} ms, list {} ms, show {} ms, revoke {} ms, restart {} ms",
            row.login_ms, row.list_ms, row.show_ms, row.revoke_ms, row.restart_ms
        ));
        table.push(row);
        // What was added on top of the size stays; the next size is far above it.
    }
    Ok(table)
}

fn at(rig: &mut Rig, sessions: u64) -> Result<AtSize> {
    let restart_ms = rounded(rig.assayd.started_in().as_secs_f64() * 1e3);
    let file_bytes = std::fs::metadata(rig.site.database())?.len();
    let authorization = format!("authorization: Bearer {}\r\n", rig.site.token()?);
    let mut connection = rig.site.target(&rig.assayd)?.connect()?;
    let mut ask = |method: &str, path: &str| request(&mut connection, method, path, &authorization);
    let list_ms = median(|_| ask("GET", "/v1/sessions"))?;
    let page: serde_json::Value = serde_json::from_slice(&ask("GET", "/v1/sessions")?)?;
    let ids: Vec<_> = rig
        .groups
        .iter()
        .filter_map(super::Group::session_id)
        .collect();
    ensure!(ids.len() >= TIMES, "{} sessions of {TIMES}", ids.len());
    ensure!(page.to_string().contains("spiffe://"), "an empty list");
    let path = |n: usize| {
        let id = ids.get(n).context("an id")?;
        anyhow::Ok(format!("/v1/sessions/{}", SessionId(*id)))
    };
    let show_ms = median(|n| ask("GET", &path(n)?))?;
    let revoke_ms = median(|n| ask("DELETE", &path(n)?))?;
    let one = rig.groups.get_mut(..1).context("no connection")?;
    let logins = super::load::run(one, &rig.assayd, Work::Logins, Amount::Count(LOGINS))?;
    // For the next size: every node has a live session again.
    rig.run(Work::Logins, Amount::Count(NODES as u64))?;
    Ok(AtSize {
        sessions,
        file_bytes,
        restart_ms,
        resident_bytes: rig.assayd.usage()?.resident,
        login_ms: rounded(logins.quantile_ms(50)),
        list_ms,
        show_ms,
        revoke_ms,
    })
}

fn request(
    connection: &mut Connection,
    method: &str,
    path: &str,
    authorization: &str,
) -> Result<Vec<u8>> {
    let (status, body) = connection.send(method, path, authorization, &[])?;
    ensure!(
        (200..300).contains(&status),
        "{method} {path}: {status} {}",
        String::from_utf8_lossy(&body)
    );
    Ok(body)
}

/// Milliseconds.
fn median(mut one: impl FnMut(usize) -> Result<Vec<u8>>) -> Result<f64> {
    let mut took = Vec::new();
    for number in 0..TIMES {
        let began = Instant::now();
        one(number)?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(rounded(took.get(TIMES / 2).copied().context("no times")?))
}

impl Rig {
    /// The same nodes at the same service, stopped and started again; `between` changes its store.
    ///
    /// # Errors
    ///
    /// When it does not stop or start.
    pub fn restarted(self, between: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let nodes = super::Group::nodes(self.groups);
        self.assayd.stop()?;
        between(&self.site.database())?;
        let assayd = self.site.start()?;
        let connections = super::CONNECTIONS.min(nodes.len());
        let groups = super::Group::deal(nodes, connections, &self.site.target(&assayd)?)?;
        Ok(Self {
            site: self.site,
            assayd,
            groups,
            folder: self.folder,
        })
    }
}
