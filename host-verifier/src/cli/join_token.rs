//! `assay join-token`: secrets that each let one node log in once.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::{Access, Reached};
use super::format::Format;
use super::remote::encoded;
use super::service::{
    Failure, author, block_on, changed, cluster_names, finish, open_store, table,
};
use super::token::span;
use crate::api::routes::join_tokens::created;
use crate::audit::Change;
use crate::document::visible;
use crate::join_token::{JoinToken, Wanted};
use crate::random::SystemRandom;
use crate::store::JoinTokenRecord;

/// Entries that are read at once.
const PAGE: u32 = 1000;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a join token and show it, once
    Create {
        /// What it is to be
        #[command(flatten)]
        new: New,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Join tokens, without the tokens; also used ones, until they would have ended
    List {
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Take a join token back, at once
    Revoke {
        /// The token's id, as `assay join-token list` shows it
        id: String,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

/// What a token is to be.
#[derive(Debug, Args)]
pub struct New {
    /// The cluster that it lets into
    #[arg(long, value_name = "ID")]
    cluster: String,
    /// How long it lasts, 1s to 30d
    #[arg(long, value_parser = span, default_value = "10m")]
    ttl: Duration,
    /// The identity that its node gets; left out: what the cluster's issuance policy makes
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<String>,
    /// What the node must prove by other methods in the same login, e.g. tpm_ek.public_hash=HASH; may be repeated
    #[arg(long, value_name = "ATTRIBUTE=VALUE", value_parser = pair)]
    bind: Vec<(String, String)>,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
}

/// A token as it is shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct Shown {
    id: String,
    cluster: String,
    spiffe_id: Option<String>,
    bound: BTreeMap<String, String>,
    comment: String,
    created_at: Timestamp,
    created_by: String,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Created {
    token: String,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Debug, Serialize)]
struct Revoked {
    revoked: String,
}

impl From<JoinTokenRecord> for Shown {
    fn from(token: JoinTokenRecord) -> Self {
        Self {
            id: token.id,
            cluster: token.cluster,
            spiffe_id: token.spiffe_id,
            bound: token.bound,
            comment: token.comment,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            used_at: token.used_at,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "an attribute, `=` and its value".to_owned())
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Create {
            new,
            access,
            format,
        } => {
            let result = access.reach().and_then(|site| block_on(create(site, new)));
            // The token alone, so that it can be caught in a file or a variable.
            finish(format, result, |created| created.token.clone())
        }
        Command::List { access, format } => {
            let result = access.reach().and_then(|site| block_on(list(site)));
            finish(format, result, |tokens| {
                let now = Timestamp::now();
                let rows = tokens.iter().map(|token| {
                    let state = match token.used_at {
                        Some(_) => "used",
                        None if token.expires_at <= now => "ended",
                        None => "open",
                    };
                    [
                        token.id.clone(),
                        token.cluster.clone(),
                        state.to_owned(),
                        token.expires_at.to_string(),
                        token.spiffe_id.clone().unwrap_or_else(|| "-".to_owned()),
                        visible(&token.comment),
                    ]
                });
                let header = ["ID", "CLUSTER", "STATE", "EXPIRES", "SPIFFE ID", "COMMENT"];
                table(header, rows)
            })
        }
        Command::Revoke { id, access, format } => {
            let result = access.reach().and_then(|site| block_on(revoke(site, id)));
            finish(format, result, |token| {
                format!("{}: revoked", token.revoked)
            })
        }
    }
}

async fn create(site: Reached, new: New) -> Result<Created, Failure> {
    let mut bound = BTreeMap::new();
    for (name, value) in new.bind {
        if let Some(first) = bound.insert(name.clone(), value) {
            return Err(
                Failure::usage(format!("--bind {name}: twice, first {first}"))
                    .hint("an attribute has one value here"),
            );
        }
    }
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            let wanted = json!({
                "cluster": new.cluster,
                "ttlSeconds": new.ttl.as_secs(),
                "spiffeId": new.spiffe_id,
                "bound": bound,
                "comment": new.comment,
            });
            return remote
                .send(Method::POST, "/v1/join-tokens", Some(&wanted), &[])
                .await;
        }
    };
    let wanted = Wanted {
        cluster: &new.cluster,
        ttl: new.ttl,
        spiffe_id: new.spiffe_id.as_deref(),
        bound,
        comment: &new.comment,
        created_by: &author(),
        trust_domain: &config.trust_domain,
    };
    let issued = JoinToken::issue(&SystemRandom, Timestamp::now(), wanted);
    let (token, record) = issued.map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    if !cluster_names(&config).await?.contains(&record.cluster) {
        return Err(
            Failure::failed(format!("cluster `{}` is not served", record.cluster))
                .hint("`assay config list clusters` shows those that are configured"),
        );
    }
    changed(&config, async |store| {
        match store.add_join_token(&record).await? {
            true => Ok(((), Some(created(&record)))),
            false => Err(Failure::failed("the token is there already")),
        }
    })
    .await?;
    Ok(Created {
        token: token.expose().to_owned(),
        shown: record.into(),
    })
}

async fn list(site: Reached) -> Result<Vec<Shown>, Failure> {
    let mut tokens: Vec<Shown> = Vec::new();
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            let mut keep = |token| {
                tokens.push(token);
                true
            };
            remote.each("/v1/join-tokens", &mut keep).await?;
            return Ok(tokens);
        }
    };
    let store = open_store(&config).await?;
    loop {
        let after = tokens.last().map(|token| token.id.clone());
        let page = store.join_tokens(&after.unwrap_or_default(), PAGE).await?;
        let last = page.len() < PAGE as usize;
        tokens.extend(page.into_iter().map(Shown::from));
        if last {
            store.close().await;
            return Ok(tokens);
        }
    }
}

async fn revoke(site: Reached, id: String) -> Result<Revoked, Failure> {
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            let path = format!("/v1/join-tokens/{}", encoded(&id));
            remote.delete(&path).await?;
            return Ok(Revoked { revoked: id });
        }
    };
    changed(&config, async |store| {
        let Some(token) = store.revoke_join_token(&id).await? else {
            return Err(Failure::failed(format!("there is no join token {id}"))
                .hint("`assay join-token list` shows those that were not used"));
        };
        let change = Change::new("join-token.revoke", "join-token", &token.id);
        let change = change.detail(format!("cluster {}", token.cluster));
        Ok((Revoked { revoked: token.id }, Some(change)))
    })
    .await
}
