//! The tables of `docs/methods` on the agent's settings list exactly the fields that are read.

use std::collections::BTreeSet;
use std::path::Path;

use assay_common::policy::AttestorKind;
use serde_json::json;

use super::{Surroundings, registry};

/// The first column of the tables below `# Agent configuration`.
fn documented(document: &str) -> BTreeSet<String> {
    let (_, section) = document.split_once("\n# Agent configuration\n").unwrap();
    let section = section.split("\n# ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(str::to_owned)
    })
    .collect()
}

/// The fields that a configuration knows: serde lists them when it meets another one.
fn known(kind: AttestorKind) -> BTreeSet<String> {
    let unknown = json!({"no such field": 1});
    let error = registry::deserialize_config(kind, unknown).unwrap_err();
    let error = error.to_string();
    let (_, list) = error.split_once("expected ").unwrap_or_default();
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn around(kind: AttestorKind) -> Surroundings<'static> {
    Surroundings {
        kind,
        base: Path::new("/nonexistent"),
        cluster: "lab",
        trust_domain: "example.org",
    }
}

#[test]
fn the_tables_of_the_documents_list_exactly_the_fields() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/methods");
    for kind in registry::BUILT {
        let document = std::fs::read_to_string(folder.join(format!("{kind}.md"))).unwrap();
        let mut known = known(*kind);
        assert!(!known.is_empty(), "{kind}");
        // Kubernetes' methods share their settings, and this one takes all but one.
        if *kind == AttestorKind::K8S_TOKEN {
            let config = json!({"cluster": "east"});
            let config = registry::deserialize_config(*kind, config).unwrap();
            let refused = config.build(&around(*kind)).unwrap_err();
            assert_eq!(refused.what, "`k8s_token` with `cluster`");
            known.remove("cluster");
        }
        assert_eq!(documented(&document), known, "{kind}");
    }
    // The methods of the TPM have none.
    for kind in [AttestorKind::TPM_EK, AttestorKind::TPM_QUOTE] {
        let document = std::fs::read_to_string(folder.join(format!("{kind}.md"))).unwrap();
        assert_eq!(documented(&document), BTreeSet::new(), "{kind}");
    }
}
