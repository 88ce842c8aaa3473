use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{Attribute, Claims, Facts, Fault};
use assay_host_verifier::policy::engine::is_wanted;
use assay_host_verifier::policy::rego::input;
use assay_host_verifier::policy::what_if::Assumed;
use assay_host_verifier::policy::{
    Environment, Lists, Outcome, Outcomes, Policy, PolicySet, Standing, decide, narrow,
    narrow_to_decide, standing,
};
use serde_json::{Value, json};

use super::super::{on, outcomes, says};
use super::{DAY_NS, NOW, load, now};

const EK: AttestorKind = AttestorKind::TPM_EK;
const QUOTE: AttestorKind = AttestorKind::TPM_QUOTE;
const AWS: AttestorKind = AttestorKind::AWS_IID;

fn policy(name: &str, kinds: &[AttestorKind], module: Option<&str>) -> Policy {
    let attestors = kinds.iter().map(|kind| match *kind {
        QUOTE => on(QUOTE, [EK].into_iter().collect()),
        other => says(other),
    });
    let policy = Policy::new(name, attestors.collect()).unwrap();
    match module {
        None => policy,
        Some(rules) => {
            let text = format!("package t\nimport rego.v1\n{rules}\n");
            policy.narrowed_by(vec![Arc::new(load(&text).unwrap())])
        }
    }
}

#[test]
fn a_module_that_says_no_hands_over_to_the_next_policy() {
    for (rules, winner) in [
        ("allow := true", Some("first")),
        ("allow := false", Some("second")),
        ("allow if input.missing", Some("second")),
        (
            "default allow := false\nallow := 1 if input.attestors.tpm",
            Some("second"),
        ),
    ] {
        let policies = vec![
            policy("first", &[EK], Some(rules)),
            policy("second", &[EK], None),
        ];
        let set = PolicySet::new(policies).unwrap();
        let mut outcomes = outcomes(&set, |_, _| 0);
        assert_eq!(standing(&set, &outcomes), Standing::Module(0));
        assert_eq!(
            decide(&set, &outcomes).unwrap().policy(),
            "second",
            "not asked is not allowed"
        );
        narrow(&set, &mut outcomes, now());
        let authorized = decide(&set, &outcomes).ok();
        assert_eq!(authorized.as_ref().map(|a| a.policy()), winner, "{rules}");
    }
}

#[test]
fn a_module_never_widens_a_policy() {
    let set = PolicySet::new(vec![policy("only", &[EK, QUOTE], Some("allow := true"))]).unwrap();
    for failed in [EK, QUOTE] {
        let mut outcomes = outcomes(&set, |_, kind| u8::from(kind == failed));
        narrow(&set, &mut outcomes, now());
        narrow_to_decide(&set, &mut outcomes, now());
        let refusal = decide(&set, &outcomes).unwrap_err();
        assert_eq!(refusal.fault, Some(Fault::Refused));
        assert!(outcomes.modules(0).is_empty(), "it was not even asked");
        let rule = refusal.explanation.policies[0].rules.last().unwrap();
        assert_eq!((rule.rule, rule.holds), ("rego", false));
    }
}

#[test]
fn proofs_are_not_asked_for_where_a_module_has_said_no() {
    let policies = vec![
        policy("strict", &[EK], Some("allow := false")),
        policy("other", &[AWS], None),
    ];
    let set = PolicySet::new(policies).unwrap();
    let mut outcomes = outcomes(&set, |_, kind| if kind == EK { 0 } else { 9 });
    narrow(&set, &mut outcomes, now());
    assert_eq!(
        standing(&set, &outcomes),
        Standing::Open,
        "the second policy decides"
    );
    let wanted: Vec<_> = set
        .requirements()
        .filter(|(id, _)| is_wanted(&set, &outcomes, *id))
        .map(|(_, attestor)| attestor.kind())
        .collect();
    assert_eq!(wanted, [AWS]);
}

#[test]
fn whose_fault_a_refusal_is_depends_on_what_the_module_did() {
    for (rules, fault, says) in [
        ("allow := false", None, "data.t.allow denies"),
        ("allow if input.no", None, "data.t.allow is undefined"),
        (
            "default allow := false\nallow := 2 if input.attestors.tpm",
            Some(Fault::Misconfigured),
            "not a boolean",
        ),
    ] {
        let set = PolicySet::new(vec![policy("only", &[EK], Some(rules))]).unwrap();
        let mut outcomes = outcomes(&set, |_, _| 0);
        narrow(&set, &mut outcomes, now());
        let refusal = decide(&set, &outcomes).unwrap_err();
        assert_eq!(refusal.fault, fault, "{rules}");
        let text = refusal.explanation.to_string();
        assert!(
            text.starts_with("policy `only`: rego test.rego (sha256 "),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
        let verdict = &refusal.explanation.policies[0].modules[0];
        assert_eq!(verdict.digest.len(), 64);
    }
}

#[test]
fn every_module_of_a_policy_must_allow() {
    let module =
        |rule: &str| Arc::new(load(&format!("package t\nimport rego.v1\n{rule}")).unwrap());
    for (rules, allowed) in [
        (["allow := true", "allow := true"], true),
        (["allow := true", "allow := false"], false),
        (["allow := false", "allow := true"], false),
    ] {
        let policy = Policy::new("only", vec![says(EK)]).unwrap();
        let policy = policy.narrowed_by(rules.iter().map(|rule| module(rule)).collect());
        let set = PolicySet::new(vec![policy]).unwrap();
        let mut outcomes = outcomes(&set, |_, _| 0);
        narrow(&set, &mut outcomes, now());
        assert_eq!(decide(&set, &outcomes).is_ok(), allowed, "{rules:?}");
    }
}

fn claims(kind: AttestorKind, attributes: &[(&str, &str)]) -> Assumed {
    let attributes = attributes.iter().map(|(name, value)| Attribute {
        origin: kind,
        name: format!("{}.{name}", kind.origin().unwrap()).into(),
        value: (*value).to_owned(),
    });
    Assumed::new(Claims {
        kind,
        attributes: attributes.collect(),
        facts: Facts::default(),
    })
}

/// A method's attributes; `None` for one that failed.
type Given<'a> = (AttestorKind, Option<&'a [(&'a str, &'a str)]>);

/// The document over these claims.
fn document(given: &[Given<'_>]) -> (Value, Vec<String>) {
    let kinds: Vec<_> = given.iter().map(|(kind, _)| *kind).collect();
    let lists = Lists {
        required: None,
        any_of: Some(policy("x", &kinds, None).attestors().to_vec()),
        min_attestors: None,
        combinations: None,
    };
    let policy = Policy::with_rules("x", &lists, Vec::new()).unwrap();
    let set = PolicySet::in_environment(vec![policy], Some(Environment::Staging)).unwrap();
    let mut outcomes = Outcomes::assumed();
    for ((id, _), (kind, attributes)) in set.requirements().zip(given) {
        outcomes.record(
            id,
            match attributes {
                Some(attributes) => Outcome::Satisfied(claims(*kind, attributes)),
                None => Outcome::NotAnswered,
            },
        );
    }
    let document = input::document(&set, &outcomes, 0, now());
    (document.value, document.left_out)
}

#[test]
fn the_input_is_the_documented_one() {
    let created = (NOW * 1_000_000_000 - DAY_NS).to_string();
    let (found, left_out) = document(&[
        (
            EK,
            Some(&[("public_hash", "ab"), ("manufacturer", "id:4E544300")]),
        ),
        (
            QUOTE,
            Some(&[
                ("clock_safe", "true"),
                ("reset_count", "4"),
                ("pcr.sha256.7", "00ff"),
            ]),
        ),
        (
            AWS,
            Some(&[
                ("ec2.instance.tag.Team", "platform"),
                ("ec2.instance.tag.SPIREManaged", "true"),
                ("ec2.security_group.id", "sg-1"),
                ("ec2.security_group.id", "sg-2"),
                ("ec2.instance.type", "m5.large"),
                ("ec2.vpc.id", "vpc-1"),
                ("ec2.subnet.id", "subnet-1"),
                ("ec2.instance.storage_encrypted", "true"),
                ("ec2.image.created_time", &created),
            ]),
        ),
        (AttestorKind::GCP_IIT, None),
    ]);
    assert_eq!(left_out, Vec::<String>::new());
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/policies/rego/input.json"
    );
    let shown: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(found, shown, "{found:#}");
}

#[test]
fn what_is_not_known_is_not_there() {
    let (found, _) = document(&[(AWS, Some(&[]))]);
    assert_eq!(
        found,
        json!({"environment": "staging", "attestors": {"aws_iid": {"success": true}},
            "methods": {"aws_iid": {"success": true}}, "attributes": {}, "node": {}})
    );
}

#[test]
fn one_chip_counts_once_and_a_failed_part_of_it_fails_it() {
    let (found, _) = document(&[(EK, Some(&[])), (QUOTE, Some(&[]))]);
    assert_eq!(found["attestors"], json!({"tpm": {"success": true}}));
    let (found, _) = document(&[(EK, Some(&[])), (QUOTE, None)]);
    assert_eq!(found["attestors"], json!({"tpm": {"success": false}}));
    assert_eq!(found["methods"]["tpm_ek"]["success"], true);
    // A quote that stands on nothing proves nothing, and what it says is not there.
    let (found, _) = document(&[(EK, None), (QUOTE, Some(&[("clock_safe", "true")]))]);
    assert_eq!(found["methods"]["tpm_quote"], json!({"success": false}));
    assert_eq!(found["attributes"], json!({}));
}

#[test]
fn facts_that_cannot_be_are_left_out_and_said() {
    let future = (NOW * 1_000_000_000 + 1).to_string();
    for (attributes, left_out) in [
        (
            vec![("ec2.image.created_time", future.as_str())],
            "node.image.created_time is not there: it lies in the future",
        ),
        (
            vec![("ec2.image.created_time", "yesterday")],
            "node.image.created_time is not there: its value cannot be read",
        ),
        (
            vec![("ec2.instance.type", "a"), ("ec2.instance.type", "b")],
            "node.instance_type is not there: proofs give different values",
        ),
    ] {
        let (found, said) = document(&[(AWS, Some(&attributes))]);
        assert_eq!(found["node"], json!({}));
        assert_eq!(said, [left_out]);
    }
    let exactly_now = (NOW * 1_000_000_000).to_string();
    let (found, _) = document(&[(AWS, Some(&[("ec2.image.created_time", &exactly_now)]))]);
    assert_eq!(found["node"]["image"]["created_time"], NOW * 1_000_000_000);
    let (found, _) = document(&[(
        AWS,
        Some(&[("ec2.image.created_time", "2025-12-31T00:00:00Z")]),
    )]);
    assert_eq!(
        found["node"]["image"]["created_time"],
        NOW * 1_000_000_000 - DAY_NS
    );
}
