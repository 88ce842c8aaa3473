//! The agent's bytes, read once.

use serde::Deserialize;

use super::error::DocumentError;
use crate::base64_text;
use crate::cms;
use crate::text::Text;

/// Longest payload, bytes. A real one has below 4 KiB, with the document and both signatures.
pub const MAX_PAYLOAD: usize = 16 * 1024;
/// Longest document, bytes. Real ones have below 1 KiB.
pub const MAX_DOCUMENT: usize = 8 * 1024;

/// What the agent sends, by the names of the metadata service's files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    #[serde(borrow, default)]
    rsa2048: Text<'a>,
    document: Option<String>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    pkcs7: Text<'a>,
}

/// A payload, decoded. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// The document inside a CMS message that a key of at least 2048 bits signed.
    Enveloped {
        /// The message, as AWS frames it: BER.
        message: Vec<u8>,
        /// The document as it was sent beside it, which must be the same.
        document: Option<Vec<u8>>,
    },
    /// The document, and the raw signature of a key of 1024 bits.
    Detached {
        /// The document.
        document: Vec<u8>,
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        signature: Vec<u8>,
    },
}

/// Reads a payload: one JSON object with `rsa2048`, or with `document` and `signature`. Where both signatures are there, the
/// stronger one counts and the other one is not looked at.
///
/// # Errors
/// [`DocumentError::Payload`], [`DocumentError::Base64`], [`DocumentError::Dsa`], [`DocumentError::NoSignature`].
pub fn parse(payload: &[u8]) -> Result<Untrusted, DocumentError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(DocumentError::Payload("it is too long"));
    }
    if let Some(message) = alone(payload) {
        return Ok(Untrusted::Enveloped {
            message,
            document: None,
        });
    }
    // An array would be read as the members in their order.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(DocumentError::Payload("it is no JSON object"));
    }
    let members: Members<'_> = serde_json::from_slice(payload)
        .map_err(|_| DocumentError::Payload("it is not the JSON that was expected"))?;
    let document = members.document.map(String::into_bytes);
    if document
        .as_ref()
        .is_some_and(|text| text.len() > MAX_DOCUMENT)
    {
        return Err(DocumentError::Payload("the document is too long"));
    }
    if !members.rsa2048.is_empty() {
        return Ok(Untrusted::Enveloped {
            message: decode(&members.rsa2048, cms::MAX_LEN)?,
            document,
        });
    }
    match (members.signature.is_empty(), document) {
        (false, Some(document)) => Ok(Untrusted::Detached {
            document,
            signature: decode(&members.signature, 1024)?,
        }),
        _ if !members.pkcs7.is_empty() => Err(DocumentError::Dsa),
        _ => Err(DocumentError::NoSignature),
    }
}

/// The message of `{"rsa2048":"…"}`, written in the shortest way, as agents send it. Base64 has no character with a meaning of
/// its own in JSON, so what can be decoded is what the JSON says. All else is left to the library.
fn alone(payload: &[u8]) -> Option<Vec<u8>> {
    let rest = payload.strip_prefix(br#"{"rsa2048":""#)?;
    let message = base64_text::standard(rest.strip_suffix(br#""}"#)?)?;
    (1..=cms::MAX_LEN)
        .contains(&message.len())
        .then_some(message)
}

/// Base64 as the metadata service has it: padded, in lines. Agents send it in one.
fn decode(text: &str, most: usize) -> Result<Vec<u8>, DocumentError> {
    let bytes = base64_text::standard(text).or_else(|| {
        let plain: String = text.split_ascii_whitespace().collect();
        base64_text::standard(plain)
    });
    let bytes = bytes.ok_or(DocumentError::Base64)?;
    if bytes.len() > most {
        return Err(DocumentError::Payload("a signature is too long"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{DocumentError, MAX_PAYLOAD, Untrusted, alone, parse};

    #[test]
    fn the_stronger_signature_counts_whatever_stands_beside_it() {
        let enveloped = |document: Option<&str>| Untrusted::Enveloped {
            message: vec![1, 2, 3],
            document: document.map(|text| text.as_bytes().to_vec()),
        };
        for (payload, expected) in [
            (r#"{"rsa2048":"AQID"}"#, enveloped(None)),
            ("{\"rsa2048\":\"AQ\\nID\\n\"}", enveloped(None)),
            (
                r#"{"rsa2048":"AQID","document":"{}"}"#,
                enveloped(Some("{}")),
            ),
            (
                r#"{"rsa2048":"AQID","document":"{}","signature":"BA==","pkcs7":"x"}"#,
                enveloped(Some("{}")),
            ),
            (
                r#"{"rsa2048":"","document":"{}","signature":"BA=="}"#,
                Untrusted::Detached {
                    document: b"{}".to_vec(),
                    signature: vec![4],
                },
            ),
        ] {
            assert_eq!(parse(payload.as_bytes()), Ok(expected), "{payload}");
        }
    }

    /// Behind a blank it is the library that reads.
    #[test]
    fn the_shortest_form_is_read_as_any_other() {
        for (payload, short) in [
            (r#"{"rsa2048":"AQID"}"#, true),
            (r#"{"rsa2048":"AQI="}"#, true),
            (r#"{"rsa2048":""}"#, false),
            (r#"{"rsa2048":"}"#, false),
            (r#"{"rsa2048":"AQI"}"#, false),
            (r#"{"rsa2048":"AQ\u0049D"}"#, false),
            (r#"{"rsa2048":"AQID"}}"#, false),
            (r#"{"rsa2048":"AQID","rsa2048":"AQID"}"#, false),
            (r#"{"rsa2048":"AQID","document":"{}"}"#, false),
            ("{\"rsa2048\":\"AQ\nID\"}", false),
        ] {
            assert_eq!(alone(payload.as_bytes()).is_some(), short, "{payload}");
            let long = format!(" {payload}");
            assert_eq!(alone(long.as_bytes()), None);
            let (one, other) = (parse(payload.as_bytes()), parse(long.as_bytes()));
            assert_eq!(one, other, "{payload}");
        }
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        let long = format!(r#"{{"rsa2048":"{}"}}"#, "A".repeat(MAX_PAYLOAD));
        for payload in [
            "",
            "[]",
            r#"["AQID"]"#,
            "null",
            r#"{"rsa2048":7}"#,
            r#"{"rsa2048":"AQID","rsa2048":"AQID"}"#,
            r#"{"rsa2048":"AQID","more":1}"#,
            r#"{"rsa2048":"AQID"} x"#,
            &long,
        ] {
            let error = parse(payload.as_bytes()).map_err(|error| error.check());
            assert_eq!(error, Err("payload-malformed"), "{payload:.60}");
        }
        for text in ["AQI", "AQ-D", "AQID=", "*"] {
            let payload = format!(r#"{{"rsa2048":"{text}"}}"#);
            assert_eq!(parse(payload.as_bytes()), Err(DocumentError::Base64));
        }
    }

    #[test]
    fn without_a_signature_that_is_known_there_is_none() {
        for payload in ["{}", r#"{"document":"{}"}"#, r#"{"signature":"BA=="}"#] {
            let none = Err(DocumentError::NoSignature);
            assert_eq!(parse(payload.as_bytes()), none, "{payload}");
        }
        let dsa = br#"{"document":"{}","pkcs7":"BA=="}"#;
        assert_eq!(parse(dsa), Err(DocumentError::Dsa));
    }
}
