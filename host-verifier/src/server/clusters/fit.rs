//! Whether what a change leaves in force fits together.

use std::sync::Arc;

use super::change::stored_name;
use super::sections::{self, Built};
use super::{ChangeError, Clusters};
use crate::document::DocumentError;
use crate::policy::fit::{self, Fit};
use crate::policy::{Issuance, PolicySet, Section};
use crate::store::{ConfigChange, ConfigVersion};

/// What a cluster would have, and what errors call the document with its template.
#[derive(Default)]
struct Together {
    policies: Option<Arc<PolicySet>>,
    issuance: Option<(Arc<Issuance>, String)>,
}

impl Clusters {
    /// Holds the templates that would be in force after a change against the policies that would be. `names` is what errors
    /// call the documents of the change, by section. What the operator should know of it otherwise is the answer.
    ///
    /// A document that stays, and that this release cannot use, is left out: the change is not what is wrong with it.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Document`] for a template that no policy can fill.
    pub(super) async fn fit(
        &self,
        change: &ConfigChange,
        names: &[(Section, String)],
    ) -> Result<Vec<String>, ChangeError> {
        let now = self.store.config_at(&change.cluster, None).await?;
        let base = self.base.clusters.get(&change.cluster);
        let mut together = Together {
            policies: base.map(|base| base.policies.clone()),
            issuance: None,
        };
        for section in Section::of_clusters() {
            let given = change
                .sections
                .iter()
                .find(|(name, _)| name == section.name());
            let text = match given {
                Some((_, text)) => text.clone(),
                None => stored(&now, section).and_then(|own| own.document.clone()),
            };
            let Some(text) = text else { continue };
            let named = names.iter().find(|(known, _)| *known == section);
            let file = match (named, given, stored(&now, section)) {
                (Some((_, file)), ..) => file.clone(),
                (None, None, Some(own)) => {
                    stored_name(&change.cluster, section.name(), own.entry.version)
                }
                _ => section.name().to_owned(),
            };
            match sections::build(section, &file, &text, self.base.files()) {
                Ok(Built::Attestation(policies)) => together.policies = Some(policies),
                Ok(Built::Issuance(issuance)) => together.issuance = Some((issuance, file)),
                Err(error) if given.is_some() => return Err(error.into()),
                Err(_) => return Ok(Vec::new()),
            }
        }
        let Some(policies) = &together.policies else {
            return Ok(Vec::new());
        };
        let (fit, file) = match (&together.issuance, &self.base.template) {
            (Some((issuance, file)), _) => (fit::issuance(policies, issuance), file),
            (None, Some(own)) => (fit::template(policies, &own.path, own.at), &own.file),
            (None, None) => return Ok(Vec::new()),
        };
        told(fit, file)
    }
}

fn stored(now: &[ConfigVersion], section: Section) -> Option<&ConfigVersion> {
    now.iter().find(|own| own.entry.section == section.name())
}

/// The first error, or the warnings in words.
fn told(fit: Fit, file: &str) -> Result<Vec<String>, ChangeError> {
    if let Some(misfit) = fit.errors.into_iter().next() {
        let error = DocumentError::new(file, misfit.message);
        return Err(error.at(misfit.at).hint(misfit.hint).into());
    }
    let told = fit.warnings.into_iter().map(|misfit| {
        let (line, column) = (misfit.at.line, misfit.at.column);
        format!(
            "{file}:{line}:{column}: {}: {}",
            misfit.message, misfit.hint
        )
    });
    Ok(told.collect())
}
