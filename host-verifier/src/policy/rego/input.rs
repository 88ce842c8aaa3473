//! What a module sees of a login: claims that were verified, under the names that policies for SPIRE use.
//!
//! ```json
//! {
//!   "environment": "production",
//!   "attestors": {"tpm": {"success": true, "clock_safe": true}, "aws_iid": {"success": true}},
//!   "methods": {"tpm_ek": {"success": true, "manufacturer": "id:49465800", "…": "…"},
//!               "tpm_quote": {"success": true, "reset_count": 4, "…": "…"}, "aws_iid": {"success": true}},
//!   "attributes": {"tpm_ek.manufacturer": ["id:49465800"], "tpm_quote.pcr.sha256.7": ["…"]},
//!   "node": {"tags": {"Team": "platform"}, "network": {"vpc_id": "…", "subnet_id": "…"}, "storage": {"encrypted": true},
//!            "instance_type": "m5.large", "image": {"created_time": 1767225600000000000}}
//! }
//! ```
//!
//! | path | type | when |
//! |---|---|---|
//! | `environment` | text | the document has one |
//! | `attestors.<type>.success` | boolean | the method was judged: `false` is a proof that failed, or that was asked for and did not come |
//! | `attestors.tpm` | object | `tpm_ek`, `tpm_devid` and `tpm_quote` as one: `success` when one counts and none failed |
//! | `methods.<type>` | object | as in `attestors`, with every TPM method by its own name |
//! | `attributes.<name>` | list of texts | everything that this policy's proofs vouch for |
//! | `node.…` | as above | a method vouches for it, and no other for something else |
//!
//! A method has its attributes of one value beside `success`, by their names without the method's; those of several values are
//! in `attributes` only. `clock_safe`, `secure_boot` and `storage_encrypted` are booleans, `reset_count` and
//! `restart_count` numbers, all others texts.
//!
//! What is not known is not there: neither `null` nor `false` stands for it, so a rule that needs it is undefined.
//!
//! # Why the TPM is one attestor
//!
//! Policies count attestors (`count(successful_attestors) >= 3`). The EK and the quote are one chip: under two names, or three
//! with the common one, one piece of hardware would count as many.
//!
//! # Whose claims
//!
//! Those of the policy that asks. A proof that counts in another policy only, under its settings, is not there.

use assay_common::policy::AttestorKind;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::PolicySet;
use super::super::engine::{Outcome, Outcomes, view};
use super::super::proof::Proof;
use crate::attestor::Attribute;
use crate::attestor::run::RequirementId;

/// The document, and what was left out of it though a method vouches for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The document.
    pub value: Value,
    /// Why something is missing, for the operator.
    pub left_out: Vec<String>,
}

/// The methods that stand behind `attestors.tpm`.
const TPM: &[AttestorKind] = &[
    AttestorKind::TPM_EK,
    AttestorKind::TPM_DEVID,
    AttestorKind::TPM_QUOTE,
];

/// How an attribute's text is shown.
enum Shape {
    Boolean,
    Number,
    /// Nanoseconds since 1970, from those or from RFC 3339.
    Time,
    Text,
}

/// The paths below `node`, and the attributes that they come from.
const NODE: &[(&[&str], Shape, &[&str])] = &[
    (
        &["instance_type"],
        Shape::Text,
        &[
            "aws_iid.ec2.instance.type",
            "azure_imds.vm.size",
            "gcp_iit.machine_type",
        ],
    ),
    (
        &["network", "vpc_id"],
        Shape::Text,
        &[
            "aws_iid.ec2.vpc.id",
            "azure_imds.virtual_network",
            "gcp_iit.network",
        ],
    ),
    (
        &["network", "subnet_id"],
        Shape::Text,
        &[
            "aws_iid.ec2.subnet.id",
            "azure_imds.virtual_network_subnet",
            "gcp_iit.subnetwork",
        ],
    ),
    (
        &["storage", "encrypted"],
        Shape::Boolean,
        &["aws_iid.ec2.instance.storage_encrypted"],
    ),
    (
        &["image", "created_time"],
        Shape::Time,
        &["aws_iid.ec2.image.created_time"],
    ),
];

/// The attributes that are tags: what stands behind these is the tag's name.
const TAGS: &[&str] = &[
    "aws_iid.ec2.instance.tag.",
    "azure_imds.vm.tag.",
    "gcp_iit.label.",
];

/// What the modules of the policy at this position see.
#[must_use]
pub fn document<P: Proof>(
    set: &PolicySet,
    outcomes: &Outcomes<P>,
    policy: usize,
    now: Timestamp,
) -> Document {
    let mut methods = Map::new();
    let mut attributes: Vec<&Attribute> = Vec::new();
    let mut judged: Vec<(AttestorKind, bool)> = Vec::new();
    let counted = view(set, outcomes, policy).map(|(_, view)| view.proven);
    let entries = set
        .policies()
        .get(policy)
        .map_or(&[][..], |p| p.attestors());
    for (entry, attestor) in entries.iter().enumerate() {
        let kind = attestor.kind();
        let mut method = Map::new();
        let success = match outcomes.of(RequirementId { policy, entry }) {
            Some(Outcome::Satisfied(proof)) if counted.is_some_and(|set| set.contains(kind)) => {
                let own = &proof.claims().attributes;
                details(own, &mut method);
                attributes.extend(own);
                true
            }
            // Accepted, but without what it stands on: it proves nothing here.
            Some(Outcome::Satisfied(_) | Outcome::Failed(_) | Outcome::NotAnswered) => false,
            Some(Outcome::NotOffered) | None => continue,
        };
        method.insert("success".to_owned(), success.into());
        judged.push((kind, success));
        methods.insert(kind.to_string(), Value::Object(method));
    }
    let mut left_out = Vec::new();
    let mut value = json!({
        "attestors": attestors(&methods, &judged),
        "methods": methods,
        "attributes": lists(&attributes),
        "node": node(&attributes, now, &mut left_out),
    });
    if let (Some(environment), Some(fields)) = (set.environment(), value.as_object_mut()) {
        fields.insert("environment".to_owned(), environment.name().into());
    }
    Document { value, left_out }
}

/// The methods, with those of the TPM as one.
fn attestors(methods: &Map<String, Value>, judged: &[(AttestorKind, bool)]) -> Map<String, Value> {
    let mut attestors = methods.clone();
    let mut tpm = Map::new();
    let chip: Vec<_> = judged
        .iter()
        .filter(|(kind, _)| TPM.contains(kind))
        .collect();
    if chip.is_empty() {
        return attestors;
    }
    for (kind, _) in &chip {
        let Some(Value::Object(method)) = attestors.remove(&kind.to_string()) else {
            continue;
        };
        for name in ["clock_safe", "secure_boot"] {
            if let Some(value) = method.get(name) {
                tpm.insert(name.to_owned(), value.clone());
            }
        }
    }
    let success = chip.iter().all(|(_, success)| *success);
    tpm.insert("success".to_owned(), success.into());
    attestors.insert("tpm".to_owned(), Value::Object(tpm));
    attestors
}

/// A method's attributes of one value, by their names without the method's.
fn details(attributes: &[Attribute], into: &mut Map<String, Value>) {
    for attribute in attributes {
        let several = attributes
            .iter()
            .filter(|a| a.name == attribute.name)
            .count()
            > 1;
        let origin = attribute.origin.origin().unwrap_or_default();
        let name = attribute.name.strip_prefix(origin);
        let Some(name) = name.and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        let last = name.rsplit('.').next().unwrap_or(name);
        let shape = match last {
            "clock_safe" | "secure_boot" | "storage_encrypted" => Shape::Boolean,
            "reset_count" | "restart_count" => Shape::Number,
            _ => Shape::Text,
        };
        if let (false, Some(value)) = (several, shape.of(&attribute.value)) {
            into.insert(name.to_owned(), value);
        }
    }
}

fn lists(attributes: &[&Attribute]) -> Map<String, Value> {
    let mut lists: Map<String, Value> = Map::new();
    for attribute in attributes {
        let list = lists
            .entry(attribute.name.to_string())
            .or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(attribute.value.as_str().into());
        }
    }
    lists
}

fn node(attributes: &[&Attribute], now: Timestamp, left_out: &mut Vec<String>) -> Value {
    let mut node = json!({});
    for (path, shape, names) in NODE {
        let given = attributes.iter().filter(|a| names.contains(&&*a.name));
        let values: Vec<_> = given.map(|a| a.value.as_str()).collect();
        let shown = path.join(".");
        let Some(text) = agreed(&format!("node.{shown}"), &values, left_out) else {
            continue;
        };
        let value = shape.of(text);
        let future = matches!(shape, Shape::Time)
            && value
                .as_ref()
                .and_then(Value::as_i64)
                .is_some_and(|at| i128::from(at) > now.as_nanosecond());
        match value {
            _ if future => {
                left_out.push(format!("node.{shown} is not there: it lies in the future"))
            }
            Some(value) => place(&mut node, path, value),
            None => left_out.push(format!(
                "node.{shown} is not there: its value cannot be read"
            )),
        }
    }
    let mut tags: Vec<&str> = Vec::new();
    for attribute in attributes {
        let tag = TAGS
            .iter()
            .find_map(|prefix| attribute.name.strip_prefix(prefix));
        tags.extend(tag.filter(|tag| !tags.contains(tag)));
    }
    for tag in tags {
        let given = attributes.iter().filter(|a| {
            TAGS.iter()
                .any(|prefix| a.name.strip_prefix(prefix) == Some(tag))
        });
        let values: Vec<_> = given.map(|a| a.value.as_str()).collect();
        if let Some(text) = agreed(&format!("node.tags.{tag}"), &values, left_out) {
            place(&mut node, &["tags", tag], text.into());
        }
    }
    node
}

/// The value that all give; two that differ are none.
fn agreed<'a>(path: &str, values: &[&'a str], left_out: &mut Vec<String>) -> Option<&'a str> {
    let first = values.first()?;
    if values.iter().any(|value| value != first) {
        left_out.push(format!("{path} is not there: proofs give different values"));
        return None;
    }
    Some(first)
}

fn place(node: &mut Value, path: &[&str], value: Value) {
    let mut at = node;
    for name in path {
        if !at.is_object() {
            *at = json!({});
        }
        let Some(fields) = at.as_object_mut() else {
            return;
        };
        at = fields.entry((*name).to_owned()).or_insert(Value::Null);
    }
    *at = value;
}

impl Shape {
    fn of(&self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(text.into()),
            Self::Boolean => text.parse::<bool>().ok().map(Value::from),
            Self::Number => text.parse::<u64>().ok().map(Value::from),
            Self::Time => {
                let ns = text.parse::<i64>().ok().or_else(|| {
                    let at: Timestamp = text.parse().ok()?;
                    i64::try_from(at.as_nanosecond()).ok()
                });
                ns.map(Value::from)
            }
        }
    }
}
