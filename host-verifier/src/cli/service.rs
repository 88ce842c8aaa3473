//! What the commands that look at the service share: its configuration, its store, and how they answer.

use std::path::Path;
use std::sync::Arc;

use crate::audit::{self, Act, Actor, ActorKind, AuditError, Change, Ledger};
use crate::config::{Config, Datastore};
use crate::policy::Section;
use crate::random::{SystemRandom, bytes};
use crate::server::start::{self, StartError};
use crate::store::{PostgresStore, Store, StoreError};
pub(super) use assay_host::cli::{Failure, finish, table};
use jiff::Timestamp;

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::failed(error.to_string()).hinted(error.hint())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::failed(error.to_string()).hinted(error.hint())
    }
}

/// Reads the service's configuration.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    Ok(Config::load(path)?)
}

/// Opens the service's store, beside the running service or without it. It is not made here: a file made by
/// whoever runs the command could be one that the service cannot write, and a schema that is shared is the replicas' own
/// to change.
pub(super) async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    match &config.datastore {
        Datastore::Postgres(settings) => Ok(Arc::new(PostgresStore::attach(settings).await?)),
        Datastore::Sqlite { path } if !path.exists() => Err(Failure::failed(format!(
            "{}: no database yet",
            path.display()
        ))
        .hint("assayd makes it when it starts with this configuration")),
        Datastore::Sqlite { .. } => Ok(start::store(config).await?),
    }
}

/// The configured store, made as a start of the service makes it when there is none yet: for what is put into it before the
/// first start.
pub(super) async fn make_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(start::store(config).await?)
}

/// The clusters that are served with this configuration, by name: its own and those of the store, if there is one yet.
pub(super) async fn cluster_names(config: &Config) -> Result<Vec<String>, Failure> {
    let mut names: Vec<_> = config.clusters.keys().cloned().collect();
    let store: Arc<dyn Store> = match &config.datastore {
        Datastore::Sqlite { path } if !path.exists() => return Ok(names),
        Datastore::Sqlite { .. } => start::store(config).await?,
        Datastore::Postgres(settings) => match PostgresStore::attach(settings).await {
            Err(StoreError::NoSchema) => return Ok(names),
            store => Arc::new(store?),
        },
    };
    let attestation = Section::AgentAttestation.name();
    for version in store.config_in_force(0).await? {
        let set = version.entry.section == attestation && version.document.is_some();
        if set && !names.contains(&version.entry.cluster) {
            names.push(version.entry.cluster);
        }
    }
    store.close().await;
    names.sort();
    Ok(names)
}

/// Changes something in the store. It is a record of the audit trail before anybody is told, and nothing is changed where
/// no record can be left.
pub(super) async fn changed<T>(
    config: &Config,
    change: impl AsyncFnOnce(&Arc<dyn Store>) -> Result<(T, Option<Change>), Failure>,
) -> Result<T, Failure> {
    let store = open_store(config).await?;
    let ledger = ledger(config)?;
    let result = change(&store).await;
    store.close().await;
    let (value, change) = result?;
    if let Some(change) = change {
        record(ledger, change).await?;
    }
    Ok(value)
}

fn ledger(config: &Config) -> Result<Ledger, Failure> {
    start::prepare_data_dir(&config.data_dir)?;
    let unusable = |error: &dyn core::fmt::Display| {
        Failure::failed(format!("nothing is changed: {error}"))
            .hint("a change is recorded in the audit trail; run it as the user that runs assayd")
    };
    let random: u64 = bytes(&SystemRandom)
        .map(u64::from_ne_bytes)
        .map_err(|error| unusable(&error))?;
    let name = format!(
        "{:016}-{random:016x}",
        Timestamp::now().as_millisecond().max(0)
    );
    Ledger::open(&config.data_dir.join(audit::FILE), &name).map_err(|error| unusable(&error))
}

async fn record(ledger: Ledger, change: Change) -> Result<(), Failure> {
    let undone = |error: &dyn core::fmt::Display, hint: &str| {
        let message = format!("it is done, but is not in the audit trail: {error}");
        Failure::failed(message).hint(hint)
    };
    let act = Act::done(&SystemRandom, Timestamp::now(), "cli", operator(), change)
        .map_err(|error| undone(&error, "look at what is in force now"))?;
    ledger.write(&act).await.map_err(|error| match error {
        AuditError::Waiting(_) => undone(
            &error,
            "the assayd that has this dataDir records it when it is there again; its log says why it does not",
        ),
        _ => undone(&error, "`assay audit verify` says whether the trail is whole"),
    })
}

/// Who runs the command, as the system knows them. Whoever can open the store can write anything into it; this is for
/// people who want to know, not against those who want to hide.
#[must_use]
pub fn operator() -> Actor {
    let mut operator = Actor {
        kind: ActorKind::CommandLine,
        id: "unknown".to_owned(),
        name: None,
        role: None,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let own = std::fs::metadata("/proc/self").map(|own| own.uid());
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Ok(uid) = own {
            let mut users = users
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>());
            operator.name = users.find_map(|fields| match fields.as_slice() {
                [name, _, number, ..] if number.parse() == Ok(uid) => Some((*name).to_owned()),
                _ => None,
            });
            operator.id = uid.to_string();
        }
    }
    operator
}

/// The same in a word, for the store.
pub(super) fn author() -> String {
    let Actor { id, name, .. } = operator();
    format!("local:{}", name.unwrap_or(id))
}

/// Runs what needs a runtime.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| Failure::failed(error.to_string()))?
        .block_on(future)
}
