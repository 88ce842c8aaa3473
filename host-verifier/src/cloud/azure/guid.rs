//! Identifiers of tenants, subscriptions, principals and virtual machines.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A GUID in its usual form, `8-4-4-4-12` hexadecimal digits, kept in lower case. Azure writes them in either case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Guid(String);

/// A text that is no GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no GUID: it has 32 hexadecimal digits as 8-4-4-4-12")]
pub struct NoGuid;

impl Guid {
    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |(at, byte): (usize, u8)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        let whole = text.len() == 36 && text.bytes().enumerate().all(fits);
        whole.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether a text says this one, in either case.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        // What differs from a GUID in nothing but case is one.
        self.0.eq_ignore_ascii_case(text)
    }

    /// In lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for Guid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Guid {
    type Error = NoGuid;

    fn try_from(text: String) -> Result<Self, NoGuid> {
        Self::parse(&text).ok_or(NoGuid)
    }
}

impl From<Guid> for String {
    fn from(guid: Guid) -> Self {
        guid.0
    }
}

impl JsonSchema for Guid {
    fn schema_name() -> Cow<'static, str> {
        "guid".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Guid;

    #[test]
    fn a_guid_has_one_form_and_either_case() {
        let guid = Guid::parse("0C7d2B1a-0000-4ABC-8def-0123456789aB");
        let text = guid.as_ref().map(Guid::as_str);
        assert_eq!(text, Some("0c7d2b1a-0000-4abc-8def-0123456789ab"));
        for same in [
            "0c7d2b1a-0000-4abc-8def-0123456789ab",
            "0C7D2B1A-0000-4ABC-8DEF-0123456789AB",
        ] {
            assert!(guid.as_ref().is_some_and(|guid| guid.is(same)), "{same}");
        }
        for wrong in [
            "",
            "0c7d2b1a00004abc8def0123456789ab",
            "{0c7d2b1a-0000-4abc-8def-0123456789ab}",
            "0c7d2b1a-0000-4abc-8def-0123456789a",
            "0c7d2b1a-0000-4abc-8def-0123456789abc",
            "0c7d2b1a-0000-4abc-8def_0123456789ab",
            "0c7d2b1a-0000-4abc-8def-0123456789ag",
            "0c7d2b1a-0000-4abc-8def-0123456789é",
            "common",
        ] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
            assert!(guid.as_ref().is_some_and(|guid| !guid.is(wrong)), "{wrong}");
        }
    }
}
