use std::path::Path;

use assay_host_verifier::document::DocumentError;
use assay_host_verifier::policy::{PolicyDocument, PolicySet};

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A document with one policy; `spec` and `policy` are what stands in them, without indentation.
fn build(base: &Path, spec: &str, policy: &str) -> Result<PolicySet, DocumentError> {
    let indented = |text: &str, by: usize| -> String {
        let lines = text.lines().map(|line| format!("{:by$}{line}\n", ""));
        lines.collect()
    };
    let text = format!(
        "section: AgentAttestation\nschema: v1\nspec:\n{}  policies:\n    - name: rack\n      requiredAttestors: [{{type: tpm_ek, \
         config: {{allowedHashes: [\"{HASH}\"]}}}}]\n{}",
        indented(spec, 2),
        indented(policy, 6)
    );
    PolicyDocument::parse("p.yaml", &text)?.build("p.yaml", base)
}

const INLINE: &str = "rego:\n  module: |\n    package t\n    allow := true\n";

#[test]
fn a_module_stands_in_the_document_or_in_a_file_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.rego"), "package m\nnode := false\n").unwrap();
    let set = build(dir.path(), "", INLINE).unwrap();
    let module = &set.policies()[0].modules()[0];
    assert_eq!(
        (module.name(), module.entrypoint()),
        ("policy `rack`", "data.t.allow")
    );
    let file = "rego: {file: m.rego, entrypoint: data.m.node, dialect: v1, timeout: 5ms}";
    let set = build(dir.path(), "", file).unwrap();
    let module = &set.policies()[0].modules()[0];
    assert_eq!(
        (module.name(), module.entrypoint()),
        ("m.rego", "data.m.node")
    );
    // The document's own comes first.
    let set = build(dir.path(), INLINE, file).unwrap();
    let names: Vec<_> = set.policies()[0]
        .modules()
        .iter()
        .map(|m| m.name().to_owned())
        .collect();
    assert_eq!(names, ["spec", "m.rego"]);
}

#[test]
fn what_is_wrong_with_it_is_told_with_its_place_and_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let broken = "package m\nallow if {\n  http.send({})\n}\n";
    std::fs::write(dir.path().join("m.rego"), broken).unwrap();
    for (policy, place, message) in [
        ("rego: {}", (7, 13), "no module is given"),
        ("rego:", (7, 11), "a mapping is expected"),
        (
            "rego: {file: m.rego, module: x}",
            (7, 20),
            "both `module` and `file`",
        ),
        ("rego: {file: none.rego}", (7, 20), "none.rego"),
        ("rego: {file: m.rego, dialect: v2}", (7, 28), "v2"),
        (
            "rego: {file: m.rego, timeout: 2s}",
            (7, 37),
            "`2s` is no time for an evaluation",
        ),
        (
            "rego: {file: m.rego, timeout: 0s}",
            (7, 37),
            "`0s` is no time",
        ),
        (
            "rego: {file: m.rego, memory: 1GiB}",
            (7, 36),
            "`1GiB` is no memory for an evaluation",
        ),
        (
            "rego: {file: m.rego, memory: 1MiB}",
            (7, 36),
            "`1MiB` is no memory",
        ),
        ("rego: {file: m.rego, entrypont: x}", (7, 28), "entrypont"),
        (
            "rego:\n  module: |\n    package t\n    allow := rand.intn(\"a\", 1)\n",
            (9, 11),
            "rego: line 2, column 10: `rand.intn` is random",
        ),
    ] {
        let error = build(dir.path(), "", policy).unwrap_err();
        assert_eq!((error.line, error.column), place, "{policy}: {error}");
        assert!(error.message.contains(message), "{policy}: {error}");
        assert!(error.hint.is_some(), "{policy}");
    }
    let error = build(dir.path(), "", "rego: {file: m.rego}").unwrap_err();
    let expected = format!(
        "{}:3:3: `http.send` reaches the network",
        dir.path().join("m.rego").display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn modules_of_one_document_have_a_time_together() {
    let own = INLINE.replace("rego:\n", "rego:\n  timeout: 1s\n");
    let policies: String = (0..6)
        .map(|i| {
            format!(
                "    - name: p{i}\n      requiredAttestors: [{{type: tpm_ek, config: {{allowedHashes: [\"{HASH}\"]}}}}]\n{}",
                own.lines().map(|line| format!("      {line}\n")).collect::<String>()
            )
        })
        .collect();
    let text = format!("section: AgentAttestation\nschema: v1\nspec:\n  policies:\n{policies}");
    let document = PolicyDocument::parse("p.yaml", &text).unwrap();
    let error = document.build("p.yaml", Path::new("")).unwrap_err();
    assert!(error.message.contains("more than 5s together"), "{error}");
}
