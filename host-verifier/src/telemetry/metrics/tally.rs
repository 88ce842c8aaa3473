//! What a login's proofs count for: one success or failure per method, whatever the number of policies that asked.
//!
//! A method may be judged by several policies' entries, and of two allow-lists a good node is usually in one only. Counted
//! by entry, every such login would count a failure and the alerts on failures would never rest. So a method counts
//! once per login, when it ends: as a success if any entry was proven, as a failure if none was and one failed.

use std::collections::BTreeMap;

use super::Metrics;
use super::labels::{self, UNANSWERED};
use crate::login::{Step, StepName};
use assay_common::policy::AttestorKind;

/// A login's proofs so far.
#[derive(Debug, Clone, Default)]
pub struct Tally(BTreeMap<&'static str, Seen>);

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    proven: bool,
    failed: Option<&'static str>,
}

impl Tally {
    /// Takes in what was found out.
    pub fn see(&mut self, steps: &[Step]) {
        for step in steps {
            let Some(method) = &step.method else { continue };
            // A name that this program does not know is none that it gave.
            let name = AttestorKind::from_name(method).map_or(labels::OTHER, labels::method);
            let seen = self.0.entry(name).or_default();
            if step.is_failed() {
                seen.failed = Some(step.fault.map_or(UNANSWERED, |fault| fault.name()));
            } else if step.proven && matches!(step.step, StepName::Evidence | StepName::Response) {
                seen.proven = true;
            }
        }
    }

    /// Counts what was seen, at the login's end, and begins anew.
    pub fn count(&mut self, metrics: &Metrics) {
        let mut failed = std::collections::BTreeSet::new();
        for (method, seen) in std::mem::take(&mut self.0) {
            match seen {
                Seen { proven: true, .. } => metrics.proof(method, None),
                Seen {
                    failed: Some(reason),
                    ..
                } => {
                    metrics.proof(method, Some(reason));
                    failed.insert(labels::spire_method(method));
                }
                Seen { .. } => {}
            }
        }
        for family in failed {
            metrics.spire_failure(family);
        }
    }
}
