//! `assay config import-spire`: the configurations that are published for SPIRE, as they stand on the page.

mod documented;
mod limits;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Run, assay};

fn page(name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judge/data/spire");
    data.join(format!("{name}.yaml"))
}

fn import(file: &Path, more: &[&str]) -> Run {
    let mut args = vec!["config", "import-spire", file.to_str().unwrap()];
    args.extend(more);
    assay(&args)
}

/// What is said of a setting that nobody knows.
const UNKNOWN: &str = "no setting of this name";

/// A configuration, imported, with every document of it checked.
fn checked(hcl: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spire.conf");
    std::fs::write(&path, hcl).unwrap();
    let run = import(&path, &["--into", dir.path().to_str().unwrap()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let mut args = vec!["config", "check"];
    args.extend(run.stdout.lines());
    let check = assay(&args);
    assert_eq!(check.status, 0, "{}\n{}", check.stderr, imported(&path));
    imported(&path)
}

/// A server with these plugins, imported and checked.
fn server(plugins: &str) -> Value {
    checked(&format!(
        "server {{\n trust_domain = \"example.org\"\n data_dir = \"data\"\n}}\nplugins {{\n{plugins}\n}}\n"
    ))
}

/// An agent with these plugins, imported and checked.
fn agent(plugins: &str) -> Value {
    checked(&format!(
        "agent {{\n trust_domain = \"example.org\"\n data_dir = \"/opt/spire\"\n server_address = \"spire.example.org\"\n}}\nplugins {{\n{plugins}\n}}\n"
    ))
}

/// The settings of the only method of the only policy.
fn config(imported: &Value) -> Value {
    let policies = document(imported, "attestation.yaml");
    let policies = policies["spec"]["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 1, "{policies:?}");
    policies[0]["requiredAttestors"][0]["config"].clone()
}

/// Why a setting was left out.
fn left(imported: &Value, key: &str) -> String {
    let all = imported["left"].as_array().unwrap();
    let found = all.iter().find(|one| one["key"] == key);
    let found = found.unwrap_or_else(|| panic!("{key}: {}", imported["left"]));
    format!("{}; {}", found["reason"], found["instead"])
}

/// What a setting became.
fn carried(imported: &Value, key: &str) -> String {
    let all = imported["carried"].as_array().unwrap();
    let found = all.iter().find(|one| one["key"] == key);
    let found = found.unwrap_or_else(|| panic!("{key}: {}", imported["carried"]));
    found["to"].as_str().unwrap().to_owned()
}

fn notes(imported: &Value) -> String {
    imported["notes"].to_string()
}

/// Nothing of it is unknown.
fn all_is_known(imported: &Value) {
    for left in imported["left"].as_array().unwrap() {
        let reason = left["reason"].as_str().unwrap();
        assert!(!reason.starts_with(UNKNOWN), "{left}");
    }
}

fn imported(file: &Path) -> Value {
    let run = import(file, &["--json"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.json()
}

fn document(imported: &Value, name: &str) -> Value {
    let documents = imported["documents"].as_array().unwrap();
    let found = documents.iter().find(|one| one["name"] == name);
    let text = found.unwrap()["text"].as_str().unwrap();
    serde_saphyr::from_str(text).unwrap()
}

/// The settings of the HCL parts, but for those of maps that are one setting.
fn settings(text: &str) -> BTreeSet<String> {
    let settings = text.lines().filter_map(|line| {
        let (key, value) = line.trim().split_once(" =")?;
        let is_key = key
            .chars()
            .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
        (is_key && !value.trim().starts_with("{}")).then(|| key.to_owned())
    });
    settings.collect()
}

const PAGES: [&str; 7] = [
    "tpm",
    "aws",
    "gcp",
    "azure",
    "hybrid",
    "performance",
    "fips",
];

#[test]
fn every_setting_is_carried_over_or_listed_with_its_reason() {
    for name in PAGES {
        let imported = imported(&page(name));
        let mut keys = BTreeSet::new();
        for list in ["carried", "left"] {
            for one in imported[list].as_array().unwrap() {
                let key = one["key"].as_str().unwrap();
                keys.insert(key.rsplit('.').next().unwrap().to_owned());
            }
        }
        for left in imported["left"].as_array().unwrap() {
            let reason = left["reason"].as_str().unwrap();
            assert!(!reason.starts_with(UNKNOWN), "{name}: {left}");
        }
        let text = std::fs::read_to_string(page(name)).unwrap();
        let maps = [
            "ca_subject",
            "instance_tag_requirements",
            "instance_label_whitelist",
        ];
        for key in settings(&text) {
            let is_there = keys.contains(&key) || maps.contains(&key.as_str());
            assert!(is_there, "{name}: {key} is lost; there are {keys:?}");
        }
    }
}

#[test]
fn what_comes_out_passes_the_check() {
    for name in ["aws", "gcp", "azure", "hybrid"] {
        let dir = tempfile::tempdir().unwrap();
        let run = import(&page(name), &["--into", dir.path().to_str().unwrap()]);
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        let files: Vec<String> = run.stdout.lines().map(ToOwned::to_owned).collect();
        assert!(files.len() >= 2, "{name}: {files:?}");
        let has = |name: &str| files.iter().any(|file| file.ends_with(name));
        assert!(!has("issuance.yaml"), "{files:?}");
        let mut args = vec!["config", "check"];
        args.extend(files.iter().map(String::as_str));
        let run = assay(&args);
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        // Nothing is written over.
        let run = import(&page(name), &["--into", dir.path().to_str().unwrap()]);
        assert_eq!(run.status, 2, "{name}");
    }
}

#[test]
fn the_lists_of_aws_are_the_policys() {
    let imported = imported(&page("aws"));
    let policies = document(&imported, "attestation.yaml");
    let entry = &policies["spec"]["policies"][0]["requiredAttestors"][0];
    assert_eq!(entry["type"], "aws_iid");
    let config = &entry["config"];
    assert_eq!(config["awsAccountsAllowed"][1], "234567890123");
    assert_eq!(config["allowOwnAccount"], false);
    assert_eq!(config["instanceTagRequirements"]["Team"][1], "security");
    assert_eq!(config["allowedRegions"][2], "eu-west-1");
    assert_eq!(config["requiredSecurityGroups"][0], "sg-spire-nodes");
    assert_eq!(config["allowedAmiIds"][0], "ami-0123456789abcdef0");
    assert_eq!(config["skipBlockDevice"], false);
    let service = document(&imported, "assayd.yaml");
    assert_eq!(service["trustDomain"], "aws.enterprise.example.com");
    assert_eq!(service["clouds"]["aws"]["region"], "us-east-1");
    assert!(service["clouds"]["aws"]["credentials"]["environment"].is_object());
    let url = "postgres://spire@postgres-ha.data.svc.cluster.local/spire?sslmode=require";
    assert_eq!(service["datastore"]["postgres"]["url"], url);
    let agent = document(&imported, "agent.yaml");
    assert_eq!(
        agent["agent"]["auth"]["attestors"][0]["config"]["retryDelay"],
        "1s"
    );
    let text = imported.to_string();
    assert!(!text.contains("${AWS_SECRET_ACCESS_KEY}"), "{text}");
}

#[test]
fn the_lists_of_gcp_are_the_policys() {
    let imported = imported(&page("gcp"));
    let policies = document(&imported, "attestation.yaml");
    let config = &policies["spec"]["policies"][0]["requiredAttestors"][0]["config"];
    assert_eq!(config["allowedProjectIDs"][2], "shared-services");
    assert_eq!(config["useInstanceMetadata"], true);
    assert_eq!(config["instanceLabelWhitelist"]["spire-managed"][0], "true");
    assert_eq!(config["machineTypeWhitelist"].as_array().unwrap().len(), 4);
    assert_eq!(config["tokenLifetime"], "3600s");
    let path = "/spire/agent/gcp_iit/{{gcp_iit.project_id}}/{{gcp_iit.instance_id}}";
    assert_eq!(
        document(&imported, "assayd.yaml")["session"]["pathTemplate"],
        path
    );
}

#[test]
fn the_lists_of_azure_are_the_policys() {
    let imported = imported(&page("azure"));
    let policies = document(&imported, "attestation.yaml");
    let config = &policies["spec"]["policies"][0]["requiredAttestors"][0]["config"];
    let tenant = "12345678-1234-1234-1234-123456789012";
    assert_eq!(config["tenants"][0]["tenantID"], tenant);
    assert_eq!(config["vmNamePatterns"][0], "spire-agent-*");
    assert_eq!(config["locations"][1], "West US 2");
    let service = document(&imported, "assayd.yaml");
    assert_eq!(
        service["clouds"]["azure"]["tenants"][0]["managedIdentity"],
        true
    );
}

#[test]
fn combinations_are_one_policy() {
    let imported = imported(&page("hybrid"));
    let policies = document(&imported, "attestation.yaml");
    let policy = &policies["spec"]["policies"][0];
    assert_eq!(policy["minAttestors"], 2);
    let kinds = |value: &Value| -> Vec<String> {
        let all = value.as_array().unwrap().iter();
        all.map(|one| {
            one.as_str()
                .unwrap_or_else(|| one["type"].as_str().unwrap())
                .to_owned()
        })
        .collect()
    };
    assert_eq!(
        kinds(&policy["anyOf"]),
        ["tpm_ek", "tpm_quote", "aws_iid", "k8s_psat"]
    );
    let combinations = policy["requiredAttestorCombinations"].as_array().unwrap();
    let combinations: Vec<_> = combinations.iter().map(kinds).collect();
    assert_eq!(
        combinations,
        [
            vec!["tpm_ek", "tpm_quote", "aws_iid"],
            vec!["tpm_ek", "tpm_quote", "k8s_psat"],
            vec!["aws_iid", "k8s_psat"],
        ]
    );
    let notes = imported["notes"].to_string();
    assert!(
        notes.contains("gcp_iit and k8s_psat is left out"),
        "{notes}"
    );
    // A TPM that nobody has named lets nobody in.
    assert_eq!(
        policy["anyOf"][0]["config"]["allowedHashes"][0],
        "0".repeat(64)
    );
    let accounts =
        &policy["anyOf"][3]["config"]["clusters"]["production-cluster"]["serviceAccountAllowList"];
    assert_eq!(accounts[0], "spire-system:spire-agent");
}

/// As the page shows it, without indentation; as it was before that; and the HCL by itself.
#[test]
fn a_configuration_is_the_same_however_it_is_wrapped() {
    let dir = tempfile::tempdir().unwrap();
    let flat = std::fs::read_to_string(page("fips")).unwrap();
    let (before, hcl) = flat.split_once("server.conf: |\n").unwrap();
    let indented: String = hcl.lines().map(|line| format!("    {line}\n")).collect();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        imported(&path)
    };
    let flat = imported(&page("fips"));
    let indented = write(
        "indented.yaml",
        &format!("{before}  server.conf: |\n{indented}"),
    );
    let plain = write("server.conf", hcl);
    let keys = |imported: &Value| -> Vec<String> {
        let left = imported["left"].as_array().unwrap().iter();
        left.map(|one| one["key"].to_string()).collect()
    };
    assert!(!keys(&flat).is_empty());
    assert_eq!(keys(&flat), keys(&indented));
    assert_eq!(keys(&flat), keys(&plain));
    assert_eq!(flat["documents"], plain["documents"]);
}

#[test]
fn what_is_no_configuration_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    for (text, message) in [
        (
            "server {\n trust_domain = \"a\"\n",
            "line 3: a brace is not closed",
        ),
        (
            "server {\n trust_domain = a\n}\n",
            "line 2: a value is missing",
        ),
        (
            "kind: ConfigMap\ndata:\n  server.conf: |\n    server {\n      a = \n    }\n",
            "server.conf: line 6",
        ),
        ("plugins {\n}\n", "neither a `server` nor an `agent`"),
        ("", "neither a `server` nor an `agent`"),
    ] {
        let path = dir.path().join("x.conf");
        std::fs::write(&path, text).unwrap();
        let run = import(&path, &[]);
        assert_eq!(run.status, 2, "{text}");
        assert!(run.stderr.contains(message), "{text}: {}", run.stderr);
    }
}
