use std::path::{Path, PathBuf};

use assay_host_verifier::policy::rego::ModuleOutcome;
use serde_json::{Value, json};

use super::{DAY_NS, NOW, load, now, outcome};

fn read(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn example(name: &str) -> String {
    read(&format!("examples/policies/rego/{name}"))
}

/// The published document of a node in production, with an image of this age.
fn production(image_age_days: i64) -> Value {
    json!({
        "environment": "production",
        "attestors": {
            "tpm": {"success": true, "secure_boot": true}, "aws_iid": {"success": true}, "gcp_iit": {"success": false},
            "azure_msi": {"success": false}, "k8s_psat": {"success": true},
        },
        "node": {
            "tags": {"Environment": "production", "Team": "platform", "SPIREManaged": "true"},
            "network": {"vpc_id": "vpc-12345678", "subnet_id": "subnet-12345678"},
            "storage": {"encrypted": true}, "instance_type": "m5.large",
            "image": {"created_time": NOW * 1_000_000_000 - image_age_days * DAY_NS},
        },
    })
}

fn without(mut input: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let fields = input.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    fields.remove(name).unwrap();
    input
}

fn with(mut input: Value, pointer: &str, value: Value) -> Value {
    *input.pointer_mut(pointer).unwrap() = value;
    input
}

#[test]
fn the_published_node_module_is_read_and_has_the_hole_that_ours_closes() {
    let published = read("tests/judge/data/rego/node-published.rego");
    let ours = example("node-attestation.rego");
    let cases = [
        (production(5), true, true),
        (production(29), true, true),
        (production(40), false, false),
        // An image from the future is as young as can be.
        (production(-40), true, false),
    ];
    for (input, theirs_allows, ours_allows) in cases {
        let allows = |text: &str| outcome(text, &input) == ModuleOutcome::Allow;
        assert_eq!(allows(&published), theirs_allows, "{input}");
        assert_eq!(allows(&ours), ours_allows, "{input}");
    }
}

#[test]
fn every_condition_of_the_node_module_is_needed() {
    let text = example("node-attestation.rego");
    let module = load(&text).unwrap();
    let allows = |input: &Value| module.evaluate(input, now()).outcome == ModuleOutcome::Allow;
    assert!(allows(&production(5)));
    for pointer in [
        "/environment",
        "/attestors/tpm",
        "/attestors/tpm/success",
        "/attestors/tpm/secure_boot",
        "/attestors/aws_iid",
        "/attestors/k8s_psat",
        "/node/tags/Environment",
        "/node/tags/Team",
        "/node/tags/SPIREManaged",
        "/node/network/vpc_id",
        "/node/network/subnet_id",
        "/node/storage/encrypted",
        "/node/instance_type",
        "/node/image/created_time",
    ] {
        assert!(
            !allows(&without(production(5), pointer)),
            "without {pointer}"
        );
    }
    for (pointer, value) in [
        ("/attestors/tpm/success", json!(false)),
        ("/node/tags/Team", json!("")),
        ("/node/tags/Environment", json!("staging")),
        ("/node/storage/encrypted", json!(false)),
        ("/node/instance_type", json!("t2.micro")),
        ("/node/network/vpc_id", json!("vpc-00000000")),
    ] {
        assert!(!allows(&with(production(5), pointer, value)), "{pointer}");
    }
    // Bare metal, and a TPM alone in development: a cloud is always asked for.
    let bare = json!({"environment": "production", "node": {},
        "attestors": {"tpm": {"success": true, "secure_boot": true}, "x509pop": {"success": true}, "ssh_pop": {"success": true}}});
    assert!(!allows(&bare));
    let alone = json!({"environment": "development", "attestors": {"tpm": {"success": true}}});
    assert!(!allows(&alone));
    let staging = without(
        with(production(5), "/environment", json!("staging")),
        "/node/image",
    );
    assert!(allows(&with(
        staging,
        "/node/tags/Environment",
        json!("staging")
    )));
}

fn worker() -> Value {
    json!({"workload": {
        "type": "worker", "namespace": "production", "service_account": "worker",
        "image": "enterprise.example.com/worker:1", "image_created_time": NOW * 1_000_000_000 - 2 * DAY_NS,
        "labels": {"app": "w", "component": "worker", "version": "1", "environment": "production",
            "app.kubernetes.io/managed-by": "spire", "security.scan.status": "passed"},
        "security_context": {"run_as_non_root": true, "read_only_root_filesystem": true, "allow_privilege_escalation": false},
        "resources": {
            "limits": {"memory": "1Gi", "cpu": "1000m", "memory_bytes": 1_073_741_824, "cpu_millis": 1000},
            "requests": {"memory": "1Gi", "cpu": "100m", "memory_bytes": 1_073_741_824, "cpu_millis": 100},
        },
    }})
}

#[test]
fn limits_are_compared_as_numbers_and_not_as_texts() {
    let published = read("tests/judge/data/rego/workload-published.rego");
    let ours = example("workload-attestation.rego");
    let sized = |memory: &str, bytes: u64, cpu: &str, millis: u64| {
        let input = with(worker(), "/workload/resources/limits/memory", json!(memory));
        let input = with(
            input,
            "/workload/resources/limits/memory_bytes",
            json!(bytes),
        );
        let input = with(input, "/workload/resources/limits/cpu", json!(cpu));
        with(
            input,
            "/workload/resources/limits/cpu_millis",
            json!(millis),
        )
    };
    let gib = 1024 * 1024 * 1024;
    for (input, theirs_allows, ours_allows) in [
        (worker(), true, true),
        (sized("10Gi", 10 * gib, "1000m", 1000), true, false),
        (sized("1Gi", gib, "500m", 500), false, true),
        (sized("2Gi", 2 * gib, "1000m", 1000), true, true),
        (sized("2Gi", 2 * gib + 1, "1000m", 1000), true, false),
    ] {
        let allows = |text: &str| outcome(text, &input) == ModuleOutcome::Allow;
        assert_eq!(allows(&published), theirs_allows, "{input}");
        assert_eq!(allows(&ours), ours_allows, "{input}");
    }
    for text in [json!("2147483647"), json!(-1), json!(null)] {
        let input = with(
            worker(),
            "/workload/resources/limits/memory_bytes",
            text.clone(),
        );
        assert_ne!(outcome(&ours, &input), ModuleOutcome::Allow, "{text}");
    }
    let ages = |days: i64| {
        let created = NOW * 1_000_000_000 - days * DAY_NS;
        with(worker(), "/workload/image_created_time", json!(created))
    };
    for (days, allows) in [(6, true), (8, false), (-8, false)] {
        let said = outcome(&ours, &ages(days)) == ModuleOutcome::Allow;
        assert_eq!(said, allows, "{days}");
    }
    for pointer in [
        "/workload/security_context/run_as_non_root",
        "/workload/labels/version",
        "/workload/labels/component",
        "/workload/labels/security.scan.status",
        "/workload/resources/requests/cpu_millis",
        "/workload/image",
    ] {
        assert_ne!(
            outcome(&ours, &without(worker(), pointer)),
            ModuleOutcome::Allow,
            "{pointer}"
        );
    }
}

#[test]
fn bare_metal_needs_what_its_environment_asks() {
    let text = example("bare-metal.rego");
    let board = |environment: &str| {
        json!({"environment": environment,
            "attestors": {"tpm": {"success": true, "clock_safe": true}},
            "methods": {"tpm_ek": {"success": true, "manufacturer": "id:4E544300"}, "tpm_quote": {"success": true, "clock_safe": true}}})
    };
    for environment in ["development", "staging", "production"] {
        assert_eq!(
            outcome(&text, &board(environment)),
            ModuleOutcome::Allow,
            "{environment}"
        );
    }
    for (environment, pointer, allows) in [
        ("development", "/methods", true),
        ("development", "/attestors/tpm/success", false),
        ("staging", "/methods/tpm_quote", false),
        ("staging", "/attestors/tpm/clock_safe", true),
        ("production", "/methods/tpm_quote", false),
        ("production", "/attestors/tpm/clock_safe", false),
        ("production", "/methods/tpm_ek/manufacturer", false),
        ("production", "/environment", false),
    ] {
        let input = without(board(environment), pointer);
        let said = outcome(&text, &input) == ModuleOutcome::Allow;
        assert_eq!(said, allows, "{environment} without {pointer}");
    }
}
