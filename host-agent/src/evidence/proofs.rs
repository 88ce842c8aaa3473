//! How many proofs were made and failed, for whoever watches the agent.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_common::policy::AttestorKind;

/// The metric, in Prometheus' form.
const NAME: &str = "spirl_attestation_agent_proof_total";
const HELP: &str = "Proofs that a login asked for, by method. outcome is success when one was made, failed when none could be; \
    whether the verifier accepts it is the verifier's to count.";

/// Counts by method. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Proofs(Arc<Mutex<BTreeMap<AttestorKind, Counts>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    success: u64,
    failed: u64,
}

impl Proofs {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<AttestorKind, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a method in the page before anything is asked of it.
    pub(crate) fn know(&self, kind: AttestorKind) {
        self.counts().entry(kind).or_default();
    }

    /// Counts a proof, or that there is none.
    pub(crate) fn count(&self, kind: AttestorKind, made: bool) {
        let mut all = self.counts();
        let counts = all.entry(kind).or_default();
        let one = match made {
            true => &mut counts.success,
            false => &mut counts.failed,
        };
        *one = one.saturating_add(1);
    }

    /// The page: Prometheus' text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = format!("# HELP {NAME} {HELP}\n# TYPE {NAME} counter\n");
        for (kind, counts) in self.counts().iter() {
            for (outcome, count) in [("success", counts.success), ("failed", counts.failed)] {
                // Names of methods are the program's own: nothing in them is to be escaped.
                let _ = writeln!(
                    page,
                    "{NAME}{{attestor_type=\"{kind}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use assay_common::policy::AttestorKind;

    use super::Proofs;

    #[test]
    fn a_method_is_in_the_page_from_the_start_and_is_counted_by_what_came_of_it() {
        let proofs = Proofs::default();
        proofs.know(AttestorKind::X509POP);
        proofs.know(AttestorKind::SSH_POP);
        let clone = proofs.clone();
        clone.count(AttestorKind::X509POP, true);
        clone.count(AttestorKind::X509POP, true);
        clone.count(AttestorKind::X509POP, false);
        let page = proofs.render();
        let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        let line = |kind: &str, outcome: &str, count: u32| {
            format!(
                "spirl_attestation_agent_proof_total{{attestor_type=\"{kind}\",outcome=\"{outcome}\"}} {count}"
            )
        };
        for expected in [
            line("x509pop", "success", 2),
            line("x509pop", "failed", 1),
            line("ssh_pop", "success", 0),
            line("ssh_pop", "failed", 0),
        ] {
            assert!(lines.contains(&expected.as_str()), "{page}");
        }
        assert_eq!(lines.len(), 4, "{page}");
    }
}
