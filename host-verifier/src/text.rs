//! Texts of a JSON document where they stand.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A member of a JSON object that is a text: borrowed, unless it is written with escapes. Payloads are certificates and
/// signatures in base64 for the most part, and are decoded from where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl<'a> From<Text<'a>> for Cow<'a, str> {
    fn from(text: Text<'a>) -> Self {
        text.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Borrow)
    }
}

struct Borrow;

impl<'de> Visitor<'de> for Borrow {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::borrow::Cow;

    use super::Text;

    #[test]
    fn a_text_says_the_same_with_and_without_escapes() {
        let plain: Text<'_> = serde_json::from_str(r#""AAA/+==""#).unwrap();
        let escaped: Text<'_> = serde_json::from_str(r#""AAA\/\u002b==""#).unwrap();
        assert!(matches!(plain.0, Cow::Borrowed(_)));
        assert!(matches!(escaped.0, Cow::Owned(_)));
        assert_eq!((&*plain, &*escaped), ("AAA/+==", "AAA/+=="));
        for other in ["1", "null", "[\"A\"]"] {
            assert!(serde_json::from_str::<Text<'_>>(other).is_err(), "{other}");
        }
    }
}
