//! A text, or a list of texts, where a document may have either.

use core::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::HINT;

/// Reads one quoted text or a list of them.
#[derive(Debug, Clone, Copy)]
pub struct OneOrMany {
    /// What errors say was expected.
    pub expected: &'static str,
    /// Most texts in the list.
    pub most: usize,
    /// What is wrong with an empty list, and what to do; `None` where it may be empty.
    pub empty: Option<(&'static str, &'static str)>,
}

impl<'de> DeserializeSeed<'de> for OneOrMany {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        // A number is not taken for its digits: YAML has read it already, and may have changed them.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element()? {
            if texts.len() == self.most {
                return Err(de::Error::invalid_length(self.most + 1, &self));
            }
            texts.push(text);
        }
        match self.empty {
            Some((wrong, hint)) if texts.is_empty() => {
                Err(de::Error::custom(format_args!("{wrong}{HINT}{hint}")))
            }
            _ => Ok(texts),
        }
    }
}
