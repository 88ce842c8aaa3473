//! `assay session`: what was granted.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::format::Format;
use super::service::{Failure, block_on, changed, finish, load, open_store, table};
use crate::audit::Change;
use crate::session::SessionId;
use crate::store::SessionRecord;
use crate::telemetry::events::by_name;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sessions that have not ended, the newest first
    List {
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// One session with its attributes
    Show {
        /// The session, 32 hex digits
        id: SessionId,
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// End a session now: no verifier honours or renews it from then on
    ///
    /// Its node can log in anew; `assay node ban` is against that.
    Revoke {
        /// The session, 32 hex digits
        id: SessionId,
        /// The verifier's configuration
        #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
        config: PathBuf,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

/// A session as it is shown: the hash of its secret is not.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    spiffe_id: String,
    cluster: String,
    policy: String,
    ek_hash: String,
    login_id: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    reattest_at: Timestamp,
    renewed_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    attributes: Map<String, Value>,
}

#[derive(Debug, Serialize)]
struct Revoked {
    revoked: String,
}

impl From<SessionRecord> for Shown {
    fn from(session: SessionRecord) -> Self {
        Self {
            id: session.id.to_string(),
            attributes: by_name(&session.attributes),
            spiffe_id: session.spiffe_id,
            cluster: session.cluster,
            policy: session.policy,
            ek_hash: session.ek_hash,
            login_id: session.login_id,
            issued_at: session.issued_at,
            expires_at: session.expires_at,
            reattest_at: session.reattest_at,
            renewed_at: session.renewed_at,
            revoked_at: session.revoked_at,
        }
    }
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::List {
            config,
            limit,
            format,
        } => {
            let result = load(&config).and_then(|config| {
                block_on(async {
                    let store = open_store(&config).await?;
                    let sessions = store.sessions(Timestamp::now(), limit).await?;
                    Ok(sessions.into_iter().map(Shown::from).collect::<Vec<_>>())
                })
            });
            finish(format, result, |sessions| {
                let rows = sessions.iter().map(|s| {
                    [
                        s.id.clone(),
                        s.spiffe_id.clone(),
                        s.policy.clone(),
                        or_dash(s.renewed_at),
                        s.expires_at.to_string(),
                        s.reattest_at.to_string(),
                    ]
                });
                let header = [
                    "ID",
                    "SPIFFE ID",
                    "POLICY",
                    "RENEWED",
                    "EXPIRES",
                    "LOGIN DUE",
                ];
                table(header, rows)
            })
        }
        Command::Show { id, config, format } => {
            let result = load(&config).and_then(|config| {
                block_on(async {
                    let session = open_store(&config).await?.session(id).await?;
                    session.map(Shown::from).ok_or_else(|| {
                        Failure::failed(format!("there is no session {id}"))
                            .hint("`assay session list` shows those that have not ended")
                    })
                })
            });
            finish(format, result, text)
        }
        Command::Revoke { id, config, format } => {
            let result = load(&config).and_then(|config| {
                block_on(changed(&config, async |store| {
                    if !store.revoke_session(id, Timestamp::now()).await? {
                        let message = format!("there is no session {id} that lives");
                        return Err(Failure::failed(message)
                            .hint("`assay session list` shows those that have not ended"));
                    }
                    let revoked = id.to_string();
                    let change = Change::new("session.revoke", "session", &revoked);
                    Ok((Revoked { revoked }, Some(change)))
                }))
            });
            finish(format, result, |revoked| {
                format!("revoked {}", revoked.revoked)
            })
        }
    }
}

fn or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

fn text(session: &Shown) -> String {
    let mut text = format!(
        "id:         {}\nspiffe id:  {}\ncluster:    {}\npolicy:     {}\nek hash:    {}\nlogin:      {}\nissued:     {}\nrenewed:    {}\nexpires:    {}\nlogin due:  {}\nrevoked:    {}",
        session.id,
        session.spiffe_id,
        session.cluster,
        session.policy,
        session.ek_hash,
        session.login_id,
        session.issued_at,
        or_dash(session.renewed_at),
        session.expires_at,
        session.reattest_at,
        or_dash(session.revoked_at)
    );
    for (name, value) in &session.attributes {
        text += &format!("\n{name}: {value}");
    }
    text
}
