//! `docs/methods`: every method has a document of one form, and what the documents say of settings, attributes and examples
//! is what the code does. The agents' settings are compared where the agent's code is, in `host-agent`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry;
use serde_json::Value;

use crate::conformance::{self, Known};
use crate::pki::{CA, Pki};
use crate::quote_rules;
use crate::swtpm::run;

const HEADINGS: [&str; 9] = [
    "What it proves",
    "What it does not prove",
    "Configuration",
    "Agent configuration",
    "Proof",
    "Checks in order",
    "Attributes",
    "Errors",
    "Example",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/methods")
}

fn document(kind: AttestorKind) -> String {
    let path = folder().join(format!("{kind}.md"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, section) = document.split_once(&format!("\n# {heading}\n")).unwrap();
    section.split("\n# ").next().unwrap()
}

/// The rows of every table in a text that have a code in their first cell, as cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        // A bar within a cell is written with a backslash.
        let cells = line.replace("\\|", "\u{0}");
        let cells = cells.trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim().replace('\u{0}', "|"))
            .collect()
    })
    .collect()
}

/// What stands between ticks.
fn codes(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn each(case: impl Fn(AttestorKind, &str)) {
    for kind in registry::BUILT {
        eprintln!("{kind}");
        case(*kind, &document(*kind));
    }
}

#[test]
fn every_document_has_the_same_headings_in_the_same_order() {
    each(|kind, document| {
        let first = document.lines().next().unwrap();
        assert!(first.starts_with(&format!("`{kind}`: ")), "{first}");
        let mut in_code = false;
        let headings: Vec<&str> = document
            .lines()
            .filter(|line| {
                in_code ^= line.starts_with("```");
                !in_code
            })
            .filter_map(|line| line.strip_prefix("# "))
            .collect();
        assert_eq!(headings, HEADINGS);
    });
}

/// A field of a method's settings: its default in JSON, and whether it must be given.
type Field = (Option<Value>, bool);

/// The fields of an object in a schema, and those of the objects that its maps and lists hold.
fn fields(root: &Value, object: &Value, found: &mut BTreeMap<String, Field>) {
    let object = target(root, object);
    let none = Vec::new();
    let required = object["required"].as_array().unwrap_or(&none);
    let Some(properties) = object["properties"].as_object() else {
        return;
    };
    for (name, property) in properties {
        let is_required = required.iter().any(|one| one == name);
        let default = property.get("default").cloned();
        let default = default.filter(|value| !value.is_null());
        found.insert(name.clone(), (default, is_required));
        let property = target(root, property);
        for held in [&property["additionalProperties"], &property["items"]] {
            if held.is_object() {
                fields(root, held, found);
            }
        }
    }
}

fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn schema(kind: AttestorKind) -> BTreeMap<String, Field> {
    let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let schema = registry::config_schema(kind, &mut generator).unwrap();
    let definitions: serde_json::Map<String, Value> = generator.take_definitions(true);
    let root = serde_json::json!({"$defs": definitions});
    let mut found = BTreeMap::new();
    fields(&root, schema.as_value(), &mut found);
    found
}

#[test]
fn configuration_tables_have_each_field_with_its_default() {
    each(|kind, document| {
        let schema = schema(kind);
        let mut documented = BTreeSet::new();
        for row in rows(section(document, "Configuration")) {
            for name in codes(&row[0]) {
                let (default, is_required) = schema
                    .get(&name)
                    .unwrap_or_else(|| panic!("{kind}: no setting `{name}`"));
                let says = row[2].as_str();
                assert_eq!(says.starts_with("required"), *is_required, "{kind} {name}");
                let expected = match default {
                    Some(Value::Array(list)) if list.is_empty() => "empty".to_owned(),
                    Some(Value::Object(map)) if map.is_empty() => "empty".to_owned(),
                    Some(Value::String(text)) => format!("`{text}`"),
                    Some(other) => format!("`{other}`"),
                    None => says.to_owned(),
                };
                // An empty list may be said in words.
                let in_words = expected == "empty" && !says.contains('`');
                assert!(says == expected || in_words, "{kind} {name}: {says}");
                assert!(documented.insert(name), "{kind}: twice");
            }
        }
        let known: BTreeSet<String> = schema.into_keys().collect();
        assert_eq!(documented, known, "{kind}");
    });
}

/// Whether a name is one of a pattern, in which `<…>` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('<') {
        None => pattern == name,
        Some((before, rest)) => {
            let (_, behind) = rest.split_once('>').unwrap();
            name.strip_prefix(before).is_some_and(|rest| {
                (1..=rest.len()).any(|end| rest.get(end..).is_some_and(|rest| fits(behind, rest)))
            })
        }
    }
}

#[test]
fn attribute_tables_have_what_is_given_and_nothing_else() {
    let known = conformance::known();
    each(|kind, document| {
        let rows = rows(section(document, "Attributes"));
        let patterns: Vec<String> = rows.iter().flat_map(|row| codes(&row[0])).collect();
        let of_kind = || known.iter().filter(move |known| known.kind == kind);
        let documented = |name: &str| patterns.iter().any(|pattern| fits(pattern, name));
        for name in of_kind().flat_map(|known| &known.given) {
            assert!(documented(name), "{kind}: {name}");
        }
        for name in of_kind().flat_map(|known| &known.announced) {
            let name = name.replace('*', "<any>");
            let is_there = documented(&name) || patterns.contains(&name);
            let begins = |pattern: &String| pattern.starts_with(name.split('<').next().unwrap());
            assert!(is_there || patterns.iter().any(begins), "{kind}: {name}");
        }
        for pattern in &patterns {
            let example = pattern.replace(['<', '>'], "");
            assert_eq!(registry::may_give(kind, &example), Some(true), "{example}");
            let announced = of_kind().flat_map(|known| &known.announced);
            // An event log gives more, and the conformance suite has none.
            let measured = match kind {
                AttestorKind::TPM_QUOTE => quote_rules::measured::announced(),
                _ => Vec::new(),
            };
            let mut announced = announced.chain(&measured);
            let covers = |name: &String| match name.strip_suffix('*') {
                Some(beginning) => pattern.starts_with(beginning),
                None => fits(pattern, name),
            };
            assert!(announced.any(covers), "{kind}: {pattern}");
        }
        // None of the fixed names is left out, whatever the adapters show.
        assert_eq!(registry::may_give(kind, "no.such.attribute"), Some(false));
    });
}

/// Examples name files. These are there.
fn files(dir: &Path) {
    let pki = Pki::new();
    pki.root("any", "p256", CA);
    let authority = pki.pem("any");
    for name in [
        "vendor.pem",
        "owner-ca.pem",
        "hosts-ca.pem",
        "webhook-ca.pem",
    ] {
        std::fs::write(dir.join(name), &authority).unwrap();
    }
    let public = pki.openssl("pkey -in any.key -pubout");
    std::fs::write(dir.join("sa.pub"), public).unwrap();
    std::fs::write(dir.join("webhook.token"), "secret\n").unwrap();
    // A list of nobody, by an authority of openssl's own.
    for (name, text) in [("index.txt", ""), ("number", "01\n")] {
        pki.write(name, text);
    }
    pki.write(
        "ca.cnf",
        "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\n\
         default_crl_days=3650\n",
    );
    let list = pki.openssl("ca -gencrl -config ca.cnf -cert any.crt -keyfile any.key");
    std::fs::write(dir.join("hosts-ca.crl"), list).unwrap();
    run(
        "ssh-keygen",
        &["-q", "-N", "", "-t", "ed25519", "-f", "ca"],
        dir,
        &[],
    );
    run(
        "ssh-keygen",
        &["-q", "-k", "-f", "revoked.krl", "ca.pub"],
        dir,
        &[],
    );
}

#[test]
fn every_example_is_a_document_that_config_check_accepts() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    each(|kind, document| {
        let example = section(document, "Example");
        let blocks: Vec<&str> = example.split("```yaml\n").skip(1).collect();
        assert!(!blocks.is_empty(), "{kind}");
        for (number, block) in blocks.into_iter().enumerate() {
            let text = block.split("\n```").next().unwrap();
            assert!(text.contains(&kind.to_string()), "{kind}");
            // Part of a document, as under `requiredAttestors`, is put where it belongs.
            let whole = match text.contains("section:") {
                true => text.to_owned(),
                false => {
                    let entry = text.replace('\n', "\n        ");
                    format!(
                        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: example\n      \
                         requiredAttestors:\n        {entry}\n"
                    )
                }
            };
            let file = format!("{kind}-{number}.yaml");
            std::fs::write(dir.path().join(&file), whole).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_assay"))
                .args(["config", "check", &file])
                .current_dir(dir.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{file}: {said}");
        }
    });
}

/// What the overview says of a method.
fn overview(kind: AttestorKind, known: &[&Known]) -> [String; 5] {
    let document = document(kind);
    let first = document.lines().next().unwrap();
    let (_, what) = first.split_once(": ").unwrap();
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let asks: BTreeSet<bool> = known.iter().map(|known| known.asks).collect();
    let asks = match (asks.contains(&true), asks.contains(&false)) {
        (true, true) => "where it is set so".to_owned(),
        (asks, _) => yes(asks),
    };
    let bound = match known.iter().all(|known| known.is_fresh) {
        true => "this login",
        false => "nothing: bearer",
    };
    [
        format!("[`{kind}`]({kind}.md)"),
        what.trim_end_matches('.').to_owned(),
        bound.to_owned(),
        asks,
        format!("`{}.`", kind.origin().unwrap()),
    ]
}

/// `ASSAY_OVERWRITE=1` writes the table anew: look at the difference before you commit it.
#[test]
fn the_overview_lists_every_method_as_it_is() {
    const BEGIN: &str = "<!-- the table is written by the tests -->\n";
    let known = conformance::known();
    let mut table =
        "| method | what it is | bound to | asks somebody | attributes |\n|---|---|---|---|---|\n"
            .to_owned();
    let mut kinds: Vec<_> = registry::BUILT.to_vec();
    kinds.sort_by_key(|kind| kind.name());
    for kind in kinds {
        let of_kind: Vec<_> = known.iter().filter(|known| known.kind == kind).collect();
        table += &format!("| {} |\n", overview(kind, &of_kind).join(" | "));
    }
    let path = folder().join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, behind) = rest.split_once("\n\n").unwrap();
    let written = format!("{before}{BEGIN}{table}\n{behind}");
    if std::env::var_os("ASSAY_OVERWRITE").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
}
