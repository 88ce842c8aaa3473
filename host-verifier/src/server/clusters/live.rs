//! The configuration as it is served, in step with the store.
//!
//! A login takes the [`Verifier`] of the moment and keeps it: one that has begun ends under the configuration that it began
//! with. A new configuration is a new [`Verifier`], put in its place whole.
//!
//! Every replica asks the store for its generation, one number, twice a second, and reads what changed when it has. A
//! change is so in force everywhere within a second, whoever made it and wherever.
//!
//! At the same time it looks whether the files that the documents name are what they were: revocation lists and bundles are
//! renewed by whoever publishes them. A cluster is built anew when one has changed, under the version that it has.
//!
//! # What goes wrong
//!
//! * The store does not answer: what was in force stays.
//! * A document cannot be used here, because a newer release wrote it or a file is missing: what the cluster had stays in
//!   force, whole; at the start, when there is nothing, the cluster is not served, also where the service's own
//!   configuration names it, since what was set may be the stricter. It is tried again every few seconds.
//! * A file that a document names has changed and cannot be used: what was read before stays in force, and it is tried again
//!   as well.
//!
//! All are told in the log once and stand in [`ConfigStatus`] as long as they last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Mutex, Notify, watch};

use super::change::{last, stored_name, unknown_section};
use super::sections::{self, Built};
use super::{Base, Clusters};
use crate::config::BaseCluster;
use crate::document::{DocumentError, Watched};
use crate::login::{Cluster, Verifier};
use crate::policy::{PolicySet, Section};
use crate::store::{ConfigVersion, StoreError};
use crate::telemetry::health::State;
use crate::telemetry::names;

/// How often the store is asked.
const POLL: Duration = Duration::from_millis(500);
/// After how many questions documents that could not be used are tried again.
const RETRY: u32 = 10;

/// The verifier in force, and how it came to be. Clones are the same.
#[derive(Debug, Clone)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    verifier: watch::Sender<Arc<Verifier>>,
    status: watch::Sender<ConfigStatus>,
    wake: Notify,
    /// Held while the store is read: one reader at a time. The files that what is served was built from, by cluster.
    reading: Mutex<Named>,
}

/// Files by the cluster whose documents name them.
type Named = BTreeMap<String, Arc<Watched>>;

/// How far the configuration is, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigStatus {
    /// The store's generation that is served, changes that cannot be used counted in; `None` before the store was
    /// read for the first time.
    pub generation: Option<u64>,
    /// Clusters whose configuration cannot be used here, by name.
    pub problems: Vec<ConfigProblem>,
    /// Why the store could not be asked the last time.
    pub store_error: Option<String>,
}

/// A cluster's configuration that cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigProblem {
    /// The cluster.
    pub cluster: String,
    /// The version that cannot be used.
    pub version: u64,
    /// The version that is served instead; `None` when the cluster is not served.
    pub serving: Option<u64>,
    /// What is wrong, with its place.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ConfigStatus {
    /// How that is for the service as a whole. A cluster that cannot be served here takes no replica out of service: the
    /// others have theirs, and all replicas may have the same document.
    #[must_use]
    pub fn health(&self) -> State {
        let mut told = Vec::new();
        if let Some(error) = &self.store_error {
            told.push(format!("cannot be read, what was in force stays: {error}"));
        }
        told.extend(self.problems.iter().map(|problem| {
            let serving = match problem.serving {
                // The document is in force, and one of its files is not what it was.
                Some(version) if version == problem.version => "serving what it was".to_owned(),
                Some(version) => format!("serving version {version}"),
                None => "not served".to_owned(),
            };
            let ConfigProblem {
                cluster,
                version,
                error,
                ..
            } = problem;
            format!("cluster {cluster}: version {version} cannot be used, {serving}: {error}")
        }));
        match (self.generation, told.as_slice()) {
            (None, []) => State::Failing("not read yet".to_owned()),
            (None, some) => State::Failing(some.join("; ")),
            (Some(_), []) => State::Ok,
            (Some(_), some) => State::Degraded(some.join("; ")),
        }
    }
}

impl From<Verifier> for Live {
    fn from(verifier: Verifier) -> Self {
        Self(Arc::new(Inner {
            verifier: watch::Sender::new(Arc::new(verifier)),
            status: watch::Sender::default(),
            wake: Notify::new(),
            reading: Mutex::default(),
        }))
    }
}

impl Live {
    /// The verifier of this moment, to be kept for as long as one login takes.
    #[must_use]
    pub fn current(&self) -> Arc<Verifier> {
        self.0.verifier.borrow().clone()
    }

    /// How far the configuration is.
    #[must_use]
    pub fn status(&self) -> ConfigStatus {
        self.0.status.borrow().clone()
    }

    /// Tells whoever waits when the status changes. The verifier of a generation is in place before it is told.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<ConfigStatus> {
        self.0.status.subscribe()
    }

    /// Has the store asked at once, for whoever has just changed it.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Puts another verifier in the place of this one.
    pub fn replace(&self, verifier: Verifier) {
        self.0.verifier.send_replace(Arc::new(verifier));
    }
}

/// A cluster as it was read.
struct Read {
    version: u64,
    /// `None`: there is no AgentAttestation, so nobody may join.
    result: Result<Option<Cluster>, DocumentError>,
    watched: Watched,
}

impl Clusters {
    /// Keeps `live` in step with the store, for ever.
    pub async fn follow(&self, live: &Live) {
        let mut asked = 0u32;
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = live.0.wake.notified() => {}
            }
            asked = asked.wrapping_add(1);
            // An error stands in the status, and what was in force stays.
            let _ = self.refresh(live, asked.is_multiple_of(RETRY)).await;
        }
    }

    /// Brings `live` in step with the store; with `retry`, also tries again what could not be used.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing has changed then but the status.
    pub async fn refresh(&self, live: &Live, retry: bool) -> Result<(), StoreError> {
        let mut named = live.0.reading.lock().await;
        let result = self.step(live, &mut named, retry).await;
        let error = result.as_ref().err().map(ToString::to_string);
        live.0.status.send_if_modified(|status| {
            if status.store_error == error {
                return false;
            }
            match &error {
                Some(error) => tracing::error!(error, "{}", names::CONFIG_UNREADABLE),
                None => tracing::info!("{}", names::CONFIG_READABLE),
            }
            status.store_error.clone_from(&error);
            true
        });
        result
    }

    async fn step(&self, live: &Live, named: &mut Named, retry: bool) -> Result<(), StoreError> {
        let before = live.status();
        // Asked before anything is read: what comes in between is read twice and never missed.
        let generation = self.store.config_generation().await?;
        // A store that was restored from a backup may be behind: all of it is read then, and all that it does not have
        // is forgotten.
        let since = before.generation.filter(|known| *known <= generation);
        let mut versions = match since {
            Some(known) if known == generation => Vec::new(),
            known => self.store.config_in_force(known.unwrap_or(0)).await?,
        };
        if since.is_none() {
            *named = self.base.named();
        }
        let files = named.clone();
        let changed = tokio::task::spawn_blocking(move || changed(&files))
            .await
            .map_err(|_| StoreError::Damaged("configuration"))?;
        // What could not be used is not tried at every question.
        let troubled = |name: &String| before.problems.iter().any(|p| p.cluster == *name);
        let mut again: BTreeSet<String> = changed.into_iter().filter(|n| !troubled(n)).collect();
        if retry {
            again.extend(before.problems.iter().map(|p| p.cluster.clone()));
        }
        for name in &again {
            if !versions.iter().any(|v| v.entry.cluster == *name) {
                versions.extend(self.store.config_at(name, None).await?);
            }
        }
        if versions.is_empty() && again.is_empty() && since == Some(generation) {
            return Ok(());
        }
        let base = self.base.clone();
        let read = tokio::task::spawn_blocking(move || read(&base, versions, again))
            .await
            .map_err(|_| StoreError::Damaged("configuration"))?;
        self.serve(live, named, &before, generation, since.is_none(), read);
        Ok(())
    }

    /// Puts what was read in force; `all` when it is everything that there is.
    fn serve(
        &self,
        live: &Live,
        named: &mut Named,
        before: &ConfigStatus,
        generation: u64,
        all: bool,
        read: BTreeMap<String, Read>,
    ) {
        let old = live.current();
        let mut next = Verifier::clone(&old);
        let mut problems: BTreeMap<String, ConfigProblem> = BTreeMap::new();
        if all {
            next.clusters = self.base.served();
            next.unusable.clear();
        } else {
            let kept = before.problems.iter();
            problems = kept.map(|p| (p.cluster.clone(), p.clone())).collect();
        }
        for (name, read) in read {
            let Read {
                version,
                result,
                watched,
            } = read;
            next.unusable.remove(&name);
            problems.remove(&name);
            if result.is_ok() {
                named.insert(name.clone(), Arc::new(watched));
            }
            match result {
                Ok(Some(cluster)) => {
                    let known = old.clusters.get(&name).map(|c| c.version);
                    let told = match known == Some(version) {
                        true => names::CONFIG_BUILT_ANEW,
                        false => names::CONFIG_SERVED,
                    };
                    tracing::info!(cluster = name, version, "{}", told);
                    next.clusters.insert(name, Arc::new(cluster));
                }
                Ok(None) => {
                    if old.clusters.contains_key(&name) {
                        tracing::warn!(cluster = name, version, "{}", names::CONFIG_REMOVED);
                    }
                    next.clusters.remove(&name);
                }
                Err(error) => {
                    // Before the store was read for the first time, the service's own configuration is all there is;
                    // it is not what was set.
                    let first = before.generation.is_none();
                    let kept = old.clusters.get(&name).filter(|_| !first);
                    let problem = ConfigProblem {
                        cluster: name.clone(),
                        version,
                        serving: kept.map(|cluster| cluster.version),
                        error: error.to_string(),
                        hint: error.hint.clone(),
                    };
                    if !before.problems.contains(&problem) {
                        tracing::error!(
                            cluster = name,
                            version,
                            serving = problem.serving,
                            error = problem.error,
                            hint = problem.hint,
                            "{}",
                            names::CONFIG_REFUSED
                        );
                    }
                    match kept {
                        Some(cluster) => {
                            next.clusters.insert(name.clone(), cluster.clone());
                        }
                        None => {
                            next.clusters.remove(&name);
                            let why = format!(
                                "version {version} of its configuration cannot be used: {error}"
                            );
                            next.unusable.insert(name.clone(), why);
                        }
                    }
                    problems.insert(name, problem);
                }
            }
        }
        live.replace(next);
        live.0.status.send_modify(|status| {
            status.generation = Some(generation);
            status.problems = problems.into_values().collect();
        });
    }
}

/// The clusters of which a file is no longer what it was.
fn changed(named: &Named) -> Vec<String> {
    let changed = named.iter().filter(|(_, watched)| watched.has_changed());
    changed.map(|(name, _)| name.clone()).collect()
}

/// The clusters of these versions and of these names.
fn read(
    base: &Base,
    versions: Vec<ConfigVersion>,
    mut names: BTreeSet<String>,
) -> BTreeMap<String, Read> {
    names.extend(versions.iter().map(|v| v.entry.cluster.clone()));
    let read = names.into_iter().map(|name| {
        let own = versions.iter().filter(|v| v.entry.cluster == name);
        let own: Vec<_> = own.cloned().collect();
        let version = last(&own);
        let watched = Watched::default();
        let result = cluster(base, &name, version, &own, &watched);
        let read = Read {
            version,
            result,
            watched,
        };
        (name, read)
    });
    read.collect()
}

/// A cluster whole: a section that cannot be used is no reason to serve the others without it.
fn cluster(
    base: &Base,
    name: &str,
    version: u64,
    sections: &[ConfigVersion],
    watched: &Watched,
) -> Result<Option<Cluster>, DocumentError> {
    let attestation = Section::AgentAttestation.name();
    let is_set = |own: &ConfigVersion| own.entry.section == attestation && own.document.is_some();
    // What is not in force is no reason to fail.
    let own = base.clusters.get(name);
    let own = own.filter(|_| !sections.iter().any(is_set));
    let mut policies = own.map(|own| base_policies(own, watched)).transpose()?;
    let mut issuance = None;
    for ConfigVersion { entry, document } in sections {
        let Some(text) = document else { continue };
        let file = stored_name(name, &entry.section, entry.version);
        let section = Section::from_name(&entry.section)
            .ok_or_else(|| unknown_section(&file, &entry.section))?;
        match sections::build(section, &file, text, base.files().watched_by(watched))? {
            Built::Attestation(built) => policies = Some(built),
            Built::Issuance(built) => issuance = Some(built),
        }
    }
    Ok(policies.map(|policies| Cluster {
        policies,
        issuance,
        version,
    }))
}

/// The policies of the service's own configuration: those of the start, unless one of their files has changed since.
fn base_policies(own: &BaseCluster, watched: &Watched) -> Result<Arc<PolicySet>, DocumentError> {
    match &own.source {
        Some(source) if source.watched().has_changed() => source.build(watched).map(Arc::new),
        Some(source) => {
            watched.adopt(source.watched());
            Ok(own.policies.clone())
        }
        None => Ok(own.policies.clone()),
    }
}
