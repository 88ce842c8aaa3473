//! `assay session`: what was granted.

use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::{Access, Reached};
use super::format::Format;
use super::remote::Page;
use super::service::{Failure, block_on, changed, finish, open_store, table};
use crate::audit::Change;
use crate::session::SessionId;
use crate::store::SessionRecord;
use crate::telemetry::events::by_name;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sessions that have not ended, the newest first
    List {
        /// Also those that have ended, until they are forgotten, some five minutes later
        #[arg(long)]
        all: bool,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
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
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
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
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

/// A session as it is shown: the hash of its secret is not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
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

impl Shown {
    fn state(&self, now: Timestamp) -> &'static str {
        match self.revoked_at {
            Some(_) => "revoked",
            None if self.expires_at <= now => "ended",
            None => "active",
        }
    }
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::List {
            all,
            access,
            limit,
            format,
        } => {
            let now = Timestamp::now();
            let mut ended = false;
            let result = access.reach().and_then(|site| {
                block_on(async {
                    let sessions = list(&site, all, limit).await?;
                    ended = !all && sessions.is_empty() && !list(&site, true, 1).await?.is_empty();
                    Ok(sessions)
                })
            });
            finish(format, result, |sessions| match ended {
                true => "none that lives; --all shows those that have ended".to_owned(),
                false => shown(sessions, now),
            })
        }
        Command::Show { id, access, format } => {
            let result = access.reach().and_then(|site| block_on(show(site, id)));
            finish(format, result, text)
        }
        Command::Revoke { id, access, format } => {
            let result = access.reach().and_then(|site| block_on(revoke(site, id)));
            finish(format, result, |revoked| {
                format!("revoked {}", revoked.revoked)
            })
        }
    }
}

async fn list(site: &Reached, all: bool, limit: u32) -> Result<Vec<Shown>, Failure> {
    match site {
        Reached::Api(remote) => {
            let path = format!("/v1/sessions?order=newest&ended={all}&limit={limit}");
            Ok(remote.get::<Page<Shown>>(&path).await?.items)
        }
        Reached::Store(config) => {
            let store = open_store(config).await?;
            let sessions = match all {
                true => store.kept_sessions(limit).await?,
                false => store.sessions(Timestamp::now(), limit).await?,
            };
            Ok(sessions.into_iter().map(Shown::from).collect())
        }
    }
}

async fn show(site: Reached, id: SessionId) -> Result<Shown, Failure> {
    let config = match site {
        Reached::Api(remote) => return remote.get(&format!("/v1/sessions/{id}")).await,
        Reached::Store(config) => config,
    };
    let session = open_store(&config).await?.session(id).await?;
    session.map(Shown::from).ok_or_else(|| {
        Failure::failed(format!("there is no session {id}"))
            .hint("`assay session list` shows those that have not ended")
    })
}

async fn revoke(site: Reached, id: SessionId) -> Result<Revoked, Failure> {
    let revoked = id.to_string();
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            remote.delete(&format!("/v1/sessions/{id}")).await?;
            return Ok(Revoked { revoked });
        }
    };
    changed(&config, async |store| {
        if !store.revoke_session(id, Timestamp::now()).await? {
            let message = format!("there is no session {id} that lives");
            return Err(Failure::failed(message)
                .hint("`assay session list` shows those that have not ended"));
        }
        let change = Change::new("session.revoke", "session", &revoked);
        Ok((Revoked { revoked }, Some(change)))
    })
    .await
}

fn shown(sessions: &[Shown], now: Timestamp) -> String {
    let rows = sessions.iter().map(|s| {
        [
            s.id.clone(),
            s.spiffe_id.clone(),
            s.policy.clone(),
            s.state(now).to_owned(),
            or_dash(s.renewed_at),
            s.expires_at.to_string(),
            s.reattest_at.to_string(),
        ]
    });
    let header = [
        "ID",
        "SPIFFE ID",
        "POLICY",
        "STATE",
        "RENEWED",
        "EXPIRES",
        "LOGIN DUE",
    ];
    table(header, rows)
}

fn or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

fn text(session: &Shown) -> String {
    let mut text = format!(
        "id:         {}\nspiffe id:  {}\ncluster:    {}\npolicy:     {}\nnode:       {}\nlogin:      {}\nissued:     {}\nrenewed:    {}\nexpires:    {}\nlogin due:  {}\nrevoked:    {}",
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
