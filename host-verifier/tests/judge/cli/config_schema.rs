//! `assay config schema`, judged by another implementation: Python's jsonschema (Debian: python3-jsonschema, python3-yaml).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// Reads `{"schemas": {name: schema}, "documents": [[name, path]]}`, answers a list: null for a document that the schema
/// accepts, else the first errors.
const JUDGE: &str = r"
import json, sys
try:
    import yaml, jsonschema
except ImportError as missing:
    sys.exit(f'{missing}: install the packages python3-jsonschema and python3-yaml')
given = json.load(sys.stdin)
judges = {}
for name, schema in given['schemas'].items():
    jsonschema.Draft202012Validator.check_schema(schema)
    judges[name] = jsonschema.Draft202012Validator(schema)
answers = []
for name, path in given['documents']:
    with open(path) as file:
        # Keys of a mapping are texts in JSON.
        document = json.loads(json.dumps(yaml.safe_load(file)))
    errors = [error.json_path + ': ' + error.message for error in judges[name].iter_errors(document)]
    answers.append(errors or None)
json.dump(answers, sys.stdout)
";

const KINDS: [&str; 4] = ["assayd", "AgentAttestation", "SVIDIssuancePolicy", "agent"];

fn schema(kind: &str) -> Value {
    let run = super::assay(&["config", "schema", kind]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.json()
}

fn judge(documents: &[(&str, PathBuf)]) -> Vec<Option<Vec<String>>> {
    let schemas: BTreeMap<_, _> = KINDS.iter().map(|kind| (*kind, schema(kind))).collect();
    let mut python = Command::new("/usr/bin/python3")
        .args(["-I", "-c", JUDGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("no /usr/bin/python3: install the package python3-jsonschema");
    let given = json!({"schemas": schemas, "documents": documents});
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(given.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/judge/data")
        .join(folder)
}

/// Which schema a document is of, by its first word.
fn kind_of(path: &Path) -> &'static str {
    let text = std::fs::read_to_string(path).unwrap();
    match () {
        () if text.contains("SVIDIssuancePolicy") => "SVIDIssuancePolicy",
        () if text.contains("agent:") && !text.contains("section:") => "agent",
        () if text.contains("trustDomain:") => "assayd",
        () => "AgentAttestation",
    }
}

#[test]
fn every_published_example_and_our_own_fit_their_schema() {
    let seeds = std::fs::read_dir(data("seeds")).unwrap();
    let seeds = seeds.map(|file| file.unwrap().path());
    let seeds = seeds.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let mut documents: Vec<_> = seeds.map(|path| (kind_of(&path), path)).collect();
    assert_eq!(documents.len(), 13);
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    documents.push(("assayd", own.join("config.example.yaml")));
    // And what uses every field there is.
    let dir = tempfile::tempdir().unwrap();
    for (name, kind, text) in [
        (
            "policies.yaml",
            "AgentAttestation",
            "section: AgentAttestation\nschema: v1\nspec:\n  environment: staging\n  policies:\n    - name: a\n      environment: [staging, production]\n      \
             requiredAttestors:\n        - {type: tpm_ek, config: {require: both, allowedHashes: [\"0011223344556677889900112233445566778899001122334455667788990011\"], manufacturerCAs: {anchors: [a.pem], intermediates: [b.pem]}, danger_allow_sha1: true}}\n      \
             anyOf:\n        - {type: tpm_quote, config: {bank: sha384, pcrs: {0: \"00\", 7: [\"00\", \"11\"]}, anyValue: [23], selection: [0, 7, 23], firmwareVersion: {min: \"0x10\", allow: [\"10\"]}, resetCount: unchanged, restartCount: any, requireClockSafe: true}}\n        - type: k8s_psat\n        - {type: aws_iid, config: {awsAccountsAllowed: [\"111111111111\"]}}\n      \
             minAttestors: 2\n      requiredAttestorCombinations: [[k8s_psat, aws_iid]]\n    - {name: b, environment: staging, anyOf: [{type: tpm_ek, config: }]}\n",
        ),
        (
            "issues.yaml",
            "SVIDIssuancePolicy",
            "section: SVIDIssuancePolicy\nschema: v1\nspec:\n  policy: {pathTemplate: \"/a\"}\n  policyOverrides:\n    - when: {tpm_ek.manufacturer: [A], linux.user.name: b}\n      policy: {pathTemplate: /c}\n",
        ),
        (
            "assayd.yaml",
            "assayd",
            "trustDomain: a\ndataDir: d\ndatastore: {postgres: {url: \"postgres://a@b/c\", passwordFile: p, maxConnections: 5}}\nlisteners: {serial: [{path: a, baud: 9600}]}\nconfigFiles: d\nsession: {}\nlimits: {loginTimeout: 90s}\n",
        ),
        (
            "agent.yaml",
            "agent",
            "agent: {auth: {clusterName: lab, attestors: [{type: tpm_ek}]}}\n",
        ),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        documents.push((kind, path));
    }
    for ((kind, path), errors) in documents.iter().zip(judge(&documents)) {
        assert_eq!(errors, None, "{kind}: {}", path.display());
    }
}

/// Mistakes that are not of the document's shape: texts that are no YAML, what fields mean together, and files.
const NOT_OF_SHAPE: &[&str] = &[
    "alias_to_nothing",
    "boolean_in_words",
    "braces_in_a_template_not_quoted",
    "bracket_not_closed",
    "ca_missing",
    "ca_not_a_certificate",
    "colon_without_blank",
    "combination_without_entry",
    "environment_not_named",
    "key_indented_too_little",
    "key_indented_too_much",
    "key_twice",
    "list_indented_too_little",
    "merge_key",
    "method_twice",
    "min_attestors_too_large",
    "name_twice_in_a_policy",
    "name_used_twice",
    "pcr_value_too_short",
    "quote_not_closed",
    "quote_without_ek",
    "settings_missing",
    "service_certificate_missing",
    "service_cluster_file_missing",
    "service_reattest_before_the_end_of_a_session",
    "service_template_that_no_policy_fills",
    "tab_for_indentation",
    "template_attribute_not_of_its_method",
    "template_attribute_unknown",
    "template_braces",
    "template_dots",
    "template_with_a_blank",
    "two_documents",
];

#[test]
fn every_mistake_of_shape_is_found_by_the_schema_too() {
    let dir = data("wrong");
    let files = std::fs::read_dir(&dir).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter_map(|n| n.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    for name in NOT_OF_SHAPE {
        assert!(names.iter().any(|n| n == name), "{name}");
    }
    names.retain(|name| !NOT_OF_SHAPE.contains(&name.as_str()));
    assert!(names.len() >= 40, "{}", names.len());
    let documents: Vec<_> = names
        .iter()
        .map(|name| {
            let path = dir.join(format!("{name}.yaml"));
            (kind_of(&path), path)
        })
        .collect();
    for (name, errors) in names.iter().zip(judge(&documents)) {
        assert!(errors.is_some(), "{name}: the schema accepts it");
    }
}

#[test]
fn a_schema_says_what_fields_are_for_and_refuses_others() {
    for kind in KINDS {
        let schema = schema(kind);
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert_eq!(schema["additionalProperties"], false, "{kind}");
        let mut open = Vec::new();
        closed(&schema, "", &mut open);
        // Of an agent's file only what a policy depends on is read here; the agent refuses what it does not know.
        let wanted: &[&str] = match kind {
            "agent" => &["/$defs/Agent: open"],
            _ => &[],
        };
        assert_eq!(open, wanted, "{kind}");
    }
    let assayd = schema("assayd");
    let limit = &assayd["$defs"]["Limits"]["properties"]["loginsInFlight"];
    assert_eq!(
        (&limit["minimum"], &limit["maximum"]),
        (&1.into(), &4096.into())
    );
    let run = super::assay(&["config", "schema", "AgentAtestation"]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("did you mean `AgentAttestation`?"),
        "{}",
        run.stderr
    );
}

/// Collects mappings with named fields that take others too, and fields that are not described.
fn closed(schema: &Value, place: &str, open: &mut Vec<String>) {
    if let Some(object) = schema.as_object() {
        // What stands below `then` adds to a mapping that is closed where it is.
        let adds = place.ends_with("/if") || place.ends_with("/then");
        if let Some(fields) = object.get("properties").and_then(Value::as_object)
            && !adds
        {
            if object.get("additionalProperties") != Some(&Value::Bool(false)) {
                open.push(format!("{place}: open"));
            }
            for (name, field) in fields {
                let described = field.get("description").is_some()
                    || field.get("$ref").is_some()
                    || field.get("anyOf").is_some();
                if !described {
                    open.push(format!("{place}/{name}: not described"));
                }
            }
        }
        for (name, value) in object {
            closed(value, &format!("{place}/{name}"), open);
        }
    }
    for value in schema.as_array().into_iter().flatten() {
        closed(value, place, open);
    }
}
