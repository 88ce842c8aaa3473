//! The names of checks, as the documents of the methods list them: the code that is built in has no other list.

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

#[cfg(test)]
mod tests {
    use assay_common::policy::AttestorKind;

    use super::check;

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
