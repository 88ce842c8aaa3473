//! `assay token`: who may use the API with a bearer token.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::{Access, Reached};
use super::format::Format;
use super::remote::encoded;
use super::service::{Failure, block_on, changed, finish, make_store, open_store, table};
use crate::api::auth::ApiToken;
use crate::audit::Change;
use crate::random::SystemRandom;
use crate::store::{ApiTokenRecord, Role};

/// Entries that are read at once.
const PAGE: u32 = 1000;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token and show it, once
    Create {
        /// What it allows: admin, operator or viewer
        #[arg(long)]
        role: Role,
        /// Who or what it is for
        #[arg(long)]
        name: String,
        /// How long it lasts, for instance 90d; left out, until it is revoked
        #[arg(long, value_parser = span)]
        ttl: Option<Duration>,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Tokens, without the tokens
    List {
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
    /// Take a token back, at once
    Revoke {
        /// The token's id, as `assay token list` shows it
        id: String,
        /// Where the verifier is
        #[command(flatten)]
        access: Access,
        /// How to answer
        #[command(flatten)]
        format: Format,
    },
}

/// A token as it is shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
struct Shown {
    id: String,
    name: String,
    role: Role,
    created_at: Timestamp,
    created_by: String,
    expires_at: Option<Timestamp>,
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
    name: String,
}

impl From<ApiTokenRecord> for Shown {
    fn from(token: ApiTokenRecord) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
        }
    }
}

/// A span of time as people write it. Days have 24 hours here.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is no span of time; write it with a unit, e.g. `12h` or `90d`");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let span: SignedDuration = span.to_duration(days).map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

/// Runs a command.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Create {
            role,
            name,
            ttl,
            access,
            format,
        } => {
            let reached = access.reach();
            let result = reached.and_then(|site| block_on(create(site, &name, role, ttl)));
            // The token alone, so that it can be caught in a file or a variable.
            finish(format, result, |created| created.token.clone())
        }
        Command::List { access, format } => {
            let result = access.reach().and_then(|site| block_on(list(site)));
            let now = Timestamp::now();
            finish(format, result, |tokens| {
                let rows = tokens.iter().map(|token| {
                    [
                        token.id.clone(),
                        token.name.clone(),
                        token.role.to_string(),
                        match token.expires_at {
                            None => "never".to_owned(),
                            Some(at) if at <= now => format!("{at} (over)"),
                            Some(at) => at.to_string(),
                        },
                        token.created_by.clone(),
                    ]
                });
                table(["ID", "NAME", "ROLE", "EXPIRES", "MADE BY"], rows)
            })
        }
        Command::Revoke { id, access, format } => {
            let result = access.reach().and_then(|site| block_on(revoke(site, id)));
            finish(format, result, |token| {
                format!("{} ({}): revoked", token.revoked, token.name)
            })
        }
    }
}

async fn create(
    site: Reached,
    name: &str,
    role: Role,
    ttl: Option<Duration>,
) -> Result<Created, Failure> {
    let config = match site {
        Reached::Store(config) => config,
        Reached::Api(remote) => {
            let mut wanted = json!({"name": name, "role": role});
            if let (Some(ttl), Some(members)) = (ttl, wanted.as_object_mut()) {
                members.insert("ttlSeconds".to_owned(), ttl.as_secs().into());
            }
            return remote
                .send(Method::POST, "/v1/tokens", Some(&wanted), &[])
                .await;
        }
    };
    // The first token is made before the first start.
    make_store(&config).await?.close().await;
    let now = Timestamp::now();
    let issued = ApiToken::issue(&SystemRandom, now, name, role, ttl, "command line");
    let (token, record) = issued.map_err(|error| Failure::usage(error.to_string()))?;
    let change = Change::new("token.create", "token", &record.id);
    let change = change.detail(format!("{name}: {role}"));
    changed(&config, async |store| {
        match store.add_api_token(&record).await? {
            true => Ok(((), Some(change))),
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
            remote.each("/v1/tokens", &mut keep).await?;
            return Ok(tokens);
        }
    };
    let store = open_store(&config).await?;
    loop {
        let after = tokens.last().map(|token| token.id.clone());
        let page = store.api_tokens(&after.unwrap_or_default(), PAGE).await?;
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
            // The answer to a revocation is empty; the name is for whoever looks at the screen.
            let mut name = None;
            let mut find = |token: Shown| {
                let found = token.id == id;
                name = found.then_some(token.name);
                !found
            };
            remote.each("/v1/tokens", &mut find).await?;
            remote
                .delete(&format!("/v1/tokens/{}", encoded(&id)))
                .await?;
            return Ok(Revoked {
                revoked: id,
                name: name.unwrap_or_default(),
            });
        }
    };
    changed(&config, async |store| {
        let Some(token) = store.revoke_api_token(&id).await? else {
            return Err(Failure::failed(format!("there is no token {id}"))
                .hint("`assay token list` shows their ids; it is not the token itself"));
        };
        let change = Change::new("token.revoke", "token", &token.id);
        let change = change.detail(&token.name);
        let revoked = Revoked {
            revoked: token.id,
            name: token.name,
        };
        Ok((revoked, Some(change)))
    })
    .await
}
