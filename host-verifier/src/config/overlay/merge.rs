//! Reads a document with other values in the place of some of its own.
//!
//! A deserializer around the document's: on the way to what is set it looks at the keys that go by, and reads the value
//! from elsewhere where one is set. Off that way nothing is between the document and its types.

use core::cell::RefCell;
use core::fmt;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use super::Node;
use crate::document::{self, DocumentError};

/// The first key of what the YAML library shows for a value with its place.
const PLACED: &str = "__serde_saphyr_private_spanned";

/// What was found out on the way.
#[derive(Debug, Default)]
pub(super) struct Found {
    error: RefCell<Option<DocumentError>>,
    applied: RefCell<BTreeSet<usize>>,
}

impl Found {
    pub(super) fn failed(&self) -> Option<DocumentError> {
        self.error.borrow_mut().take()
    }

    pub(super) fn applied(&self, number: usize) -> bool {
        self.applied.borrow().contains(&number)
    }

    fn fail(&self, error: DocumentError) {
        self.error.borrow_mut().get_or_insert(error);
    }
}

/// What is set at a place, and where to say what came of it.
#[derive(Clone, Copy)]
struct Set<'de> {
    node: &'de Node,
    found: &'de Found,
}

impl<'de> Set<'de> {
    /// Reads what is set here, all of it.
    fn read<R, E: de::Error>(
        self,
        read: impl FnOnce(serde_saphyr::Deserializer<'de, '_>) -> Result<R, serde_saphyr::Error>,
    ) -> Result<R, E> {
        let numbers = self.node.numbers.clone();
        self.found.applied.borrow_mut().extend(numbers);
        document::parse_with("--set", &self.node.text, read).map_err(|mut error| {
            // Of a value that is all there is, an error may have no place.
            error.line = error.line.max(self.node.line as u64);
            self.found.fail(error);
            E::custom("what is set cannot be used")
        })
    }
}

/// A document's value of this type, with what is set over it.
pub(super) fn merged<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    document: D,
    node: &'de Node,
    found: &'de Found,
) -> Result<T, D::Error> {
    T::deserialize(Over {
        inner: document,
        set: Set { node, found },
    })
}

/// A deserializer, a visitor or a seed on the way to what is set.
struct Over<'de, T> {
    inner: T,
    set: Set<'de>,
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = Over { inner: visitor, set: self.set };
            self.inner.$method($($argument,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Over<'de, D> {
    type Error = D::Error;

    forward! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

macro_rules! visit {
    ($($method:ident($type:ty);)*) => {
        $(fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Over<'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    /// The field is there without a value: all of it is what is set.
    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        let visitor = self.inner;
        self.set.read(|value| visitor.visit_some(value))
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let set = self.set;
        self.inner.visit_some(Over { inner, set })
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let set = self.set;
        self.inner.visit_newtype_struct(Over { inner, set })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Map {
            map,
            set: self.set,
            key: None,
            placed: false,
            begun: false,
            ended: false,
            left: self.set.node.children.iter().collect(),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(data)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Over<'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let set = self.set;
        self.inner.deserialize(Over { inner, set })
    }
}

/// A mapping of the document, then what is set and not in it.
struct Map<'de, A> {
    map: A,
    set: Set<'de>,
    /// The key that went by last.
    key: Option<String>,
    /// This is no mapping of the document but a value with its place.
    placed: bool,
    begun: bool,
    /// The document's own keys have all gone by.
    ended: bool,
    left: Vec<&'de (String, Node)>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Map<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        if !self.ended {
            // The key is read by the document's own deserializer, so that an error has its place there.
            let mut seen = None;
            let key = self.map.next_key_seed(Seen {
                inner: &mut seed,
                seen: &mut seen,
            })?;
            if key.is_some() {
                if !self.begun {
                    self.placed = seen.as_deref() == Some(PLACED);
                }
                self.begun = true;
                self.key = seen;
                return Ok(key);
            }
            self.ended = true;
        }
        let Some((name, node)) = self.left.first().filter(|_| !self.placed) else {
            return Ok(None);
        };
        self.key = Some(name.clone());
        let Some(seed) = seed.take() else {
            return Ok(None);
        };
        let key = seed.deserialize(StrDeserializer::<A::Error>::new(name));
        key.map(Some).inspect_err(|error| {
            let place = document::Place {
                line: node.line as u64,
                column: 1,
            };
            let error = document::told("--set", &error.to_string(), place);
            self.set.found.fail(error);
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let key = self.key.take().unwrap_or_default();
        if self.placed {
            return match key.as_str() {
                "value" => self.map.next_value_seed(Over {
                    inner: seed,
                    set: self.set,
                }),
                _ => self.map.next_value_seed(seed),
            };
        }
        let at = self.left.iter().position(|(name, _)| *name == key);
        let Some((at, (_, node))) = at.and_then(|at| Some((at, *self.left.get(at)?))) else {
            return self.map.next_value_seed(seed);
        };
        let set = Set {
            node,
            found: self.set.found,
        };
        self.left.remove(at);
        if self.ended {
            return set.read(|value| seed.deserialize(value));
        }
        if node.value.is_some() {
            let _: IgnoredAny = self.map.next_value()?;
            return set.read(|value| seed.deserialize(value));
        }
        self.map.next_value_seed(Over { inner: seed, set })
    }
}

/// Notes a key's text as it goes by. The seed stays where it is when no key comes.
struct Seen<'a, T> {
    inner: T,
    seen: &'a mut Option<String>,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Seen<'_, &mut Option<K>> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<K::Value, D::Error> {
        let Some(seed) = self.inner.take() else {
            return Err(D::Error::custom("a key that is read twice"));
        };
        seed.deserialize(Seen {
            inner: key,
            seen: self.seen,
        })
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Seen<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(Seen {
            inner: visitor,
            seen: self.seen,
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Seen<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<V::Value, E> {
        *self.seen = Some(key.to_owned());
        self.inner.visit_str(key)
    }
}
