//! JSON Schema (2020-12) of every document, made from the types that read it.
//!
//! A schema tells an editor what may stand where. It knows the shape of a document and not its meaning: what it accepts
//! may still be refused by `assay config check`, which has the last word.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::model::Root;
use crate::policy::{AgentDocument, IssuanceDocument, PolicyDocument, Section};

/// The schema of a kind of document.
#[must_use]
pub fn of(section: Section) -> Schema {
    let generator = SchemaSettings::draft2020_12().into_generator();
    match section {
        Section::AgentAttestation => generator.into_root_schema_for::<PolicyDocument>(),
        Section::SvidIssuancePolicy => generator.into_root_schema_for::<IssuanceDocument>(),
        Section::Agent => generator.into_root_schema_for::<AgentDocument>(),
        Section::Service => generator.into_root_schema_for::<Root>(),
    }
}

/// A policy document in place, or the path of one.
pub(super) fn cluster(generator: &mut SchemaGenerator) -> Schema {
    let inline = generator.subschema_for::<PolicyDocument>();
    let path = json_schema!({
        "type": "string",
        "description": "The path of an AgentAttestation document."
    });
    json_schema!({"anyOf": [path, inline]})
}

/// A span of time as people write it.
pub(super) struct SpanText;

impl JsonSchema for SpanText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A span of time with its units.",
            "examples": ["90s", "15m", "1h 30m"]
        })
    }
}
