//! Warnings about methods whose evidence holds no nonce.

use assay_host_verifier::policy::PolicyDocument;
use assay_host_verifier::policy::review::review;
use std::path::Path;

#[test]
fn a_policy_without_a_fresh_proof_is_told_and_one_with_it_is_not() {
    let hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let ek = format!("{{type: tpm_ek, config: {{allowedHashes: [\"{hash}\"]}}}}");
    for (policy, told) in [
        ("requiredAttestors: [{type: aws_iid}]".to_owned(), true),
        (
            format!("requiredAttestors: [{{type: aws_iid}}, {ek}]"),
            false,
        ),
        (format!("anyOf: [{{type: aws_iid}}, {ek}]"), true),
        (
            format!("anyOf: [{{type: aws_iid}}, {ek}]\n      minAttestors: 2"),
            false,
        ),
        (format!("requiredAttestors: [{ek}]"), false),
    ] {
        let text = format!(
            "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: only\n      {policy}\n"
        );
        let document = PolicyDocument::parse("p.yaml", &text).unwrap();
        let set = document.build("p.yaml", Path::new("")).unwrap();
        let remarks = review(&document, &set);
        let fresh: Vec<_> = remarks
            .iter()
            .filter(|remark| remark.message.contains("holds no nonce"))
            .collect();
        assert_eq!(!fresh.is_empty(), told, "{policy}: {remarks:?}");
        for remark in &remarks {
            assert_eq!((remark.line, remark.column), (5, 13));
        }
    }
}
