//! What a webhook answers, read once.

use core::fmt;
use std::collections::BTreeMap;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::verify::WebhookError;

/// Most attributes of an answer.
pub const MAX_ATTRIBUTES: usize = 64;
/// Longest key, bytes.
pub const MAX_KEY: usize = 64;
/// Longest value, bytes.
pub const MAX_VALUE: usize = 256;
/// Longest reason and longest identity, bytes.
pub const MAX_WORD: usize = 128;

/// An answer as it travels. A member that this version does not know is refused: it may be a condition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Whether the node is let in.
    pub allow: bool,
    /// What is known of it, to be emitted as `custom.<key>`.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// The webhook's own, stable name of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Why it is not let in: a word for the operator's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An answer that lets a node in, every part checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// By key, without `custom.`.
    pub attributes: BTreeMap<String, String>,
    /// The node's name.
    pub identity: Option<String>,
}

/// What is kept with the evidence: who was asked, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The webhook's URL as the policy has it.
    #[serde(rename = "webhookURL")]
    pub webhook_url: String,
    /// What it answered.
    pub answer: Answer,
}

/// A flat map of texts. Each key once: of two values, who knows which one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Attributes(pub BTreeMap<String, String>);

impl Attributes {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;
        impl<'de> Visitor<'de> for Flat {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a flat map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if attributes.len() == MAX_ATTRIBUTES {
                        return Err(de::Error::custom("too many"));
                    }
                    if attributes.insert(key, value).is_some() {
                        return Err(de::Error::custom("twice"));
                    }
                }
                Ok(Attributes(attributes))
            }
        }
        deserializer.deserialize_map(Flat)
    }
}

impl Answer {
    /// Reads the body of a response.
    ///
    /// # Errors
    /// [`WebhookError::Answer`].
    pub fn parse(body: &[u8]) -> Result<Self, WebhookError> {
        serde_json::from_slice(body).map_err(|_| WebhookError::Answer)
    }

    /// What the webhook has decided, when everything in its answer can be used.
    ///
    /// # Errors
    /// [`WebhookError::Denied`]; [`WebhookError::Attribute`], [`WebhookError::Identity`] or [`WebhookError::Answer`] for
    /// one that cannot be used.
    pub fn check(self) -> Result<Allowed, WebhookError> {
        let reason = self.reason.unwrap_or_default();
        if reason.len() > MAX_WORD || !reason.bytes().all(is_word) {
            return Err(WebhookError::Answer);
        }
        if !self.allow {
            return Err(WebhookError::Denied(reason));
        }
        let usable = |value: &str| {
            (1..=MAX_VALUE).contains(&value.len()) && !value.chars().any(char::is_control)
        };
        let mut attributes = self.attributes.0.iter();
        if !attributes.all(|(key, value)| is_key(key) && usable(value)) {
            return Err(WebhookError::Attribute);
        }
        let named = |name: &str| (1..=MAX_WORD).contains(&name.len()) && name.bytes().all(is_word);
        if !self.identity.as_deref().is_none_or(named) {
            return Err(WebhookError::Identity);
        }
        Ok(Allowed {
            attributes: self.attributes.0,
            identity: self.identity,
        })
    }
}

/// Lower-case letters, digits, `_`, in parts between dots: what is behind `custom.` never begins another origin.
#[must_use]
pub fn is_key(key: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    key.len() <= MAX_KEY
        && key
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(legal))
}

/// What a log and a list can show as it is.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':')
}
