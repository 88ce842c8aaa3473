//! What an unverified token claims to be, where it takes that to know whose keys to verify it with.

use core::fmt;

use serde::de::{self, Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::error::{JwtError, Part};
use super::token::{Unverified, decode};

/// The text of one claim, before anything is verified. It says which of the issuers that are *configured* the token has to be
/// of, by being equal to one of them, and nothing else may come of it: no address, no decision. The signature and all claims
/// are judged afterwards, as ever.
///
/// # Errors
///
/// [`JwtError`]: the claims are no object, the claim is no string or there twice.
pub fn untrusted_text(
    token: &Unverified<'_>,
    name: &'static str,
) -> Result<Option<String>, JwtError> {
    let claims = decode(token.claims, Part::Claims)?;
    let mut reader = serde_json::Deserializer::from_slice(&claims);
    let found = reader.deserialize_map(Member(name));
    let found = found.and_then(|found| reader.end().map(|()| found));
    found.map_err(|error| JwtError::Json {
        part: Part::Claims,
        why: match error.classify() {
            // Made here: the library's own may quote the token.
            serde_json::error::Category::Data => format!("{name} is not one string in an object"),
            _ => format!("no JSON: line {}, column {}", error.line(), error.column()),
        },
    })
}

/// One member of an object; the rest is skipped.
struct Member(&'static str);

impl<'de> Visitor<'de> for Member {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value::<String>()?).is_some() {
                return Err(de::Error::duplicate_field(self.0));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::untrusted_text;
    use crate::jwt::{JwtError, parse};

    fn peek(claims: &str) -> Result<Option<String>, JwtError> {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let token = format!("{header}.{}.AA", URL_SAFE_NO_PAD.encode(claims));
        let token = parse(token.as_bytes()).unwrap();
        untrusted_text(&token, "iss")
    }

    #[test]
    fn one_claim_is_read_and_nothing_else() {
        let found = peek(r#"{"a":{"iss":"x"},"iss":"y","b":[1,{"c":null}]}"#).unwrap();
        assert_eq!(found.as_deref(), Some("y"));
        assert_eq!(peek(r#"{"a":1}"#).unwrap(), None);
    }

    #[test]
    fn what_has_two_readings_has_none() {
        for claims in [
            r#"{"iss":"a","iss":"a"}"#,
            r#"{"iss":"a","\u0069ss":"b"}"#,
            r#"{"iss":["a"]}"#,
            r#"{"iss":null}"#,
            r#"["iss"]"#,
            r#"{"iss":"a"} "#.trim_end().trim_end_matches('}'),
            r#"{"iss":"a"}x"#,
            "",
        ] {
            let error = peek(claims).unwrap_err();
            assert_eq!(error.check(), "token-form", "{claims}");
        }
    }
}
