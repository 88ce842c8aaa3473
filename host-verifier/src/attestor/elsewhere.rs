//! Settings by the names that another verifier's configuration has for them.
//!
//! Who moves from one verifier to another writes the names that he knows. What is not known is refused anyway; a refusal that
//! says where a setting went, or why there is none, is worth more than a list of others.

use serde::Deserialize as _;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess};

/// Names, and what to do in their place.
pub type Elsewhere = &'static [(&'static [&'static str], &'static str)];

/// The entries of a map of settings, of which none has one of these names.
pub struct Known<A> {
    map: A,
    elsewhere: Elsewhere,
}

impl<A> Known<A> {
    /// The entries of `map`.
    #[must_use]
    pub const fn new(map: A, elsewhere: Elsewhere) -> Self {
        Self { map, elsewhere }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Known<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.map.next_key_seed(Name {
            seed,
            elsewhere: self.elsewhere,
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
    }
}

struct Name<K> {
    seed: K,
    elsewhere: Elsewhere,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Name<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = |(names, _): &&(&[&str], &str)| names.contains(&name.as_str());
        if let Some((_, instead)) = self.elsewhere.iter().find(known) {
            return Err(D::Error::custom(format_args!(
                "`{name}` is no setting here: {instead}"
            )));
        }
        let name: StringDeserializer<D::Error> = name.into_deserializer();
        self.seed.deserialize(name)
    }
}
