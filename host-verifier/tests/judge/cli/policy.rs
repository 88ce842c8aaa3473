//! `assay policy check` and `assay policy test`: documents, and cases of what shall come of them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Run, assay};

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/policies/rego")
}

/// A folder with files, and the paths of them.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn run(dir: &TempDir, words: &[&str], file: &str) -> Run {
    let path = dir.path().join(file);
    assay(&[words, &[path.to_str().unwrap()]].concat())
}

/// A document of these policies, `$EK` and `$QUOTE` written out.
fn document(policies: &str) -> String {
    let policies = policies
        .replace(
            "$EK",
            &format!("{{type: tpm_ek, config: {{allowedHashes: [\"{HASH}\"]}}}}"),
        )
        .replace("$QUOTE", "{type: tpm_quote, config: {anyValue: [7]}}");
    format!("section: AgentAttestation\nschema: v1\nspec:\n  policies:\n{policies}")
}

#[test]
fn every_example_does_what_its_cases_say() {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with(".cases.yaml") {
            files.push(path.into_os_string().into_string().unwrap());
        }
    }
    assert_eq!(files.len(), 3);
    let mut words = vec!["policy".to_owned(), "test".to_owned(), "--json".to_owned()];
    words.extend(files);
    let run = assay(&words);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    let tested = run.json();
    assert_eq!(tested["passed"], true);
    let cases: usize = tested["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["cases"].as_array().unwrap().len())
        .sum();
    assert_eq!(cases, 17);
    let document = examples().join("bare-metal.yaml");
    let checked = assay(&["policy", "check", document.to_str().unwrap()]);
    assert_eq!((checked.status, checked.stderr.as_str()), (0, ""));
    assert!(
        checked
            .stdout
            .contains("data.assay.bare_metal.allow of bare-metal.rego"),
        "{}",
        checked.stdout
    );
}

const CASES: &str = "policy: p.yaml\nnow: 2026-01-01T00:00:00Z\ncases:\n";

#[test]
fn a_case_that_comes_out_otherwise_is_shown_with_why() {
    let policy = document(
        "    - {name: rack, requiredAttestors: [$EK, $QUOTE]}\n    - {name: chip, requiredAttestors: [$EK]}\n",
    );
    let cases = format!(
        "{CASES}  - {{name: whole, claims: {{tpm_ek: {{}}, tpm_quote: {{}}}}, expect: {{granted: rack}}}}\n  \
         - {{name: other, claims: {{tpm_ek: {{}}}}, failed: [tpm_quote], expect: {{granted: rack}}}}\n  \
         - {{name: nothing, expect: {{denied: tpm_ek not-offered}}}}\n  \
         - {{name: wrong reason, expect: {{denied: tpm_ek failed}}}}\n  \
         - {{name: let in, claims: {{tpm_ek: {{}}}}, expect: {{denied: \"\"}}}}\n"
    );
    let dir = folder(&[("p.yaml", &policy), ("c.yaml", &cases)]);
    let told = run(&dir, &["policy", "test"], "c.yaml");
    assert_eq!(told.status, 1, "{}", told.stderr);
    assert!(
        told.stdout.contains("2 of 5 as expected"),
        "{}",
        told.stdout
    );
    for line in [
        "FAIL  other",
        "granted by chip",
        "ok    whole",
        "FAIL  wrong reason",
        "FAIL  let in",
    ] {
        assert!(told.stdout.contains(line), "{line}: {}", told.stdout);
    }
    let json = run(&dir, &["policy", "test", "--json"], "c.yaml");
    assert_eq!(json.status, 1);
    let results = json.json();
    let passed: Vec<_> = results["files"][0]["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["passed"].as_bool().unwrap())
        .collect();
    assert_eq!(passed, [true, false, true, false, false]);
    let why = &results["files"][0]["cases"][1]["explanation"]["policies"][0]["attestors"][1];
    assert_eq!(
        (why["attestor"].as_str(), why["outcome"].as_str()),
        (Some("tpm_quote"), Some("failed"))
    );
}

#[test]
fn cases_that_cannot_be_meant_are_errors_with_their_place() {
    let policy = document("    - {name: rack, requiredAttestors: [$EK]}\n");
    for (cases, place, message) in [
        (
            "  - {name: a, claims: {tpm_ke: {}}, expect: {granted: rack}}\n",
            "4:23",
            "unknown attestor type `tpm_ke`",
        ),
        (
            "  - {name: a, claims: {tpm_quote: {}}, expect: {granted: rack}}\n",
            "4:23",
            "no policy has an entry for `tpm_quote`",
        ),
        (
            "  - {name: a, claims: {tpm_ek: {}}, failed: [tpm_ek], expect: {granted: rack}}\n",
            "4:46",
            "stands there twice",
        ),
        ("  - {name: a, expect: {}}\n", "4:23", "`expect` is one of"),
        (
            "  - {name: a, expect: {granted: x, denied: y}}\n",
            "4:23",
            "`expect` is one of",
        ),
        (
            "  - {name: a, environment: prod, expect: {granted: x}}\n",
            "4:28",
            "unknown environment `prod`",
        ),
        (
            "  - {name: a, now: tomorrow, expect: {granted: x}}\n",
            "4:20",
            "`tomorrow` is no time",
        ),
        (
            "  - {name: a, input: {}, expect: {granted: x}}\n",
            "4:22",
            "`input` is for a module by itself",
        ),
        (
            "  - {name: a, evidence: none, expect: {granted: x}}\n",
            "4:25",
            "record.json",
        ),
        (
            "  - {name: a, expect: {granted: x}}\n  - {name: a, expect: {granted: x}}\n",
            "5:12",
            "two cases of one name",
        ),
        ("  []\n", "4:3", "0 cases"),
    ] {
        let dir = folder(&[("p.yaml", &policy), ("c.yaml", &format!("{CASES}{cases}"))]);
        let told = run(&dir, &["policy", "test"], "c.yaml");
        assert_eq!(
            (told.status, told.stdout.as_str()),
            (2, ""),
            "{cases}: {}",
            told.stderr
        );
        let (first, rest) = told.stderr.split_once('\n').unwrap();
        assert!(
            first.contains(&format!("c.yaml:{place}: ")) && first.contains(message),
            "{cases}: {first}"
        );
        assert!(rest.starts_with("hint: "), "{cases}: {rest}");
    }
    // Without a time, and without anything to test.
    let cases = "policy: p.yaml\ncases: [{name: a, expect: {granted: rack}}]\n";
    let dir = folder(&[
        ("p.yaml", &policy),
        ("c.yaml", cases),
        ("d.yaml", "cases: [{name: a, expect: {granted: rack}}]\n"),
    ]);
    assert!(
        run(&dir, &["policy", "test"], "c.yaml")
            .stderr
            .contains("the case has no time")
    );
    assert!(
        run(&dir, &["policy", "test"], "d.yaml")
            .stderr
            .contains("neither or both of `policy` and `rego`")
    );
}

/// The messages of the warnings about a document.
fn warnings(policies: &str) -> Vec<String> {
    let open = "package t\nallow := true\n";
    let open_by_mistake = "package t\nimport rego.v1\nallow if not input.attestors.tpm.failed\n";
    let closed =
        "package t\nimport rego.v1\ndefault allow := false\nallow if input.attestors.tpm.success\n";
    let dir = folder(&[
        ("p.yaml", &document(policies)),
        ("open.rego", open),
        ("mistake.rego", open_by_mistake),
        ("closed.rego", closed),
    ]);
    let checked = run(&dir, &["policy", "check", "--json"], "p.yaml");
    assert_eq!(checked.status, 0, "{}", checked.stderr);
    let warnings = checked.json()["warnings"].as_array().unwrap().clone();
    let told = checked
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .count();
    assert_eq!(told, warnings.len());
    warnings
        .iter()
        .map(|w| w["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_policy_that_another_one_implies_is_never_reached() {
    for (policies, unreached) in [
        (
            "    - {name: a, requiredAttestors: [$EK]}\n    - {name: b, requiredAttestors: [$EK, $QUOTE]}\n",
            true,
        ),
        (
            "    - {name: a, requiredAttestors: [$EK, $QUOTE]}\n    - {name: b, requiredAttestors: [$EK]}\n",
            false,
        ),
        (
            "    - {name: a, requiredAttestors: [$EK], anyOf: [$QUOTE]}\n    - {name: b, requiredAttestors: [$EK, $QUOTE]}\n",
            true,
        ),
        (
            "    - {name: a, requiredAttestors: [$EK, $QUOTE]}\n    - {name: b, anyOf: [$EK, $QUOTE]}\n",
            false,
        ),
        // Other settings, so other proofs.
        (
            "    - {name: a, requiredAttestors: [$EK]}\n    - {name: b, requiredAttestors: [{type: tpm_ek, config: {allowedHashes: [\"ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"]}}]}\n",
            false,
        ),
        // A module may say no to what the second lets in; the same module may not.
        (
            "    - {name: a, requiredAttestors: [$EK], rego: {file: closed.rego}}\n    - {name: b, requiredAttestors: [$EK]}\n",
            false,
        ),
        (
            "    - {name: a, requiredAttestors: [$EK], rego: {file: closed.rego}}\n    - {name: b, requiredAttestors: [$EK, $QUOTE], rego: {file: closed.rego}}\n",
            true,
        ),
        (
            "    - {name: a, requiredAttestors: [$EK]}\n    - {name: b, requiredAttestors: [$EK], rego: {file: closed.rego}}\n",
            true,
        ),
    ] {
        let expected: &[&str] = if unreached {
            &["policy `b` is never reached: whatever satisfies it satisfies `a` before it"]
        } else {
            &[]
        };
        assert_eq!(warnings(policies), expected, "{policies}");
    }
    // One that is for another environment hides nothing.
    let elsewhere = "    - {name: a, environment: staging, requiredAttestors: [$EK]}\n    - {name: b, requiredAttestors: [$EK]}\n";
    let text = document(elsewhere).replace("spec:\n", "spec:\n  environment: production\n");
    let dir = folder(&[("p.yaml", &text)]);
    assert_eq!(
        run(&dir, &["policy", "check", "--json"], "p.yaml").json()["warnings"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_log_that_is_required_and_may_tell_of_any_image_is_told() {
    for (config, told) in [
        ("anyValue: [0], eventLog: require", true),
        (
            "anyValue: [0], eventLog: require, requiredMeasurements: [agent]",
            false,
        ),
        ("anyValue: [0], requiredMeasurements: [agent]", false),
        // Good values of PCR 8 say which image, too; those of another PCR do not.
        ("pcrs: {8: $DIGEST}, eventLog: require", false),
        ("pcrs: {7: $DIGEST}, eventLog: require", true),
        // A node without a log is let in as well, which was asked for.
        ("anyValue: [0], eventLog: accept", false),
        ("anyValue: [0]", false),
    ] {
        let config = config.replace("$DIGEST", &format!("\"{}\"", "ab".repeat(32)));
        let policies = format!(
            "    - {{name: a, requiredAttestors: [$EK, {{type: tpm_quote, config: {{{config}}}}}]}}\n"
        );
        let about = |warning: &String| warning.starts_with("`eventLog` is required");
        let count = warnings(&policies).iter().filter(|w| about(w)).count();
        assert_eq!(count, usize::from(told), "{config}");
    }
}

#[test]
fn a_module_that_narrows_nothing_is_told() {
    for (module, told) in [
        ("open.rego", true),
        ("mistake.rego", true),
        ("closed.rego", false),
    ] {
        let policies =
            format!("    - {{name: a, requiredAttestors: [$EK], rego: {{file: {module}}}}}\n");
        let expected: &[String] = if told {
            &[format!("{module} allows a login that has proven nothing")]
        } else {
            &[]
        };
        assert_eq!(warnings(&policies), expected);
    }
}

/// Whether the operator has named certificates stands in assayd.yaml, and a document that is checked by itself has none.
#[test]
fn what_stands_in_the_services_configuration_is_known_with_it() {
    let entry = "    - {name: cloud, requiredAttestors: [{type: aws_iid, config: {awsAccountsAllowed: [\"111122223333\"], tofu: true}}]}\n";
    let service = "trustDomain: example.org\ndataDir: data\nlisteners:\n  unix: [{path: a.sock}]\n";
    let named = format!("{service}clouds: {{aws: {{certificates: [page.md]}}}}\n");
    let page = crate::aws_iid::page();
    let dir = folder(&[
        ("d.yaml", &document(entry)),
        ("plain.yaml", service),
        ("named.yaml", &named),
        ("page.md", &page),
    ]);
    let check = |more: &[&str]| {
        let file = |name: &str| dir.path().join(name).display().to_string();
        let mut words = vec!["policy".to_owned(), "check".to_owned(), file("d.yaml")];
        for name in more {
            words.extend(["--config".to_owned(), file(name)]);
        }
        assay(&words)
    };
    let alone = check(&[]);
    assert_eq!(alone.status, 0, "{}", alone.stderr);
    let hint = "hint: check the document with the verifier's configuration: `assay policy check FILE --config assayd.yaml`";
    for told in ["is not known here", hint] {
        assert!(alone.stderr.contains(told), "{told}: {}", alone.stderr);
    }
    let plain = check(&["plain.yaml"]);
    assert_eq!(plain.status, 0, "{}", plain.stderr);
    let told =
        "warning: d.yaml".replace("d.yaml", &dir.path().join("d.yaml").display().to_string());
    assert!(plain.stderr.contains(&told), "{}", plain.stderr);
    assert!(
        plain.stderr.contains("no certificate of AWS's is known"),
        "{}",
        plain.stderr
    );
    let named = check(&["named.yaml"]);
    assert_eq!(named.status, 0, "{}", named.stderr);
    assert!(
        !named.stderr.contains("clouds.aws.certificates"),
        "{}",
        named.stderr
    );
    let none = check(&["none.yaml"]);
    assert_eq!(none.status, 2, "{}", none.stderr);
}
