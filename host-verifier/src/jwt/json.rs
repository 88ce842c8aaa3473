//! JSON with one reading: no member twice, no deep nesting, nothing behind the end.
//!
//! A parser that takes the last of two equal members and one that takes the first see two different tokens under one
//! signature. RFC 7515 section 4 and RFC 7519 section 4 leave a parser the choice to refuse; this one does.

use core::fmt;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Deepest nesting of lists and objects.
pub const MAX_DEPTH: usize = 16;

/// The members of an object.
pub type Object = BTreeMap<String, Json>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

impl Json {
    /// What kind of value it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members of an object.
    #[must_use]
    pub const fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// Why bytes are not one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// Reads bytes that are one object and nothing else. The caller has bounded their length.
///
/// # Errors
///
/// [`JsonError`]: no JSON, another value, a member that is there twice, nesting beyond [`MAX_DEPTH`], bytes behind it.
/// The message names members, never their values.
pub fn object(bytes: &[u8]) -> Result<Object, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Depth(MAX_DEPTH).deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(Json::Object(object)) => Ok(object),
        Ok(other) => Err(JsonError(format!("{}, not an object", other.kind()))),
        Err(error) => Err(JsonError(told(&error))),
    }
}

/// The library's message without what it quotes of the input, which may be a secret.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.classify() {
        // Made here.
        serde_json::error::Category::Data => text,
        _ => format!("no JSON: line {}, column {}", error.line(), error.column()),
    }
}

/// A value with so many levels left.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.0.checked_sub(1) {
            Some(left) => Ok(Self(left)),
            None => Err(E::custom(format_args!(
                "nested deeper than {MAX_DEPTH} levels"
            ))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        let number = Number::from_f64(value);
        number
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut object = Object::new();
        while let Some(name) = map.next_key::<String>()? {
            match object.entry(name) {
                Entry::Vacant(place) => place.insert(map.next_value_seed(inner)?),
                Entry::Occupied(there) => {
                    let name: String = there.key().chars().take(64).collect();
                    return Err(de::Error::custom(format_args!("{name:?} is there twice")));
                }
            };
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{Json, MAX_DEPTH, object};

    #[test]
    fn values_are_what_they_were() {
        let read = object(br#" {"a":null,"b":true,"c":-1,"d":1.5,"e":"\u00e4","f":[1],"g":{}} "#);
        let read = read.unwrap();
        let kinds: Vec<_> = read.values().map(Json::kind).collect();
        assert_eq!(
            kinds,
            [
                "null",
                "a boolean",
                "a number",
                "a number",
                "a string",
                "a list",
                "an object"
            ]
        );
        assert_eq!(read.get("e").and_then(Json::text), Some("ä"));
        assert_eq!(read.get("c"), Some(&Json::Number((-1).into())));
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_at_every_level() {
        for twice in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
        ] {
            let error = object(twice.as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains(r#""a" is there twice"#),
                "{error}"
            );
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested =
            |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(object(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        let error = object(nested(MAX_DEPTH).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("nested deeper"), "{error}");
    }

    #[test]
    fn nothing_else_is_an_object() {
        for text in [
            "",
            "[]",
            "null",
            "{} {}",
            "{}x",
            "{\"a\":1,}",
            "{'a':1}",
            "{\"a\":1e999}",
            "\u{feff}{}",
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
        assert!(object(b"{\"a\":\"\\ud800\"}").is_err());
    }

    #[test]
    fn messages_do_not_quote_values() {
        let error = object(br#"{"secret":hunter2}"#).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
