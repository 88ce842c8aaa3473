//! What is stored, and what is refused before anything is.

use std::sync::Arc;

use assay_host_verifier::policy::Section;
use assay_host_verifier::server::Clusters;
use assay_host_verifier::server::clusters::{Base, By, ChangeError, Origin, Submitted};
use assay_host_verifier::store::{ClusterConfigStore, MemoryStore};

use super::{A, S, by, document, issuance, one_hash};
use crate::config_versions::change;

fn clusters() -> (Clusters, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    (Clusters::new(Base::default(), store.clone()), store)
}

#[tokio::test]
async fn documents_are_stored_as_they_were_given_with_who_and_when() {
    let (clusters, _) = clusters();
    let text = format!("# mine\r\n{}", one_hash('1'));
    let who = By {
        comment: "first".to_owned(),
        expected: Some(0),
        ..by()
    };
    let given = [
        document(text.as_str()),
        document(issuance("/n/{{tpm_ek.public_hash}}")),
    ];
    let changed = clusters.set("lab", &given, &who).await.unwrap();
    assert_eq!((changed.version, changed.changed), (1, true));
    assert!(changed.notes.is_empty(), "{changed:?}");
    let state = clusters.state("lab", None, None).await.unwrap();
    let names: Vec<_> = state.sections.iter().map(|s| s.section.as_str()).collect();
    assert_eq!(names, [A, S]);
    let first = &state.sections[0];
    assert_eq!(first.document.as_deref(), Some(text.as_str()));
    let Origin::Store(version) = &first.origin else {
        panic!("{first:?}")
    };
    assert_eq!(version.sha256, changed.sections[0].sha256);
    assert_eq!(
        (version.author.as_str(), version.comment.as_str()),
        ("token:eve", "first")
    );
    let again = clusters.set("lab", &given, &by()).await.unwrap();
    assert_eq!((again.version, again.changed), (1, false));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place_and_nothing_is_stored() {
    let (clusters, store) = clusters();
    let good = one_hash('1');
    for (text, told, hint) in [
        (
            good.replace("tpm_ek", "tmp_ek"),
            "d.yaml:7:13: unknown attestor type `tmp_ek`",
            "did you mean `tpm_ek`?",
        ),
        (
            good.replace("AgentAttestation", "AgentAtestation"),
            "d.yaml:1:10: unknown section `AgentAtestation`",
            "did you mean `AgentAttestation`?",
        ),
        (
            good.replace("v1", "v2"),
            "d.yaml:2:9: schema is \"v2\"",
            "schema: v1",
        ),
        (
            issuance("/n/{{a}"),
            "d.yaml:5:19: pathTemplate: ",
            "for example",
        ),
        (
            "agent: {}".to_owned(),
            "d.yaml:1:1: this is an agent's settings, not a section of a cluster",
            "begin with `section:",
        ),
        (
            "trustDomain: a".to_owned(),
            "d.yaml:1:1: this is a service's own configuration, not a section of a cluster",
            "begin with `section:",
        ),
        (
            format!("{good}# \0"),
            "d.yaml:9:3: unexpected character",
            "",
        ),
        (String::new(), "d.yaml:1:1: ", ""),
    ] {
        // The second of two: the first is not stored either.
        let documents = [
            document(issuance("/n/{{tpm_ek.public_hash}}")),
            document(text.as_str()),
        ];
        let documents = match text.contains("SVID") {
            true => &documents[1..],
            false => &documents[..],
        };
        let error = clusters.set("lab", documents, &by()).await.unwrap_err();
        assert!(matches!(error, ChangeError::Document(_)), "{error:?}");
        assert!(error.to_string().starts_with(told), "{told}: {error}");
        assert!(
            error.hint().unwrap().contains(hint),
            "{hint}: {:?}",
            error.hint()
        );
    }
    for (cluster, documents, who, told) in [
        ("la b", vec![good.as_str()], by(), "cluster `la b`"),
        ("", vec![good.as_str()], by(), "cluster ``"),
        (
            "lab",
            vec![good.as_str(), good.as_str()],
            by(),
            "a second document of section AgentAttestation",
        ),
        ("lab", vec![], by(), "no document"),
        (
            "lab",
            vec![good.as_str()],
            By {
                comment: "a\nb".to_owned(),
                ..by()
            },
            "the comment has a control character",
        ),
        (
            "lab",
            vec![good.as_str()],
            By {
                comment: "a".repeat(1025),
                ..by()
            },
            "more than 1024 bytes",
        ),
        (
            "lab",
            vec![good.as_str()],
            By {
                author: "a".repeat(257),
                ..by()
            },
            "more than 256 bytes",
        ),
    ] {
        let documents: Vec<Submitted> = documents.into_iter().map(document).collect();
        let error = clusters.set(cluster, &documents, &who).await.unwrap_err();
        assert!(error.to_string().contains(told), "{told}: {error}");
        assert!(error.hint().is_some(), "{error}");
    }
    assert_eq!(store.config_generation().await.unwrap(), 0);
}

#[tokio::test]
async fn two_who_change_one_version_do_not_overwrite_each_other_unseen() {
    let (clusters, _) = clusters();
    let expecting = |version| By {
        expected: Some(version),
        ..by()
    };
    let set = async |digit: char, who: &By| {
        let documents = [document(one_hash(digit))];
        clusters.set("lab", &documents, who).await
    };
    set('1', &expecting(0)).await.unwrap();
    set('2', &expecting(1)).await.unwrap();
    let error = set('3', &expecting(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster `lab` is at version 2, not 1");
    // Also where the text would be the one in force, for a trial, a removal and a rollback.
    set('2', &expecting(1)).await.unwrap_err();
    let trial = By {
        dry_run: true,
        ..expecting(1)
    };
    set('3', &trial).await.unwrap_err();
    clusters
        .remove("lab", &[], &expecting(1))
        .await
        .unwrap_err();
    let error = clusters.rollback("lab", None, 1, &expecting(1)).await;
    assert!(
        matches!(error, Err(ChangeError::Conflict { .. })),
        "{error:?}"
    );
    let state = clusters.state("lab", None, None).await.unwrap();
    assert_eq!(state.sections[0].document, Some(one_hash('2')));
}

#[tokio::test]
async fn a_trial_checks_everything_and_changes_nothing() {
    let (clusters, store) = clusters();
    let trial = By {
        dry_run: true,
        ..by()
    };
    let good = [document(one_hash('1'))];
    let tried = clusters.set("lab", &good, &trial).await.unwrap();
    assert_eq!(
        (tried.version, tried.changed, tried.dry_run),
        (1, true, true)
    );
    let bad = [document(one_hash('x'))];
    clusters.set("lab", &bad, &trial).await.unwrap_err();
    assert_eq!(store.config_generation().await.unwrap(), 0);
    clusters.set("lab", &good, &by()).await.unwrap();
    let tried = clusters.set("lab", &good, &trial).await.unwrap();
    assert_eq!((tried.version, tried.changed), (1, false));
    clusters.remove("lab", &[], &trial).await.unwrap();
    assert_eq!(store.config_generation().await.unwrap(), 1);
}

#[tokio::test]
async fn a_rollback_is_a_new_version_with_the_state_of_an_old_one() {
    let (clusters, _) = clusters();
    let (first, second) = (one_hash('1'), one_hash('2'));
    let template = issuance("/n/{{tpm_ek.public_hash}}");
    for documents in [
        vec![document(first.as_str())],
        vec![document(second.as_str()), document(template.as_str())],
    ] {
        clusters.set("lab", &documents, &by()).await.unwrap();
    }
    // One section of two.
    let attestation = Some(Section::AgentAttestation);
    let back = clusters
        .rollback("lab", attestation, 1, &by())
        .await
        .unwrap();
    assert_eq!((back.version, back.sections.len()), (3, 1));
    let state = clusters.state("lab", None, None).await.unwrap();
    let texts = |state: &assay_host_verifier::server::clusters::ClusterState| {
        let texts = state.sections.iter().map(|s| s.document.clone().unwrap());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts(&state), [first.as_str(), template.as_str()]);
    // All of it: what was not there then is gone.
    let back = clusters.rollback("lab", None, 1, &by()).await.unwrap();
    assert_eq!(back.version, 4);
    let state = clusters.state("lab", None, None).await.unwrap();
    assert_eq!(texts(&state), [first.as_str()]);
    let history = clusters.history("lab", None, None, 10).await.unwrap();
    let shown: Vec<_> = history
        .iter()
        .map(|e| (e.state.version, e.section.as_str(), e.state.rollback_of))
        .collect();
    assert_eq!(
        shown,
        [
            (4, S, Some(1)),
            (3, A, Some(1)),
            (2, A, None),
            (2, S, None),
            (1, A, None)
        ]
    );
    // And forward again, and to nothing.
    clusters.rollback("lab", None, 2, &by()).await.unwrap();
    let state = clusters.state("lab", None, None).await.unwrap();
    assert_eq!(texts(&state), [second.as_str(), template.as_str()]);
    let gone = clusters.rollback("lab", None, 0, &by()).await.unwrap();
    assert_eq!(gone.notes.len(), 1, "{gone:?}");
    assert!(
        clusters
            .state("lab", None, None)
            .await
            .unwrap()
            .sections
            .is_empty()
    );
    let state = clusters.state("lab", None, Some(2)).await.unwrap();
    assert_eq!(texts(&state), [second.as_str(), template.as_str()]);

    for (cluster, section, to, told) in [
        (
            "lab",
            None,
            7,
            "cluster `lab` has no version 7; its last is 6",
        ),
        ("other", None, 1, "cluster `other` is not configured"),
    ] {
        let error = clusters
            .rollback(cluster, section, to, &by())
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), told);
    }
    let error = clusters.state("lab", None, Some(7)).await.unwrap_err();
    assert!(matches!(error, ChangeError::NoVersion { .. }), "{error}");
}

/// As an older or newer release may have stored them.
#[tokio::test]
async fn a_stored_document_that_this_release_refuses_is_shown_and_not_taken_up_again() {
    let (clusters, store) = clusters();
    let old = one_hash('1').replace("tpm_ek", "tpm_elder");
    for (section, text) in [(A, old.as_str()), ("Elder", "section: Elder\n")] {
        store
            .change_config(&change(&[(section, Some(text))]))
            .await
            .unwrap();
    }
    clusters
        .set("lab", &[document(one_hash('2'))], &by())
        .await
        .unwrap();
    let state = clusters.state("lab", None, Some(1)).await.unwrap();
    assert_eq!(state.sections[0].document.as_deref(), Some(old.as_str()));
    let attestation = Some(Section::AgentAttestation);
    let error = clusters
        .rollback("lab", attestation, 1, &by())
        .await
        .unwrap_err();
    let told = "lab/AgentAttestation@1:7:13: unknown attestor type `tpm_elder`";
    assert!(error.to_string().starts_with(told), "{error}");
    // Back to version 1 whole, the strange section would be removed, but version 2 had it.
    let error = clusters.rollback("lab", None, 2, &by()).await.unwrap_err();
    assert!(matches!(error, ChangeError::Document(_)), "{error}");
    assert_eq!(store.config_generation().await.unwrap(), 3);
    let history = clusters.history("lab", None, None, 10).await.unwrap();
    assert_eq!(history.len(), 3);
    // It can still be removed, with all the others.
    clusters.remove("lab", &[], &by()).await.unwrap();
    assert!(
        clusters
            .state("lab", None, None)
            .await
            .unwrap()
            .sections
            .is_empty()
    );
}

#[tokio::test]
async fn differences_are_told_line_by_line() {
    let (clusters, _) = clusters();
    for digit in ['1', '2'] {
        clusters
            .set("lab", &[document(one_hash(digit))], &by())
            .await
            .unwrap();
    }
    let lines = clusters
        .diff("lab", Section::AgentAttestation, 1, None)
        .await
        .unwrap();
    let changed: Vec<_> = lines
        .iter()
        .filter(|l| l.sign != ' ')
        .map(|l| (l.sign, l.text.contains("222")))
        .collect();
    assert_eq!(changed, [('-', false), ('+', true)]);
    let all = clusters
        .diff("lab", Section::AgentAttestation, 0, Some(1))
        .await
        .unwrap();
    assert!(all.iter().all(|line| line.sign == '+'));
    assert_eq!(all.len(), one_hash('1').lines().count());
}

/// What would be in force together, whichever half of it is given.
#[tokio::test]
async fn a_template_that_no_policy_can_fill_is_refused_with_whatever_brings_it() {
    let (clusters, store) = clusters();
    let set = async |documents: &[String], dry_run: bool| {
        let documents: Vec<_> = documents.iter().map(document).collect();
        let who = By { dry_run, ..by() };
        clusters.set("lab", &documents, &who).await
    };
    let refused = |result: Result<_, ChangeError>, told: &str| {
        let error: ChangeError = match result {
            Err(error) => error,
            Ok(changed) => panic!("{told}: {changed:?}"),
        };
        assert!(matches!(error, ChangeError::Document(_)), "{error:?}");
        assert!(error.to_string().starts_with(told), "{error}");
        assert!(error.hint().is_some());
    };
    let nothing = issuance("/x/{{no.such.attribute}}");
    let unknown = "d.yaml:5:19: pathTemplate: no policy of the cluster gives `no.such.attribute`";
    for dry_run in [true, false] {
        refused(
            set(&[one_hash('1'), nothing.clone()], dry_run).await,
            unknown,
        );
    }
    assert_eq!(store.config_generation().await.unwrap(), 0);
    // One half at a time: whichever comes second.
    set(&[one_hash('1')], false).await.unwrap();
    refused(set(&[nothing], false).await, unknown);
    let certified = issuance("/x/{{tpm_ek.manufacturer}}");
    refused(
        set(&[certified], false).await,
        "d.yaml:5:19: pathTemplate: no policy of the cluster gives `tpm_ek.manufacturer`",
    );
    let quoted = issuance("/x/{{tpm_quote.pcr.sha256.7}}");
    let both = super::attestation(&format!(
        "- name: quoted\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [\"{0}\"]}}\n  \
         - type: tpm_quote\n    config: {{anyValue: [7]}}\n",
        "1".repeat(64)
    ));
    set(&[both.clone(), quoted], false).await.unwrap();
    refused(
        set(&[one_hash('1')], false).await,
        "lab/SVIDIssuancePolicy@2:5:19: pathTemplate: no policy of the cluster gives `tpm_quote.pcr.sha256.7`",
    );
    // What some policies fill is a note.
    let some = both
        + &one_hash('2')
            .lines()
            .skip(4)
            .map(|line| format!("{line}\n"))
            .collect::<String>();
    let changed = set(&[some], false).await.unwrap();
    let note = "lab/SVIDIssuancePolicy@2:5:19: pathTemplate: policy `rack` never gives `tpm_quote.pcr.sha256.7`";
    assert!(changed.notes[0].starts_with(note), "{:?}", changed.notes);
}
