//! Restriction lists of policies, for methods that learn more of a node than who it is: accounts, zones, labels, tags.
//!
//! A list that is absent restricts nothing. One that is there names at least one value, and a field whose value was commented
//! out (`null`) is an error: otherwise the policy would grow wider by an edit that was meant to make it narrower.

use core::fmt;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed as _, Deserializer, MapAccess, Visitor};

use crate::document::{HINT, OneOrMany};

/// Most values of one list, and most keys of one map.
pub const MOST: usize = 1024;
/// Longest pattern of [`Globs`], bytes.
pub const MAX_PATTERN: usize = 2048;

const TEXTS: OneOrMany = OneOrMany {
    expected: "a list of quoted texts",
    most: MOST,
    empty: Some((
        "the list is empty, so nothing could be let in",
        "name at least one value, or remove the field",
    )),
};

/// The values of which one must be there; absent, any will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Option<Vec<String>>);

impl AllowList {
    /// The values, where there is a list.
    #[must_use]
    pub fn values(&self) -> Option<&[String]> {
        self.0.as_deref()
    }

    /// Whether there is a list.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the value is let in: whole, and case-sensitive.
    #[must_use]
    pub fn allows(&self, value: &str) -> bool {
        let has = |list: &[String]| list.iter().any(|one| one == value);
        self.values().is_none_or(has)
    }

    /// The first value that is not of the form that `is_one` knows, with its position.
    #[must_use]
    pub fn not(&self, is_one: impl Fn(&str) -> bool) -> Option<(usize, &str)> {
        let values = self.values().unwrap_or_default().iter().map(String::as_str);
        values.enumerate().find(|(_, value)| !is_one(value))
    }
}

impl<'de> Deserialize<'de> for AllowList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TEXTS.deserialize(deserializer).map(|list| Self(Some(list)))
    }
}

impl JsonSchema for AllowList {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "allowList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST},
            ],
        })
    }
}

/// Keys that must be there, each with one of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Required(BTreeMap<String, Vec<String>>);

impl Required {
    /// Whether nothing is required.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is required of this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The first key that is not there with one of its values. `found` is what is there under a key.
    #[must_use]
    pub fn lacking<'a>(&self, found: impl Fn(&str) -> Option<&'a str>) -> Option<&str> {
        let lacks = |(key, values): &(&String, &Vec<String>)| {
            let has = |value: &str| values.iter().any(|one| one == value);
            !found(key).is_some_and(has)
        };
        self.0.iter().find(lacks).map(|(key, _)| key.as_str())
    }
}

impl<'de> Deserialize<'de> for Required {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Required;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys with the values of which each must have one")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Required, A::Error> {
                let mut all = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if all.len() == MOST {
                        return Err(de::Error::invalid_length(MOST + 1, &self));
                    }
                    let values = map.next_value_seed(TEXTS)?;
                    if all.insert(key.clone(), values).is_some() {
                        return Err(de::Error::custom(format_args!("`{key}` is there twice")));
                    }
                }
                match all.is_empty() {
                    true => Err(de::Error::custom(format_args!(
                        "it names no key, so it would restrict nothing{HINT}name at least one, or remove the field"
                    ))),
                    false => Ok(Required(all)),
                }
            }
        }
        deserializer.deserialize_any(Table)
    }
}

impl JsonSchema for Required {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "required".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": MOST,
            "additionalProperties": generator.subschema_for::<AllowList>(),
        })
    }
}

/// Patterns of which one must fit; absent, anything will do. `*` stands for any run of characters, slashes and none at all
/// too, `?` for any one; everything else for itself, whole and case-sensitive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globs(AllowList);

impl Globs {
    /// The patterns, where there are some.
    #[must_use]
    pub fn patterns(&self) -> Option<&[String]> {
        self.0.values()
    }

    /// Whether one of them fits, or there are none.
    #[must_use]
    pub fn allow(&self, text: &str) -> bool {
        let fits = |list: &[String]| list.iter().any(|pattern| fits(pattern, text));
        self.patterns().is_none_or(fits)
    }
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = AllowList::deserialize(deserializer)?;
        match list.not(|pattern| (1..=MAX_PATTERN).contains(&pattern.len())) {
            Some((at, _)) => Err(de::Error::custom(format_args!(
                "pattern {at} is empty or longer than {MAX_PATTERN} bytes"
            ))),
            None => Ok(Self(list)),
        }
    }
}

impl JsonSchema for Globs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        AllowList::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        AllowList::json_schema(generator)
    }
}

/// Whether a text is of a pattern. At most as many steps as both lengths multiplied: a `*` that was passed is only taken up
/// again by the last one.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(found) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == found => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == '*')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::{AllowList, Globs, Required, fits};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Lists {
        #[serde(default)]
        list: AllowList,
        #[serde(default)]
        map: Required,
        #[serde(default)]
        globs: Globs,
    }

    fn read(value: Value) -> Result<Lists, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_that_is_absent_restricts_nothing_and_one_that_is_empty_is_refused() {
        let none = read(json!({})).unwrap();
        assert!(none.list.allows("x") && none.globs.allow("x"));
        assert_eq!(none.map.lacking(|_| None), None);
        for wrong in [
            json!({"list": []}),
            json!({"list": null}),
            json!({"list": [1]}),
            json!({"list": 12}),
            json!({"map": {}}),
            json!({"map": null}),
            json!({"map": {"a": []}}),
            json!({"map": {"a": null}}),
            json!({"globs": []}),
            json!({"globs": [""]}),
            json!({"globs": null}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_compared_whole() {
        let lists = read(json!({"list": ["ab", "c"], "map": {"k": ["1", "2"], "m": "3"}})).unwrap();
        for (value, allowed) in [
            ("ab", true),
            ("c", true),
            ("a", false),
            ("AB", false),
            ("", false),
        ] {
            assert_eq!(lists.list.allows(value), allowed, "{value}");
        }
        let of = |k: Option<&'static str>, m: Option<&'static str>| {
            lists.map.lacking(move |key| if key == "k" { k } else { m })
        };
        assert_eq!(of(Some("2"), Some("3")), None);
        assert_eq!(of(Some("3"), Some("3")), Some("k"));
        assert_eq!(of(Some("1"), None), Some("m"));
    }

    #[test]
    fn a_star_is_any_run_and_nothing_else_is() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "", false),
            ("*", "", true),
            ("a*", "a/b/c", true),
            ("*b*d", "abcbd", true),
            ("*b*d", "abcbde", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a.c", "abc", false),
            ("[a]", "a", false),
            ("k8s-node-*", "k8s-node-7", true),
            ("k8s-node-*", "x-k8s-node-7", false),
            ("ä*", "äü", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        // The worst that a pattern can ask for ends at once.
        assert!(!fits(&"*a".repeat(1000), &"a".repeat(999)));
    }
}
