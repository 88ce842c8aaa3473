//! Every query of the alerts and the dashboard asks for what the page has.

use std::collections::BTreeMap;

use assay_host_verifier::telemetry::Metrics;
use assay_host_verifier::telemetry::metrics::{Authority, names};
use serde_json::Value;

use super::{path, succeeds, text, yaml};

/// `name`, and its matchers: (label, operator, value).
type Selector = (String, Vec<(String, String, String)>);

/// The selectors of a query. Enough of PromQL for ours; whatever else it finds is a name that does not exist, which fails.
fn selectors(query: &str) -> Vec<Selector> {
    const WORDS: [&str; 10] = [
        "by",
        "without",
        "or",
        "and",
        "unless",
        "on",
        "ignoring",
        "bool",
        "offset",
        "group_left",
    ];
    let bytes: Vec<char> = query.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    let mut grouping = false;
    while at < bytes.len() {
        let c = bytes[at];
        if c == '"' {
            at += 1;
            while bytes[at] != '"' {
                at += 1;
            }
            at += 1;
        } else if c == '[' {
            while bytes[at] != ']' {
                at += 1;
            }
        } else if c.is_ascii_alphabetic() || c == '_' {
            let from = at;
            while at < bytes.len()
                && (bytes[at].is_ascii_alphanumeric() || "_:".contains(bytes[at]))
            {
                at += 1;
            }
            let word: String = bytes[from..at].iter().collect();
            let rest: String = bytes[at..].iter().collect();
            if WORDS.contains(&word.as_str()) {
                grouping = matches!(word.as_str(), "by" | "without" | "on" | "ignoring");
            } else if !rest.trim_start().starts_with('(')
                && !grouping
                && !followed_by_grouping(&rest)
            {
                let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let matchers = inside
                    .map(|(inside, _)| matchers(inside))
                    .unwrap_or_default();
                at += inside.map_or(0, |(inside, _)| inside.chars().count() + 2);
                found.push((word, matchers));
            }
        } else {
            if c == ')' {
                grouping = false;
            }
            at += 1;
        }
    }
    found
}

/// `sum by (le) (…)`: the function's name stands before `by`.
fn followed_by_grouping(rest: &str) -> bool {
    let rest = rest.trim_start();
    ["by (", "by(", "without ("]
        .iter()
        .any(|word| rest.starts_with(word))
}

fn matchers(inside: &str) -> Vec<(String, String, String)> {
    let one = |matcher: &str| {
        let at = matcher.find(['=', '!']).unwrap();
        let (label, rest) = matcher.split_at(at);
        let quote = rest.find('"').unwrap();
        let value = rest[quote + 1..].strip_suffix('"').unwrap();
        (
            label.trim().to_owned(),
            rest[..quote].to_owned(),
            value.to_owned(),
        )
    };
    inside
        .split(", ")
        .flat_map(|part| part.split(","))
        .filter(|m| !m.is_empty())
        .map(one)
        .collect()
}

/// Label values by label, by the name of a sample.
fn page() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let metrics = Metrics::default();
    let end = "2030-01-01T00:00:00Z".parse().unwrap();
    metrics.tls_expires(end);
    metrics.aws_certificate_expires(end);
    metrics.authority(Authority::X509, end, end);
    metrics.authority(Authority::Jwt, end, end);
    metrics.authority(Authority::Upstream, end, end);
    let mut samples: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for line in metrics
        .render()
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let sample = samples.entry(name.to_owned()).or_default();
        let labels = labels.strip_suffix('}').unwrap();
        for (label, _, value) in matchers(labels) {
            sample.entry(label).or_default().push(value);
        }
    }
    // Prometheus' own.
    samples.insert("up".to_owned(), BTreeMap::new());
    samples
}

/// (where, query)
fn all_queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    let alerts = yaml("prometheus/alerts.yaml");
    for group in alerts[0]["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let text = |name: &str| rule[name].as_str().unwrap().to_owned();
            queries.push((text("alert"), text("expr")));
        }
    }
    let dashboard: Value = serde_json::from_str(&text("grafana/assay.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            queries.push((
                panel["title"].as_str().unwrap().to_owned(),
                query.to_owned(),
            ));
        }
    }
    queries
}

#[test]
fn whatever_alerts_and_dashboard_ask_for_is_on_the_page() {
    let page = page();
    let queries = all_queries();
    assert!(queries.len() > 40, "{}", queries.len());
    for (place, query) in &queries {
        let selectors = selectors(query);
        assert!(!selectors.is_empty(), "{place}: {query}");
        for (name, matchers) in selectors {
            let labels = page
                .get(&name)
                .unwrap_or_else(|| panic!("{place}: there is no {name}: {query}"));
            for (label, operator, value) in matchers {
                if ["job", "instance"].contains(&label.as_str()) {
                    continue;
                }
                let values = labels
                    .get(&label)
                    .unwrap_or_else(|| panic!("{place}: {name} has no label {label}"));
                let there = |value: &str| match value.strip_suffix(".*") {
                    Some(prefix) => values.iter().any(|v| v.starts_with(prefix)),
                    None => values.iter().any(|v| v == value),
                };
                let all = match operator.contains('~') {
                    true => value.split('|').all(there),
                    false => there(&value),
                };
                assert!(all, "{place}: {name} has no {label}{operator}\"{value}\"");
            }
        }
    }
}

#[test]
fn every_metric_is_shown_or_watched() {
    let asked: String = all_queries()
        .into_iter()
        .map(|(_, query)| query + "\n")
        .collect();
    let left: Vec<_> = names::ALL
        .iter()
        .filter(|m| !asked.contains(m.name))
        .map(|m| m.name)
        .collect();
    assert_eq!(left, Vec::<&str>::new());
}

#[test]
fn a_query_for_what_is_not_there_would_be_found() {
    let (name, matchers) =
        selectors("sum by (le, job) (rate(a_b{x=\"1\",y=~\"2|3\"}[5m])) > 0").remove(0);
    assert_eq!(name, "a_b");
    assert_eq!(
        matchers[1],
        ("y".to_owned(), "=~".to_owned(), "2|3".to_owned())
    );
    assert_eq!(selectors("a or (b - time()) / c").len(), 3);
    assert!(!page().contains_key("spire_server_node_attestor_failure"));
}

#[test]
fn every_query_of_the_dashboard_is_one_that_prometheus_reads() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("dashboard.yaml");
    let mut text = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, (_, query)) in all_queries().iter().enumerate() {
        let query = query
            .replace("$__rate_interval", "5m")
            .replace("$job", ".*")
            .replace("$instance", ".*");
        text += &format!(
            "  - record: query_{number}\n    expr: {}\n",
            serde_json::to_string(&query).unwrap()
        );
    }
    std::fs::write(&rules, text).unwrap();
    let said = succeeds(
        "promtool",
        "prometheus",
        &["check", "rules", rules.to_str().unwrap()],
    );
    assert!(said.contains("SUCCESS"), "{said}");
    let dashboard: Value = serde_json::from_str(&super::text("grafana/assay.json")).unwrap();
    let mut ids: Vec<_> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_i64())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "panels have numbers of their own");
    assert!(path("grafana/assay.json").exists());
}
