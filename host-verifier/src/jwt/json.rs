//! JSON with one reading: no member twice, no deep nesting, nothing behind the end.
//!
//! A parser that takes the last of two equal members and one that takes the first see two different tokens under one
//! signature. RFC 7515 section 4 and RFC 7519 section 4 leave a parser the choice to refuse; this one does.

//!
//! What is read stands where it stood: texts are borrowed from the bytes, unless they are written with escapes.

use core::fmt;
use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::text::Text;

/// Deepest nesting of lists and objects.
pub const MAX_DEPTH: usize = 16;

/// How many members are looked through one by one. More are put in order first, which with so few takes longer than all
/// that is ever looked for in them.
const FEW: usize = 32;
/// For how many members there is room at once in an outermost object: the claims of a token.
const USUAL: usize = 16;

/// A name and what it stands for.
type Member<'a> = (Cow<'a, str>, Json<'a>);

/// The members of an object, each name once: up to 32 as they were read, more in the order of their names.
#[derive(Debug, Clone, Default, yoke::Yokeable)]
pub struct Object<'a>(Vec<Member<'a>>);

/// The order of members says nothing.
impl PartialEq for Object<'_> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(name, value): (&str, _)| other.get(name) == Some(value);
        self.len() == other.len() && self.iter().all(same)
    }
}

impl<'a> Object<'a> {
    /// The members, or the name that two of them have. They are compared after all were read: to look for each of many in
    /// what is there already would let a peer buy time with the square of its bytes.
    fn of(mut members: Vec<Member<'a>>) -> Result<Self, Cow<'a, str>> {
        if members.len() <= FEW && all_differ(&members) {
            return Ok(Self(members));
        }
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        let twice = members.windows(2).find_map(|pair| match pair {
            [(one, _), (other, _)] if one == other => Some(one.clone()),
            _ => None,
        });
        twice.map_or(Ok(Self(members)), Err)
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let members = &self.0;
        let found = match members.len() <= FEW {
            true => members.iter().find(|(own, _)| own == name),
            false => {
                let at = members.binary_search_by(|(own, _)| (**own).cmp(name));
                at.ok().and_then(|at| members.get(at))
            }
        };
        found.map(|(_, value)| value)
    }

    /// Whether there is a member of this name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values, in no order that says anything.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Names and values, in the order of the names.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&str, &Json<'a>)> {
        let mut members: Vec<_> = self.iter().collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        members
    }

    /// The same, apart from the bytes that it stands in.
    #[must_use]
    pub fn into_owned(self) -> Object<'static> {
        let members = self.0.into_iter();
        let owned = members.map(|(name, value)| (owned(name), value.into_owned()));
        Object(owned.collect())
    }

    /// How many members it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether no two of at most [`FEW`] members have one name. Equal names have equal marks, and others hardly ever.
fn all_differ(members: &[Member<'_>]) -> bool {
    let mut marks: [u32; FEW] = [0; FEW];
    for (at, (name, _)) in members.iter().enumerate() {
        let (before, after) = marks.split_at_mut(at.min(FEW));
        let own = mark(name);
        let earlier = || members.iter().take(at).any(|(other, _)| other == name);
        if before.contains(&own) && earlier() {
            return false;
        }
        if let Some(place) = after.first_mut() {
            *place = own;
        }
    }
    true
}

/// Length, first and last byte of a name.
fn mark(name: &str) -> u32 {
    let byte = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
    let bytes = name.as_bytes();
    (bytes.len() as u32) << 16 | byte(bytes.first()) << 8 | byte(bytes.last())
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

impl<'a> Json<'a> {
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

    /// The same, apart from the bytes that it stands in.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(number) => Json::Number(number),
            Self::Text(text) => Json::Text(owned(text)),
            Self::List(list) => Json::List(list.into_iter().map(Json::into_owned).collect()),
            Self::Object(object) => Json::Object(object.into_owned()),
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
    pub const fn object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
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
pub fn object(bytes: &[u8]) -> Result<Object<'_>, JsonError> {
    // Looked at once as a whole, and not text by text.
    let text = core::str::from_utf8(bytes)
        .map_err(|error| JsonError(format!("no JSON: byte {} is no UTF-8", error.valid_up_to())))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
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
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        let number = Number::from_f64(value);
        number
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if self.0 == MAX_DEPTH && members.is_empty() {
                members.reserve(USUAL);
            }
            members.push((name.into(), map.next_value_seed(inner)?));
        }
        let object = Object::of(members).map_err(|name| {
            let name: String = name.chars().take(64).collect();
            de::Error::custom(format_args!("{name:?} is there twice"))
        });
        object.map(Json::Object)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::{FEW, Json, MAX_DEPTH, object};

    #[test]
    fn values_are_what_they_were() {
        let read = object(br#" {"a":null,"b":true,"c":-1,"d":1.5,"e":"\u00e4","f":[1],"g":{}} "#);
        let read = read.unwrap();
        let kinds: Vec<_> = read.iter().map(|(_, value)| value.kind()).collect();
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
        assert_eq!((read.len(), read.get("h")), (7, None));
        assert_eq!(read.get("c"), Some(&Json::Number((-1).into())));
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused_at_every_level() {
        for twice in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"c":1,"b":1,"a":1,"d":1}"#,
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
    fn members_are_found_and_shown_by_their_names_whatever_their_order() {
        let read = object(br#"{"c":3,"\u0062":"2","a":{"z":1,"y":2},"":0}"#).unwrap();
        let names: Vec<_> = read.sorted().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["", "a", "b", "c"]);
        assert_eq!(read.get("b").and_then(Json::text), Some("2"));
        let inner = read.get("a").and_then(Json::object).unwrap();
        assert_eq!(inner.get("y"), Some(&Json::Number(2.into())));
        assert!(!inner.contains_key("a") && !inner.is_empty());
    }

    #[test]
    fn few_members_and_many_are_found_and_told_apart_alike() {
        for count in [1, FEW - 1, FEW, FEW + 1, 4 * FEW] {
            // Of one length, with equal first and last bytes.
            let name = |at: usize| format!("a{at:04}z");
            let members: Vec<_> = (0..count)
                .map(|at| format!("\"{}\":{at}", name(at)))
                .collect();
            let written = |members: &[String]| format!("{{{}}}", members.join(","));
            let text = written(&members);
            let read = object(text.as_bytes()).unwrap();
            for at in 0..count {
                assert_eq!(read.get(&name(at)), Some(&Json::Number(at.into())), "{at}");
            }
            assert_eq!((read.len(), read.get("a9999z")), (count, None));
            let sorted: Vec<_> = read.sorted().into_iter().map(|(name, _)| name).collect();
            assert_eq!(sorted, (0..count).map(name).collect::<Vec<_>>());

            let back: Vec<_> = members.iter().rev().cloned().collect();
            let back = written(&back);
            assert_eq!(object(back.as_bytes()).unwrap(), read);
            for at in [0, count / 2, count - 1] {
                let mut twice = members.clone();
                twice.push(format!("\"{}\":7", name(at)));
                let error = object(written(&twice).as_bytes()).unwrap_err();
                let told = format!("{:?} is there twice", name(at));
                assert!(error.to_string().contains(&told), "{error}");
            }
            let mut other = members.clone();
            if let Some(last) = other.last_mut() {
                *last = format!("\"{}\":9999", name(count - 1));
            }
            let other = written(&other);
            assert_ne!(object(other.as_bytes()).unwrap(), read);
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
