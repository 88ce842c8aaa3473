//! The rules, by Prometheus' own tool.

use super::{path, succeeds, text, yaml};

#[test]
fn rules_and_example_configuration_are_valid() {
    let alerts = path("prometheus/alerts.yaml");
    let said = succeeds(
        "promtool",
        "prometheus",
        &["check", "rules", alerts.to_str().unwrap()],
    );
    assert!(said.contains("19 rules found"), "{said}");
    let config = path("prometheus/prometheus.example.yaml");
    succeeds(
        "promtool",
        "prometheus",
        &["check", "config", config.to_str().unwrap()],
    );
}

#[test]
fn every_alert_fires_and_rests_as_its_cases_say() {
    let cases = path("prometheus/alerts_test.yaml");
    let said = succeeds(
        "promtool",
        "prometheus",
        &["test", "rules", cases.to_str().unwrap()],
    );
    assert!(said.contains("SUCCESS"), "{said}");

    // Every alert has a case in which it fires and one in which it does not.
    let cases = yaml("prometheus/alerts_test.yaml");
    let alerts = yaml("prometheus/alerts.yaml");
    for group in alerts[0]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let name = &rule["alert"];
            let tests = cases[0]["tests"].as_array().unwrap().iter();
            let own: Vec<_> = tests
                .flat_map(|test| test["alert_rule_test"].as_array().unwrap())
                .filter(|test| test["alertname"] == *name)
                .map(|test| test["exp_alerts"].as_array().unwrap().len())
                .collect();
            assert!(
                own.contains(&0) && own.iter().any(|n| *n > 0),
                "{name}: {own:?}"
            );
        }
    }
}

#[test]
fn the_cases_find_an_alert_that_does_not_fire() {
    let folder = tempfile::tempdir().unwrap();
    let spoilt =
        text("prometheus/alerts.yaml").replace("attestor_type=\"tpm\"", "attestor_type=\"tpm_ek\"");
    std::fs::write(folder.path().join("alerts.yaml"), spoilt).unwrap();
    let cases = folder.path().join("alerts_test.yaml");
    std::fs::write(&cases, text("prometheus/alerts_test.yaml")).unwrap();
    let output = super::tool(
        "promtool",
        "prometheus",
        &["test", "rules", cases.to_str().unwrap()],
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("SPIRETPMAttestationFailure"),
        "{said}"
    );
}

#[test]
fn the_operators_resources_have_the_same_rules_and_drop_samples_not_targets() {
    let resources = yaml("kubernetes/servicemonitor.yaml");
    let [monitor, rule] = resources.as_slice() else {
        panic!("{resources:#?}")
    };
    assert_eq!(rule["kind"], "PrometheusRule");
    assert_eq!(rule["metadata"]["name"], "spire-attestation-alerts");
    assert_eq!(
        rule["spec"]["groups"],
        yaml("prometheus/alerts.yaml")[0]["groups"]
    );
    assert_eq!(monitor["kind"], "ServiceMonitor");
    assert_eq!(monitor["metadata"]["name"], "spire-attestation-monitoring");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert!(
        endpoint.get("relabelings").is_none(),
        "a target has no __name__"
    );
    let keep = &endpoint["metricRelabelings"][0];
    assert_eq!(keep["action"], "keep");
    let prefixes: Vec<_> = keep["regex"].as_str().unwrap().split('|').collect();
    for metric in assay_host_verifier::telemetry::metrics::names::ALL {
        let kept = prefixes
            .iter()
            .any(|prefix| match prefix.strip_suffix(".*") {
                Some(prefix) => metric.name.starts_with(prefix),
                None => metric.name == *prefix,
            });
        assert!(kept, "{} is dropped", metric.name);
    }
}
