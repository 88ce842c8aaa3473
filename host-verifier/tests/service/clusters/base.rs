//! The service's own configuration under what is set: its clusters, and the files that documents may name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assay_host_verifier::config::Config;
use assay_host_verifier::policy::Section;
use assay_host_verifier::server::Clusters;
use assay_host_verifier::server::clusters::{Base, ChangeError, Origin};
use assay_host_verifier::store::MemoryStore;

use super::{by, document, issuance, one_hash};

/// Over an assayd.yaml with cluster `lab`, below a directory.
fn over_a_file(dir: &Path, keys: &str) -> Clusters {
    std::fs::write(dir.join("lab.yaml"), one_hash('1')).unwrap();
    let text =
        format!("trustDomain: example.org\ndataDir: d\nclusters: {{lab: lab.yaml}}\n{keys}\n");
    let config = Config::parse("assayd.yaml", &text, dir).unwrap();
    Clusters::new(Base::from(&config), Arc::new(MemoryStore::new()))
}

#[tokio::test]
async fn what_is_set_goes_before_assayd_yaml_and_that_holds_again_when_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let clusters = over_a_file(dir.path(), "");
    let base = clusters.state("lab", None, None).await.unwrap();
    let place = dir.path().join("lab.yaml").display().to_string();
    assert_eq!(base.version, 0);
    assert_eq!(
        base.sections[0].origin,
        Origin::Service {
            place: place.clone()
        }
    );
    assert_eq!(base.sections[0].document, Some(one_hash('1')));
    assert!(
        clusters
            .history("lab", None, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    clusters.remove("lab", &[], &by()).await.unwrap_err();

    // One section leaves the other as the file has it.
    let template = issuance("/n/{{tpm_ek.public_hash}}");
    let set = clusters
        .set("lab", &[document(template)], &by())
        .await
        .unwrap();
    assert!(set.notes.is_empty(), "{set:?}");
    let state = clusters.state("lab", None, None).await.unwrap();
    assert_eq!(state.sections.len(), 2);
    assert!(matches!(state.sections[0].origin, Origin::Service { .. }));

    clusters
        .set("lab", &[document(one_hash('2'))], &by())
        .await
        .unwrap();
    let state = clusters.state("lab", None, None).await.unwrap();
    assert_eq!(state.sections[0].document, Some(one_hash('2')));
    let then = clusters.state("lab", None, Some(0)).await.unwrap();
    assert_eq!(then.sections, base.sections);

    let gone = clusters
        .remove("lab", &[Section::AgentAttestation], &by())
        .await
        .unwrap();
    assert_eq!(gone.version, 3);
    let note = format!(
        "the AgentAttestation of the service's own configuration is in force again: {place}"
    );
    assert_eq!(gone.notes, [note]);
    let state = clusters.state("lab", None, None).await.unwrap();
    assert_eq!(state.sections[0], base.sections[0]);
    let again = clusters
        .remove("lab", &[Section::AgentAttestation], &by())
        .await
        .unwrap_err();
    assert!(matches!(again, ChangeError::NoSection { .. }), "{again}");

    clusters
        .set("b", &[document(one_hash('3'))], &by())
        .await
        .unwrap();
    let lonely = clusters
        .set(
            "c",
            &[document(issuance("/n/{{tpm_ek.public_hash}}"))],
            &by(),
        )
        .await
        .unwrap();
    assert_eq!(
        lonely.notes,
        ["without an AgentAttestation no node can log in to this cluster"]
    );
    let names = |list: Vec<assay_host_verifier::server::clusters::ClusterState>| {
        list.into_iter()
            .map(|state| state.cluster)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(clusters.list(None, 10).await.unwrap()),
        ["b", "c", "lab"]
    );
    assert_eq!(names(clusters.list(None, 1).await.unwrap()), ["b"]);
    assert_eq!(
        names(clusters.list(Some("b"), 10).await.unwrap()),
        ["c", "lab"]
    );
    let exists: BTreeMap<_, _> = [
        ("lab", clusters.exists("lab").await.unwrap()),
        ("b", clusters.exists("b").await.unwrap()),
        ("c", clusters.exists("c").await.unwrap()),
        ("d", clusters.exists("d").await.unwrap()),
    ]
    .into();
    assert_eq!(
        exists,
        [("lab", true), ("b", true), ("c", false), ("d", false)].into()
    );
}

/// Who may set policies may not read the service's files by naming them.
#[tokio::test]
async fn a_document_names_no_files_but_those_set_aside_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let pem = crate::vendor::Vendor::new("vendor").pem();
    std::fs::create_dir_all(dir.path().join("files")).unwrap();
    std::fs::write(dir.path().join("outside.pem"), &pem).unwrap();
    std::fs::write(dir.path().join("files/ca.pem"), &pem).unwrap();
    let naming = |name: &str| {
        let json = serde_json::to_string(name).unwrap();
        let entries = format!(
            "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{manufacturerCAs: [{json}]}}\n"
        );
        [document(super::attestation(&entries))]
    };
    let absolute = dir.path().join("outside.pem").display().to_string();

    let without = over_a_file(dir.path(), "");
    for name in ["ca.pem", "files/ca.pem", absolute.as_str()] {
        let error = without.set("lab", &naming(name), &by()).await.unwrap_err();
        assert!(error.to_string().contains("names no files here"), "{error}");
    }
    without.set("lab", &naming(&pem), &by()).await.unwrap();

    let with = over_a_file(dir.path(), "configFiles: files");
    for (name, told) in [
        (absolute.as_str(), "is not a plain path below configFiles"),
        ("../outside.pem", "is not a plain path below configFiles"),
        (
            "outside.pem",
            "there is no file \"outside.pem\" below configFiles",
        ),
    ] {
        let error = with.set("lab", &naming(name), &by()).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.to_string().starts_with("d.yaml:7:"), "{error}");
    }
    with.set("lab", &naming("ca.pem"), &by()).await.unwrap();

    let text = "trustDomain: example.org\ndataDir: d\nconfigFiles: none\n";
    let error = Config::parse("assayd.yaml", text, dir.path()).unwrap_err();
    assert_eq!((error.line, error.column), (3, 14));
    assert!(error.message.contains("is not a directory"), "{error}");
}
