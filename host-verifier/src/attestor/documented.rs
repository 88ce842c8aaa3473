//! What the documents of the methods list, of which the code that is built in has no other list: the names of checks, and the
//! settings of agents, whose code is none of the verifier's. The agent's tests hold its settings against the same tables.

use assay_common::policy::AttestorKind;

use super::registry::document;

/// The check of `kind` with this name, of the table below `# Errors` in its document; `None` when that has no such name.
#[must_use]
pub fn check(kind: AttestorKind, name: &str) -> Option<&'static str> {
    let (_, section) = document(kind)?.split_once("\n# Errors\n")?;
    let table = section.split("\n# ").next()?;
    let cells = table.lines().filter_map(|line| {
        let line = line.strip_prefix("| ")?;
        line.split(" |").next()
    });
    // What stands between backticks in the first cell.
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .find(|known| *known == name)
}

/// A setting of a method in an agent's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentSetting {
    /// What it is called.
    pub name: &'static str,
    /// Whether an agent needs it.
    pub is_required: bool,
}

/// The settings of `kind` in an agent's configuration, of the table below `# Agent configuration` in its document; `None` when
/// the method has no document. Methods of the TPM have none.
#[must_use]
pub fn agent_settings(kind: AttestorKind) -> Option<Vec<AgentSetting>> {
    let (_, section) = document(kind)?.split_once("\n# Agent configuration\n")?;
    let section = section.split("\n# ").next()?;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let settings = rows.filter_map(|row| {
        let mut cells = row.split('|').map(str::trim);
        let name = cells.next()?.split('`').next()?;
        let default = cells.nth(1)?;
        Some(AgentSetting {
            name,
            is_required: default == "required",
        })
    });
    Some(settings.collect())
}

#[cfg(test)]
mod tests {
    use assay_common::policy::AttestorKind;

    use super::{agent_settings, check};

    #[test]
    fn the_settings_of_agents_are_those_of_the_documents() {
        let names = |kind| {
            let all = agent_settings(kind).unwrap_or_default();
            let all: Vec<_> = all.iter().map(|one| (one.name, one.is_required)).collect();
            all
        };
        assert_eq!(
            names(AttestorKind::X509POP),
            [
                ("privateKeyPath", true),
                ("certificatePath", true),
                ("intermediatesPath", false)
            ]
        );
        assert!(names(AttestorKind::AWS_IID).contains(&("retryDelay", false)));
        assert!(names(AttestorKind::TPM_EK).is_empty());
    }

    #[test]
    fn a_check_is_known_by_its_whole_name_and_to_its_own_method() {
        let name = "name-not-found";
        assert_eq!(check(AttestorKind::HTTP_DNS, name), Some(name));
        assert_eq!(check(AttestorKind::EXTENSION, name), None);
        let name = "webhook-connect";
        assert_eq!(check(AttestorKind::EXTENSION, name), Some(name));
        for none in ["", "connect", "webhook-connec", "check", "caCerts"] {
            assert_eq!(check(AttestorKind::EXTENSION, none), None, "{none}");
        }
    }
}
