//! The OpenAPI document.

use std::collections::BTreeSet;

use assay_host_verifier::api::document;
use assay_host_verifier::telemetry::metrics::ROUTES;
use serde_json::Value;

use super::Api;

/// Every `$ref` below a value.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// A route that is not in the metrics' list counts as `other`, and one that is nowhere else never counts.
#[tokio::test]
async fn every_path_has_a_series_of_its_own() {
    let document = serde_json::to_value(document(&Api::new().state())).unwrap();
    let paths = document["paths"].as_object().unwrap().keys();
    let mut served: BTreeSet<_> = paths.map(String::as_str).collect();
    served.insert("/openapi.json");
    let counted: BTreeSet<_> = ROUTES.iter().copied().collect();
    assert_eq!(counted, served);
}

#[tokio::test]
async fn the_document_is_served_and_whole() {
    let served = Api::new().serve().await;
    let (text, words) = served.get("/openapi.json", &[]).await;
    assert_eq!(words, "2 200");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for member in ["title", "version"] {
        assert!(document["info"][member].is_string(), "{member}");
    }
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    assert!(used.contains("#/components/schemas/Problem"));
    for reference in used {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
    assert_eq!(schemes["mtls"]["type"], "mutualTLS");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{what}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{what}"
            );
            assert!(!operation["tags"].as_array().unwrap().is_empty(), "{what}");
            for scheme in operation["security"].as_array().unwrap() {
                let name = scheme.as_object().unwrap().keys().next().unwrap();
                assert!(schemes.contains_key(name), "{what}: {name}");
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{what}"
            );
            for (status, response) in responses {
                assert!(response["description"].is_string(), "{what} {status}");
                let content = response["content"].as_object();
                let problem = content.is_some_and(|c| c.contains_key("application/problem+json"));
                // A login that is refused by what it said is answered in its own protocol alone.
                let refusal = path == "/v1/login" && ["403", "404"].contains(&status.as_str());
                let error = status.starts_with(['4', '5']) && !refusal;
                assert_eq!(problem, error, "{what} {status}");
            }
            // Every parameter of the path is described, and none that is not in it.
            let none = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&none);
            let described: BTreeSet<_> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let named: BTreeSet<_> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(described, named, "{what}");
        }
    }
}

#[tokio::test]
async fn who_has_the_document_is_told_so() {
    let served = Api::new().serve().await;
    for path in ["/openapi.json", "/v1/bundle"] {
        let (head, _) = served
            .get(path, &["--dump-header", "-", "--output", "/dev/null"])
            .await;
        let tag = head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "))
            .unwrap()
            .trim();
        let known = format!("if-none-match: {tag}");
        let (body, words) = served.get(path, &["--header", &known]).await;
        assert_eq!((body.as_str(), words.as_str()), ("", "2 304"), "{path}");
        let (body, words) = served
            .get(path, &["--header", "if-none-match: \"other\""])
            .await;
        assert_eq!(
            (body.is_empty(), words.as_str()),
            (false, "2 200"),
            "{path}"
        );
    }
}
