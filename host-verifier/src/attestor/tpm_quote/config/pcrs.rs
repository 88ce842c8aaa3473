//! `pcrs`: good values by PCR.

use std::{collections::BTreeMap, fmt};

use assay_common::tpm::pcr::PCR_COUNT;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use crate::document::OneOrMany;

/// Most good values for one PCR.
const MAX_VALUES: usize = 256;
/// The values of a PCR.
const VALUES: OneOrMany = OneOrMany {
    expected: "a quoted value in hex, or a list of them",
    most: MAX_VALUES,
    empty: None,
};

/// `pcrs`: index to one or several values in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pcrs(pub BTreeMap<u8, Vec<String>>);

impl<'de> Deserialize<'de> for Pcrs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Pcrs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from PCR index to one or several values in hex")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pcrs, A::Error> {
                let mut pcrs = BTreeMap::new();
                while let Some(Index(index)) = map.next_key()? {
                    let values = map.next_value_seed(VALUES)?;
                    // 0 and "0" are two keys to a parser and one PCR here.
                    if pcrs.insert(index, values).is_some() {
                        return Err(de::Error::custom(format_args!("PCR {index} stands twice")));
                    }
                }
                Ok(Pcrs(pcrs))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

impl JsonSchema for Pcrs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pcrs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value = json_schema!({"type": "string", "pattern": "^[0-9A-Fa-f]+$"});
        json_schema!({
            "type": "object",
            "propertyNames": {"pattern": "^(1?[0-9]|2[0-3])$"},
            "additionalProperties": {"anyOf": [
                value,
                {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_VALUES}
            ]}
        })
    }
}

/// A PCR index as a number or as text: keys of a map may be either.
struct Index(u8);

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Index;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a PCR index, 0 to {}", PCR_COUNT - 1)
            }

            fn visit_u64<E: de::Error>(self, index: u64) -> Result<Index, E> {
                u8::try_from(index)
                    .ok()
                    .filter(|index| *index < PCR_COUNT)
                    .map(Index)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(index), &self))
            }

            fn visit_i64<E: de::Error>(self, index: i64) -> Result<Index, E> {
                match u64::try_from(index) {
                    Ok(index) => self.visit_u64(index),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(index), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Index, E> {
                match text.parse() {
                    Ok(index) if index == 0 || !text.starts_with(['0', '+']) => {
                        self.visit_u64(index)
                    }
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}
