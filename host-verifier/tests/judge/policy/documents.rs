//! The same rules as fields of a document.

use std::path::Path;

use assay_common::policy::AttestorKind;
use assay_host_verifier::document::DocumentError;
use assay_host_verifier::policy::{Environment, PolicyDocument, PolicySet};

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A document with one policy; `rules` is what stands in it after its name, indented by six blanks.
fn document(rules: &str) -> String {
    let rules = rules
        .replace(
            "$EK",
            &format!("{{type: tpm_ek, config: {{allowedHashes: [\"{HASH}\"]}}}}"),
        )
        .replace("$QUOTE", "{type: tpm_quote, config: {anyValue: [0]}}");
    format!("section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: rack\n{rules}")
}

fn build(text: &str) -> Result<PolicySet, DocumentError> {
    PolicyDocument::parse("p.yaml", text)?.build("p.yaml", Path::new(""))
}

#[test]
fn the_fields_of_a_policy_reach_its_rules() {
    let text = document(
        "      environment: [staging, production]\n      requiredAttestors:\n        - $EK\n      anyOf:\n        - $QUOTE\n      \
         minAttestors: 1\n      requiredAttestorCombinations:\n        - [tpm_ek, tpm_quote]\n",
    )
    .replace("spec:\n", "spec:\n  environment: staging\n");
    let set = build(&text).unwrap();
    assert_eq!(set.environment(), Some(Environment::Staging));
    let policy = &set.policies()[0];
    assert_eq!(
        policy.environments(),
        [Environment::Staging, Environment::Production]
    );
    let rules = policy.rules();
    let one = |set: assay_common::policy::AttestorSet| set.iter().collect::<Vec<_>>();
    assert_eq!(one(rules.required()), [AttestorKind::TPM_EK]);
    assert_eq!(one(rules.any_of()), [AttestorKind::TPM_QUOTE]);
    assert_eq!(rules.min_attestors(), 1);
    assert_eq!(
        one(rules.combinations()[0]),
        [AttestorKind::TPM_EK, AttestorKind::TPM_QUOTE]
    );
}

#[test]
fn without_a_number_one_of_any_of_is_enough() {
    let set = build(&document("      anyOf: [$EK, $QUOTE]\n")).unwrap();
    assert_eq!(set.policies()[0].rules().min_attestors(), 1);
}

#[test]
fn rules_that_cannot_be_meant_are_told_with_their_place_and_a_hint() {
    let any = "      anyOf: [$EK, $QUOTE]\n";
    for (rules, place, message) in [
        (
            "      requiredAttestors: []\n      anyOf: [$EK]\n",
            (6, 26),
            "requires no attestor",
        ),
        ("      minAttestors: 1\n", (5, 13), "requires no attestor"),
        (
            "      anyOf: []\n",
            (6, 14),
            "`anyOf` of policy `rack` is empty",
        ),
        (
            &format!("{any}      minAttestors: 0\n"),
            (7, 21),
            "`minAttestors` of policy `rack` is 0",
        ),
        (
            &format!("{any}      minAttestors: 3\n"),
            (7, 21),
            "is 3, `anyOf` has 2",
        ),
        (
            "      requiredAttestors: [$EK]\n      minAttestors: 1\n",
            (7, 21),
            "`minAttestors` but no `anyOf`",
        ),
        (
            &format!("{any}      requiredAttestorCombinations: []\n"),
            (7, 37),
            "`requiredAttestorCombinations` of policy `rack` is empty",
        ),
        (
            &format!("{any}      requiredAttestorCombinations: [[tpm_ek], []]\n"),
            (7, 48),
            "combination 2 of policy `rack` is empty",
        ),
        (
            &format!("{any}      requiredAttestorCombinations: [[tpm_ek, aws_iid]]\n"),
            (7, 47),
            "has `aws_iid`, which is no entry of this policy",
        ),
        (
            &format!("{any}      requiredAttestorCombinations: [[tpm_ek, tpm_ek]]\n"),
            (7, 47),
            "has `tpm_ek` twice",
        ),
        (
            &format!(
                "{any}      requiredAttestorCombinations: [[tpm_ek, tpm_quote], [tpm_quote, tpm_ek]]\n"
            ),
            (7, 59),
            "stands there twice",
        ),
        (
            "      requiredAttestors: [$EK]\n      anyOf: [$QUOTE]\n      requiredAttestorCombinations: [[tpm_ek]]\n",
            (8, 38),
            "adds nothing to `requiredAttestors`",
        ),
        (
            &format!("{any}      requiredAttestorCombinations: [[tpm_ek]]\n"),
            (6, 0),
            "never needs `tpm_quote`",
        ),
        (
            "      requiredAttestors: [$EK]\n      anyOf: [$EK]\n",
            (7, 0),
            "requires `tpm_ek` twice",
        ),
        (
            "      anyOf: [$QUOTE]\n",
            (6, 0),
            "not the method it stands on: tpm_ek or tpm_devid",
        ),
        (
            "      requiredAttestors: [$EK]\n      environment: staging\n",
            (7, 20),
            "the document names none",
        ),
        (
            "      requiredAttestors: [$EK]\n      environment: []\n",
            (7, 20),
            "a policy for no environment",
        ),
        (
            "      requiredAttestors: [$EK]\n      environment: prodution\n",
            (7, 7),
            "unknown variant `prodution`",
        ),
        ("      requiredAttestors: [$EK]\n      anyOf:\n", (7, 0), ""),
        (
            "      requiredAttestors: [$EK]\n      minAttestors:\n",
            (7, 0),
            "",
        ),
        (
            "      requiredAttestors: [$EK]\n      environment:\n",
            (7, 0),
            "",
        ),
    ] {
        let text = document(rules);
        let error = build(&text).map(drop).expect_err(rules);
        assert!(error.message.contains(message), "{error}\n{text}");
        assert_eq!(error.line, place.0, "{error}\n{text}");
        if place.1 > 0 {
            assert_eq!(error.column, place.1, "{error}\n{text}");
        }
    }
}

#[test]
fn too_many_entries_or_combinations_are_refused() {
    let all = [
        "join_token",
        "http_dns\n          config: {allowedHostnames: [a.example.org]}",
        "extension\n          config: {webhookURL: 'https://hook.example.org/'}",
        "aws_iid",
        "aws_token\n          config: {issuerURLs: 'https://issuer.example.org'}",
        "azure_imds\n          config: {tenants: [{tenantID: 0c7d2b1a-0000-4abc-8def-0123456789ab, subscriptionIDs: [0c7d2b1a-0000-4abc-8def-0123456789ac]}]}",
        "azure_msi\n          config: {tenants: [{tenantID: 0c7d2b1a-0000-4abc-8def-0123456789ab, principalID: 0c7d2b1a-0000-4abc-8def-0123456789ac}]}",
        "gcp_iit\n          config: {allowedProjectIDs: rack-1a}",
        "k8s_token\n          config: {issuerURL: 'https://issuer.example.org'}",
    ];
    let entries = |n: usize| -> String {
        let some = all.iter().take(n);
        some.map(|entry| format!("        - type: {entry}\n"))
            .collect()
    };
    let check = |text: &str| {
        let document = PolicyDocument::parse("p.yaml", text).unwrap();
        document.check("p.yaml", Path::new("")).map(drop)
    };
    let text = document(&format!("      anyOf:\n{}", entries(8)));
    check(&text).unwrap();
    let text = document(&format!("      anyOf:\n{}", entries(9)));
    let error = check(&text).unwrap_err();
    assert!(error.message.contains("more than 8 attestors"), "{error}");
    let sets: Vec<_> = (0..33).map(|_| "[aws_iid]").collect();
    let text = document(&format!(
        "      anyOf:\n{}      requiredAttestorCombinations: [{}]\n",
        entries(2),
        sets.join(", ")
    ));
    let error = check(&text).unwrap_err();
    assert!(
        error.message.contains("more than 32 combinations"),
        "{error}"
    );
}
