//! What the derived schemas of documents do not know of types that are read by hand.

use assay_common::policy::AttestorKind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::environment::Environment;
use crate::attestor::registry;

fn known_methods() -> Vec<&'static str> {
    AttestorKind::ALL.iter().filter_map(|k| k.name()).collect()
}

/// A method's name.
pub(super) struct Method;

impl JsonSchema for Method {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Method".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": known_methods(), "description": "An attestation method."})
    }
}

/// An entry of `requiredAttestors` or `anyOf`.
pub(super) struct Entry;

impl JsonSchema for Entry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Attestor".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let method = generator.subschema_for::<Method>();
        let settings = registry::BUILT.iter().filter_map(|kind| {
            let config = registry::config_schema(*kind, generator)?;
            Some(serde_json::json!({
                "if": {"properties": {"type": {"const": kind.name()}}, "required": ["type"]},
                "then": {"properties": {"config": {"anyOf": [config, {"type": "null"}]}}}
            }))
        });
        let settings: Vec<_> = settings.collect();
        json_schema!({
            "type": "object",
            "description": "A method with its settings.",
            "properties": {
                "type": method,
                "config": {"type": ["object", "null"], "description": "The method's settings."}
            },
            "required": ["type"],
            "additionalProperties": false,
            "allOf": settings
        })
    }
}

/// An environment's name.
pub(super) struct EnvironmentText;

impl JsonSchema for EnvironmentText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Environment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Environment::ALL.iter().map(|e| e.name()).collect();
        json_schema!({"enum": names})
    }
}

/// One or several.
pub(super) struct EnvironmentTexts;

impl JsonSchema for EnvironmentTexts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Environments".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<EnvironmentText>();
        json_schema!({
            "anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": true}]
        })
    }
}

/// Attributes with the values that fit.
pub(super) struct Condition;

impl JsonSchema for Condition {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Attributes with the values that fit: every one must have one of its values.",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[A-Za-z0-9_.-]+$"},
            "additionalProperties": {"anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1}
            ]}
        })
    }
}
