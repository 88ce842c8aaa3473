//! How a failed check is mended, as `docs/methods` says it: the documents are the one place that it is written down.

use assay_common::policy::AttestorKind;

use crate::attestor::registry::document;

/// How a failed check of a method is mended: the last column of its table of errors. Where the table has no such check, the
/// document that may say more.
pub(super) fn of(kind: AttestorKind, check: &str) -> String {
    let rows = document(kind).into_iter().flat_map(rows);
    let mend = rows
        .filter(|(checks, _)| {
            checks
                .split('`')
                .skip(1)
                .step_by(2)
                .any(|name| name == check)
        })
        .find_map(|(_, mend)| (!mend.is_empty()).then_some(mend));
    mend.unwrap_or_else(|| format!("docs/methods/{kind}.md says what `{check}` looks at"))
}

/// First and last cell of each row of the table below `# Errors`.
fn rows(document: &'static str) -> impl Iterator<Item = (String, String)> {
    let section = document
        .split_once("\n# Errors\n")
        .map_or("", |(_, section)| section);
    let section = section
        .split_once("\n# ")
        .map_or(section, |(section, _)| section);
    section.lines().filter_map(|line| {
        let line = line.strip_prefix("| `")?.strip_suffix('|')?;
        // A bar in a cell is escaped.
        let cells = line.replace("\\|", "\0");
        let mut cells = cells.split('|');
        let checks = format!("`{}", cells.next()?);
        let mend = cells.next_back()?.trim().replace('\0', "|");
        Some((checks, mend))
    })
}

#[cfg(test)]
mod tests {
    use assay_common::policy::AttestorKind;

    use super::{of, rows};
    use crate::attestor::registry::{BUILT, document};

    #[test]
    fn every_method_has_a_table_that_is_read() {
        for kind in BUILT {
            let rows: Vec<_> = document(*kind).into_iter().flat_map(rows).collect();
            assert!(!rows.is_empty(), "{kind}");
            for (checks, mend) in rows {
                assert!(checks.matches('`').count() >= 2, "{kind}: {checks}");
                assert!(
                    !mend.contains('\0') && !mend.ends_with('\\'),
                    "{kind}: {mend}"
                );
            }
        }
    }

    #[test]
    fn a_check_is_mended_as_its_document_says() {
        let of = |kind, check| of(kind, check);
        assert_eq!(
            of(AttestorKind::X509POP, "not-yet-valid"),
            "renew the certificate; look at the clocks"
        );
        assert!(of(AttestorKind::TPM_DEVID, "devid-attributes").contains("'fixedtpm|fixedparent|"));
        assert!(of(AttestorKind::X509POP, "no-such-check").contains("docs/methods/x509pop.md"));
        // A part of a name is none.
        assert!(of(AttestorKind::X509POP, "not-yet").contains("docs/methods/x509pop.md"));
    }
}
