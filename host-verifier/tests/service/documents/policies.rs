//! Policy documents.

use std::path::Path;

use assay_common::policy::AttestorKind;
use assay_host_verifier::document::DocumentError;
use assay_host_verifier::policy::{PolicyDocument, PolicySet};

use super::{HASH, document, good};

fn policy(text: &str) -> Result<PolicySet, DocumentError> {
    PolicyDocument::parse("p.yaml", text)?.build("p.yaml", Path::new(""))
}

fn error(text: &str) -> DocumentError {
    match policy(text) {
        Err(error) => error,
        Ok(set) => panic!("accepted: {set:?}\n{text}"),
    }
}

#[test]
fn a_document_is_read_with_policies_and_attestors_in_order() {
    let text = good()
        + &format!(
            "    - name: other\n      requiredAttestors:\n        - type: tpm_ek\n          config: {{allowedHashes: [\"{HASH}\"]}}\n        - type: tpm_quote\n          config: {{anyValue: [0]}}\n"
        );
    let set = policy(&text).unwrap();
    let names: Vec<_> = set.policies().iter().map(|p| p.name()).collect();
    assert_eq!(names, ["rack", "other"]);
    let kinds: Vec<_> = set.policies()[1]
        .attestors()
        .iter()
        .map(|a| a.kind())
        .collect();
    assert_eq!(kinds, [AttestorKind::TPM_EK, AttestorKind::TPM_QUOTE]);
}

#[test]
fn config_may_stand_before_type_as_tools_that_sort_keys_write_it() {
    let text = document(&format!(
        "        - config:\n            allowedHashes: [\"{HASH}\"]\n          type: tpm_ek\n"
    ));
    assert_eq!(policy(&text).unwrap().policies().len(), 1);
    let text =
        document("        - config:\n            allowdHashes: [a]\n          type: tpm_ek\n");
    let error = error(&text);
    assert!(error.message.contains("allowdHashes"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("did you mean `allowedHashes`?"));
}

#[test]
fn json_is_yaml_too() {
    let text = format!(
        r#"{{"section": "AgentAttestation", "schema": "v1", "spec": {{"policies": [{{"name": "rack", "requiredAttestors": [{{"type": "tpm_ek", "config": {{"allowedHashes": ["{HASH}"]}}}}]}}]}}}}"#
    );
    assert_eq!(policy(&text).unwrap().policies().len(), 1);
}

#[test]
fn every_method_that_has_a_name_is_built_or_says_which_settings_it_needs() {
    for kind in AttestorKind::ALL {
        let name = kind.name().unwrap();
        let text = document(&format!("        - type: {name}\n"));
        if let Err(error) = policy(&text) {
            let lacks = format!("{name} needs a `config`");
            let settings = error.message.starts_with(&format!("{name}: "));
            // It is the only method, and may stand on another.
            let alone = error.message.contains("the method it stands on");
            assert!(
                settings || alone || error.message.contains(&lacks),
                "{error}"
            );
        }
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    let head = good();
    for (from, to, place, message, hint) in [
        (
            "section: Agent",
            "section: agent",
            (1, 10),
            "section is \"agentAttestation\"",
            "this file needs `section: AgentAttestation`",
        ),
        (
            "schema: v1",
            "schema: v2",
            (2, 9),
            "schema is \"v2\"",
            "this file needs `schema: v1`",
        ),
        (
            "section:",
            "sektion:",
            (1, 1),
            "unknown field `sektion`",
            "did you mean `section`?",
        ),
        (
            "policies:",
            "policys:",
            (4, 3),
            "unknown field `policys`",
            "did you mean `policies`?",
        ),
        (
            "name: rack",
            "nane: rack",
            (5, 7),
            "unknown field `nane`",
            "did you mean `name`?",
        ),
        (
            "requiredAttestors",
            "requiredAttestor",
            (6, 7),
            "unknown field `requiredAttestor`",
            "did you mean `requiredAttestors`?",
        ),
        (
            "type: tpm_ek",
            "type: tmp_ek",
            (7, 17),
            "unknown attestor type `tmp_ek`",
            "did you mean `tpm_ek`?",
        ),
        (
            "config:",
            "konfig:",
            (8, 11),
            "unknown field `konfig`",
            "did you mean `config`?",
        ),
        (
            "allowedHashes",
            "allowedHash",
            (9, 13),
            "unknown field `allowedHash`",
            "did you mean `allowedHashes`?",
        ),
        (
            "name: rack",
            "name: \"\"",
            (5, 13),
            "policy without a name",
            "give the policy a name; logs and sessions show it",
        ),
    ] {
        let text = head.replacen(from, to, 1);
        assert_ne!(text, head, "{from}");
        let error = error(&text);
        assert!(error.message.contains(message), "{from}: {error}");
        assert_eq!(error.hint.as_deref().unwrap_or_default(), hint, "{error}");
        assert_eq!((error.line, error.column), place, "{error}\n{text}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("p.yaml:{}:{}: ", place.0, place.1)),
            "{error}"
        );
    }
}

#[test]
fn a_policy_that_would_let_everybody_or_nobody_in_is_refused() {
    let quote = "        - type: tpm_quote\n          config: {anyValue: [0]}\n";
    let ek = format!("        - type: tpm_ek\n          config: {{allowedHashes: [\"{HASH}\"]}}\n");
    for (text, message) in [
        (document("        []\n"), "requires no attestor"),
        (
            "section: AgentAttestation\nschema: v1\nspec:\n  policies: []\n".to_owned(),
            "no policies",
        ),
        (
            document(quote),
            "requires `tpm_quote` but not the method it stands on: tpm_ek or tpm_devid",
        ),
        (document(&ek.repeat(2)), "requires `tpm_ek` twice"),
        (document("        - type: tpm_ek\n"), "tpm_ek"),
        (
            document("        - type: tpm_ek\n          config:\n"),
            "tpm_ek",
        ),
        (
            document("        - type: tpm_ek\n          config: {allowedHashes: []}\n"),
            "the list is empty",
        ),
        (
            good() + good().split_once("policies:\n").unwrap().1,
            "policy name `rack` is used twice",
        ),
    ] {
        let error = error(&text);
        assert!(error.message.contains(message), "{error}\n{text}");
        assert!(error.line > 0, "{error}\n{text}");
    }
}

#[test]
fn what_is_no_plain_document_is_refused() {
    let bomb = "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n";
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "null",
        "- a",
        "%&*",
        "section: AgentAttestation\nsection: AgentAttestation\n",
        &(good() + "---\n" + &good()),
        bomb,
        &deep,
        &("#".repeat(300 * 1024)),
        &good().replacen("name: rack", "name: [rack]", 1),
        &good().replacen("schema: v1", "schema: v1\nextra: 1", 1),
        "section: !!binary AAAA\n",
    ] {
        let error = error(text);
        assert!(!error.message.is_empty());
    }
}
