//! Settings that other agents have and this one has not, or not by that name: refused with the reason, instead of as an unknown
//! field, for whoever comes from there has read what they do.

use core::fmt;
use core::marker::PhantomData;

use assay_host::document::HINT;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess, Visitor,
};

/// A name of elsewhere, in any spelling, and what to do instead.
pub(super) type Elsewhere = (&'static str, &'static str);

/// Reads settings; those of `elsewhere` are refused with their hints.
pub(super) fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    elsewhere: &'static [Elsewhere],
) -> Result<T, D::Error> {
    deserializer.deserialize_map(Watching {
        elsewhere,
        read: PhantomData,
    })
}

struct Watching<T> {
    elsewhere: &'static [Elsewhere],
    read: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Watching<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping with the method's settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(Watched {
            map,
            elsewhere: self.elsewhere,
        }))
    }
}

struct Watched<A> {
    map: A,
    elsewhere: &'static [Elsewhere],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Watched<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.map.next_key::<String>()? else {
            return Ok(None);
        };
        let found = self.elsewhere.iter().find(|(name, _)| same(name, &key));
        if let Some((_, instead)) = found {
            let what = format_args!("`{key}` is no setting of this agent{HINT}{instead}");
            return Err(A::Error::custom(what));
        }
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Whether two names differ by nothing but case and underscores.
fn same(one: &str, other: &str) -> bool {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(|letter| *letter != '_');
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    };
    plain(one) == plain(other)
}
