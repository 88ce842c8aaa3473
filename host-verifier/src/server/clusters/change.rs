//! Changes: checked whole before anything is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChangeError, Clusters, check_name, sections};
use crate::audit::Change;
use crate::document::DocumentError;
use crate::policy::Section;
use crate::store::{ConfigChange, ConfigOutcome, ConfigVersion};

/// Longest remark on a change, bytes.
pub const MAX_COMMENT: usize = 1024;
/// Longest name of who makes a change, bytes.
pub const MAX_AUTHOR: usize = 256;
/// How often a change that is made from what is stored begins anew when others come between.
const ATTEMPTS: usize = 8;

/// A document as it was handed in.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// What errors call it.
    pub file: String,
    /// The text.
    pub text: String,
}

/// Who makes a change, and on what terms.
#[derive(Debug, Clone)]
pub struct By {
    /// Who, as the record shall have it.
    pub author: String,
    /// What they say about it; may be empty.
    pub comment: String,
    /// The version that the cluster must have; `None` for whichever it has.
    pub expected: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// Check everything, store nothing.
    pub dry_run: bool,
}

/// What a change did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The cluster.
    pub cluster: String,
    /// Its version now; for a trial, the version that it would get.
    pub version: u64,
    /// False when all of it was in force already.
    pub changed: bool,
    /// Nothing was stored, because that was asked for.
    pub dry_run: bool,
    /// The sections that were given.
    pub sections: Vec<SectionChange>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// A section of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SectionChange {
    /// Its name.
    pub section: String,
    /// SHA-256 of the document in hex; `None` when it is removed.
    pub sha256: Option<String>,
}

impl Changed {
    /// For the audit trail: `action`, and what is in force by it. `None` when nothing was changed.
    #[must_use]
    pub fn record(&self, action: &'static str) -> Option<Change> {
        if !self.changed || self.dry_run {
            return None;
        }
        let sections = self.sections.iter().map(|section| {
            let digest = section.sha256.as_deref().unwrap_or("removed");
            format!("{} {digest}", section.section)
        });
        let sections: Vec<_> = sections.collect();
        let detail = format!("version {}: {}", self.version, sections.join(", "));
        Some(Change::new(action, "cluster", &self.cluster).detail(detail))
    }
}

impl Clusters {
    /// Puts documents in force, all together or none: each a section of its own, read whole with every file that it
    /// names.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; nothing is changed then.
    pub async fn set(
        &self,
        cluster: &str,
        documents: &[Submitted],
        by: &By,
    ) -> Result<Changed, ChangeError> {
        check_name(cluster)?;
        let mut given: Vec<(Section, &Submitted)> = Vec::new();
        for document in documents {
            let section = sections::section(&document.file, &document.text)?;
            if let Some((_, first)) = given.iter().find(|(known, _)| *known == section) {
                return Err(ChangeError::Twice {
                    file: document.file.clone(),
                    section: section.name(),
                    first: first.file.clone(),
                });
            }
            sections::build(section, &document.file, &document.text, self.base.files())?;
            given.push((section, document));
        }
        let names = given
            .iter()
            .map(|(section, document)| (*section, document.file.clone()));
        let names: Vec<_> = names.collect();
        let texts = given.into_iter().map(|(section, document)| {
            let text = document.text.clone();
            (section.name().to_owned(), Some(text))
        });
        self.change(cluster, texts.collect(), &names, None, by)
            .await
    }

    /// Takes sections out of force, or all of them when none is named. What `assayd.yaml` says of the cluster then holds
    /// again; where it says nothing, the cluster is no longer served.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; nothing is changed then.
    pub async fn remove(
        &self,
        cluster: &str,
        sections: &[Section],
        by: &By,
    ) -> Result<Changed, ChangeError> {
        check_name(cluster)?;
        let known = self.store.config_at(cluster, None).await?;
        let set = known.iter().filter(|s| s.document.is_some());
        let set: Vec<_> = set.map(|s| s.entry.section.clone()).collect();
        let version = last(&known);
        let gone = match sections {
            [] if set.is_empty() => {
                return Err(ChangeError::UnknownCluster(cluster.to_owned()));
            }
            [] => set,
            some => {
                let names = some.iter().map(|section| section.name().to_owned());
                let names: Vec<_> = names.collect();
                if let Some(section) = names.iter().find(|name| !set.contains(name)) {
                    return Err(ChangeError::NoSection {
                        cluster: cluster.to_owned(),
                        section: section.clone(),
                        version,
                    });
                }
                names
            }
        };
        let gone = gone.into_iter().map(|section| (section, None)).collect();
        self.change(cluster, gone, &[], None, by).await
    }

    /// Puts in force again what was at version `to`, all of it or one section; 0 is before anything was set. The
    /// documents are read anew: what this release does not accept is not taken up again.
    ///
    /// # Errors
    ///
    /// [`ChangeError`]; nothing is changed then.
    pub async fn rollback(
        &self,
        cluster: &str,
        section: Option<Section>,
        to: u64,
        by: &By,
    ) -> Result<Changed, ChangeError> {
        check_name(cluster)?;
        for _ in 0..ATTEMPTS {
            let now = self.store.config_at(cluster, None).await?;
            let head = last(&now);
            if now.is_empty() {
                return Err(ChangeError::UnknownCluster(cluster.to_owned()));
            }
            if to > head {
                return Err(ChangeError::NoVersion {
                    cluster: cluster.to_owned(),
                    version: to,
                    last: head,
                });
            }
            let then = self.store.config_at(cluster, Some(to)).await?;
            let wanted = now.iter().map(|s| s.entry.section.as_str());
            let wanted: Vec<_> = wanted
                .filter(|name| section.is_none_or(|section| section.name() == *name))
                .collect();
            if let (Some(section), []) = (section, wanted.as_slice()) {
                return Err(ChangeError::NoSection {
                    cluster: cluster.to_owned(),
                    section: section.name().to_owned(),
                    version: to,
                });
            }
            let mut texts = Vec::new();
            let mut names = Vec::new();
            for name in wanted {
                let old = then.iter().find(|old| old.entry.section == name);
                let text = old.and_then(|old| old.document.clone());
                if let Some(text) = &text {
                    self.read_anew(cluster, name, to, text)?;
                    let section = Section::from_name(name);
                    names.extend(section.map(|section| (section, stored_name(cluster, name, to))));
                }
                texts.push((name.to_owned(), text));
            }
            // What was read must still be so when it is written.
            let certain = By {
                expected: Some(by.expected.unwrap_or(head)),
                ..by.clone()
            };
            match self
                .change(cluster, texts, &names, Some(to), &certain)
                .await
            {
                Err(ChangeError::Conflict { .. }) if by.expected.is_none() => {}
                other => return other,
            }
        }
        Err(ChangeError::Contended(cluster.to_owned()))
    }

    fn read_anew(
        &self,
        cluster: &str,
        name: &str,
        version: u64,
        text: &str,
    ) -> Result<(), DocumentError> {
        let file = stored_name(cluster, name, version);
        let Some(section) = Section::from_name(name) else {
            return Err(unknown_section(&file, name));
        };
        sections::build(section, &file, text, self.base.files()).map(drop)
    }

    async fn change(
        &self,
        cluster: &str,
        sections: Vec<(String, Option<String>)>,
        names: &[(Section, String)],
        rollback_of: Option<u64>,
        by: &By,
    ) -> Result<Changed, ChangeError> {
        if sections.is_empty() {
            return Err(ChangeError::Nothing);
        }
        remark("the comment", &by.comment, MAX_COMMENT)?;
        remark("the author's name", &by.author, MAX_AUTHOR)?;
        let change = ConfigChange {
            cluster: cluster.to_owned(),
            sections,
            expected: by.expected,
            author: by.author.clone(),
            comment: by.comment.clone(),
            changed_at: by.at,
            rollback_of,
        };
        let mut notes = self.fit(&change, names).await?;
        let outcome = match by.dry_run {
            true => self.tried(&change).await?,
            false => self.store.change_config(&change).await?,
        };
        let (version, changed) = match outcome {
            ConfigOutcome::Changed(version) => (version, true),
            ConfigOutcome::Unchanged(version) => (version, false),
            ConfigOutcome::Conflict(current) => {
                return Err(ChangeError::Conflict {
                    cluster: cluster.to_owned(),
                    expected: by.expected.unwrap_or_default(),
                    current,
                });
            }
        };
        notes.extend(self.notes(&change).await?);
        let sections = change.sections.into_iter().map(|(section, document)| {
            let sha256 = document.map(|text| hex::encode(crate::store::config_digest(&text)));
            SectionChange { section, sha256 }
        });
        Ok(Changed {
            cluster: change.cluster,
            version,
            changed,
            dry_run: by.dry_run,
            sections: sections.collect(),
            notes,
        })
    }

    /// What a change would do at this moment.
    async fn tried(&self, change: &ConfigChange) -> Result<ConfigOutcome, ChangeError> {
        let now = self.store.config_at(&change.cluster, None).await?;
        let head = last(&now);
        if change.expected.is_some_and(|expected| expected != head) {
            return Ok(ConfigOutcome::Conflict(head));
        }
        let same = change.sections.iter().all(|(name, text)| {
            let known = now.iter().find(|s| s.entry.section == *name);
            known.and_then(|s| s.document.as_ref()) == text.as_ref()
        });
        Ok(match same {
            true => ConfigOutcome::Unchanged(head),
            false => ConfigOutcome::Changed(head.saturating_add(1)),
        })
    }

    /// What follows from a change and is easily overlooked.
    async fn notes(&self, change: &ConfigChange) -> Result<Vec<String>, ChangeError> {
        let attestation = Section::AgentAttestation.name();
        let given = change.sections.iter().find(|(name, _)| name == attestation);
        let set = match given {
            Some((_, text)) => text.is_some(),
            None => {
                let now = self.store.config_at(&change.cluster, None).await?;
                now.iter()
                    .any(|s| s.entry.section == attestation && s.document.is_some())
            }
        };
        let base = self.base.clusters.get(&change.cluster);
        Ok(match (set, base, given) {
            (true, ..) | (false, Some(_), None) => Vec::new(),
            (false, Some(base), Some(_)) => vec![format!(
                "the AgentAttestation of the service's own configuration is in force again: {}",
                base.origin
            )],
            (false, None, _) => {
                vec!["without an AgentAttestation no node can log in to this cluster".to_owned()]
            }
        })
    }
}

/// The version that a cluster is at, from all its sections.
pub(super) fn last(sections: &[ConfigVersion]) -> u64 {
    sections.iter().map(|s| s.entry.version).max().unwrap_or(0)
}

/// What errors call a document that is in the store.
pub(super) fn stored_name(cluster: &str, section: &str, version: u64) -> String {
    format!("{cluster}/{section}@{version}")
}

/// Another release may have stored it.
pub(super) fn unknown_section(file: &str, name: &str) -> DocumentError {
    let names: Vec<_> = Section::of_clusters().map(Section::name).collect();
    DocumentError::new(file, format!("this version does not know section `{name}`")).hint(format!(
        "known here: {}; run the version that set it, or remove the section",
        names.join(", ")
    ))
}

fn remark(what: &str, text: &str, limit: usize) -> Result<(), ChangeError> {
    if text.len() > limit {
        return Err(ChangeError::Remark(format!(
            "{what} has more than {limit} bytes"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(ChangeError::Remark(format!(
            "{what} has a control character"
        )));
    }
    Ok(())
}
