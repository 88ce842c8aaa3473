//! What an unverified token claims to be, where it takes that to know whose keys to verify it with.

use core::fmt;
use std::borrow::Cow;

use serde::de::{self, Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::error::{JwtError, Part};
use super::json::Json;
use super::token::Unverified;
use crate::text::Text;

/// The texts of these claims, before anything is verified. They say which of the issuers that are *configured* the token has to
/// be of, by being equal to one of them, and nothing else may come of it: no address, no decision. The signature and all claims
/// are judged afterwards, as ever.
///
/// # Errors
///
/// [`JwtError`]: the claims are no object, one of these is no string or there twice.
pub fn untrusted_texts<'t, const N: usize>(
    token: &'t Unverified<'_>,
    names: [&'static str; N],
) -> Result<[Option<Cow<'t, str>>; N], JwtError> {
    let wrong = || JwtError::Json {
        part: Part::Claims,
        why: format!("{} is not one string in an object", names.join(" or ")),
    };
    if let Some(claims) = token.claims.get().get() {
        let mut found = [const { None }; N];
        for (name, place) in names.iter().zip(&mut found) {
            *place = match claims.get(name) {
                None => None,
                Some(Json::Text(text)) => Some(Cow::Borrowed(&**text)),
                Some(_) => return Err(wrong()),
            };
        }
        return Ok(found);
    }
    let claims = core::str::from_utf8(token.claims.get().backing_cart()).map_err(|error| {
        JwtError::Json {
            part: Part::Claims,
            why: format!("no JSON: byte {} is no UTF-8", error.valid_up_to()),
        }
    })?;
    let mut reader = serde_json::Deserializer::from_str(claims);
    let found = reader.deserialize_map(Members(names));
    let found = found.and_then(|found| reader.end().map(|()| found));
    found.map_err(|error| match error.classify() {
        // Made here: the library's own may quote the token.
        serde_json::error::Category::Data => wrong(),
        _ => JwtError::Json {
            part: Part::Claims,
            why: format!("no JSON: line {}, column {}", error.line(), error.column()),
        },
    })
}

/// Some members of an object; the rest is skipped.
struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = [Option<Cow<'de, str>>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [const { None }; N];
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let mut places = self.0.iter().zip(found.iter_mut());
            let Some((known, place)) = places.find(|(known, _)| ***known == *name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if place
                .replace(map.next_value::<Text<'de>>()?.into())
                .is_some()
            {
                return Err(de::Error::duplicate_field(known));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::borrow::Cow;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::untrusted_texts;
    use crate::jwt::{JwtError, parse, parse_and_read};

    /// Of claims that were read before, and of others: it is the same.
    fn peek(claims: &str) -> Result<Option<String>, JwtError> {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let token = format!("{header}.{}.AA", URL_SAFE_NO_PAD.encode(claims));
        let [found, read] = [parse, parse_and_read].map(|parse| {
            let token = parse(token.as_bytes())?;
            let found = untrusted_texts(&token, ["iss"]);
            found.map(|[found]| found.map(Cow::into_owned))
        });
        assert_eq!(found, read, "{claims}");
        found
    }

    #[test]
    fn one_claim_is_read_and_nothing_else() {
        let found = peek(r#"{"a":{"iss":"x"},"iss":"y","b":[1,{"c":null}]}"#).unwrap();
        assert_eq!(found.as_deref(), Some("y"));
        assert_eq!(peek(r#"{"a":1}"#).unwrap(), None);
    }

    #[test]
    fn what_is_wrong_elsewhere_is_for_those_who_read_all() {
        for claims in [
            r#"{"iss":"y","a":1,"a":2}"#.to_owned(),
            format!(r#"{{"iss":"y","a":{}{}}}"#, "[".repeat(64), "]".repeat(64)),
            format!(r#"{{"iss":"y","a":"{}"}}"#, "x".repeat(5000)),
            r#"{"iss":"y","a":1e999}"#.to_owned(),
        ] {
            assert_eq!(peek(&claims).unwrap().as_deref(), Some("y"), "{claims:.40}");
        }
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
