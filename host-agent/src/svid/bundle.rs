//! The trust domain's authorities, as the verifier publishes them (SPIFFE Trust Domain and Bundle, section 4).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// Most authorities.
const MAX_KEYS: usize = 256;
/// When to ask again where the bundle says nothing (the specification's own default), and the two ends of what is heeded.
const REFRESH: Duration = Duration::from_secs(5 * 60);
const LEAST: Duration = Duration::from_secs(10);
const MOST: Duration = Duration::from_secs(24 * 3600);

/// Why a bundle is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not the JSON of a bundle.
    #[error("the bundle is not one: {0}")]
    Json(String),
    /// A key of X.509-SVIDs has no one certificate.
    #[error("the bundle's key {0} of X.509-SVIDs has no certificate, or several")]
    Certificate(usize),
    /// Nothing to verify an X.509-SVID with.
    #[error("the bundle has no authority of X.509-SVIDs")]
    Empty,
    /// More than anybody has.
    #[error("the bundle has more than {MAX_KEYS} keys")]
    TooMany,
}

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// As it came.
    pub document: Vec<u8>,
    /// Authorities of X.509-SVIDs, DER.
    pub x509: Vec<Vec<u8>>,
    /// Authorities of JWT-SVIDs, a JWKS.
    pub jwt: Vec<u8>,
    /// When to ask again.
    pub refresh: Duration,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
    spiffe_refresh_hint: Option<u64>,
}

impl Bundle {
    /// Reads a bundle. Keys of a use that is not known are passed over, as the specification has it.
    ///
    /// # Errors
    ///
    /// [`BundleError`].
    pub fn parse(document: &[u8]) -> Result<Self, BundleError> {
        let json = |error: serde_json::Error| BundleError::Json(error.to_string());
        let read: Document = serde_json::from_slice(document).map_err(json)?;
        if read.keys.len() > MAX_KEYS {
            return Err(BundleError::TooMany);
        }
        let used = |key: &Value, name: &str| key.get("use").and_then(Value::as_str) == Some(name);
        let mut x509 = Vec::new();
        for (index, key) in read.keys.iter().enumerate() {
            if used(key, "x509-svid") {
                let certificates = key.get("x5c").and_then(Value::as_array);
                let der = match certificates.map(Vec::as_slice) {
                    Some([only]) => only.as_str().and_then(|text| STANDARD.decode(text).ok()),
                    _ => None,
                };
                x509.push(der.ok_or(BundleError::Certificate(index))?);
            }
        }
        if x509.is_empty() {
            return Err(BundleError::Empty);
        }
        let jwt: Vec<_> = read
            .keys
            .iter()
            .filter(|key| used(key, "jwt-svid"))
            .collect();
        let jwt = serde_json::to_vec(&serde_json::json!({ "keys": jwt })).map_err(json)?;
        let hint = read
            .spiffe_refresh_hint
            .map_or(REFRESH, Duration::from_secs);
        Ok(Self {
            document: document.to_vec(),
            x509,
            jwt,
            refresh: hint.clamp(LEAST, MOST),
        })
    }

    /// The authorities of X.509-SVIDs as PEM.
    #[must_use]
    pub fn x509_pem(&self) -> String {
        let pems = self.x509.iter();
        pems.map(|der| pem("CERTIFICATE", der)).collect()
    }
}

/// One PEM block (RFC 7468).
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(core::str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bundle, BundleError};

    const GOOD: &str = r#"{"keys":[
        {"use":"x509-svid","kty":"EC","crv":"P-256","x":"AA","y":"AA","x5c":["AQID"]},
        {"use":"jwt-svid","kty":"EC","kid":"one","crv":"P-256","x":"AA","y":"AA"},
        {"use":"another","kty":"oct"}],
        "spiffe_sequence":7,"spiffe_refresh_hint":600}"#;

    #[test]
    fn keys_are_told_apart_by_their_use() {
        let bundle = Bundle::parse(GOOD.as_bytes()).ok();
        let bundle = bundle.as_ref();
        assert_eq!(bundle.map(|b| b.x509.clone()), Some(vec![vec![1, 2, 3]]));
        assert_eq!(bundle.map(|b| b.refresh), Some(Duration::from_secs(600)));
        let jwt = bundle.map(|b| String::from_utf8_lossy(&b.jwt).into_owned());
        let jwt = jwt.unwrap_or_default();
        assert!(jwt.contains("\"one\"") && !jwt.contains("x5c") && !jwt.contains("oct"));
        let pem = bundle.map(Bundle::x509_pem);
        let wanted = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        assert_eq!(pem.as_deref(), Some(wanted));
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        for (from, to, error) in [
            ("\"x509-svid\"", "\"other\"", BundleError::Empty),
            ("[\"AQID\"]", "[]", BundleError::Certificate(0)),
            (
                "[\"AQID\"]",
                "[\"AQID\",\"AQID\"]",
                BundleError::Certificate(0),
            ),
            ("\"AQID\"", "\"!\"", BundleError::Certificate(0)),
        ] {
            assert_eq!(
                Bundle::parse(GOOD.replacen(from, to, 1).as_bytes()),
                Err(error)
            );
        }
        assert!(matches!(Bundle::parse(b"{}"), Err(BundleError::Json(_))));
    }

    #[test]
    fn a_hint_to_ask_without_end_or_never_is_not_heeded() {
        for (hint, seconds) in [("0", 10), ("99999999999", 24 * 3600)] {
            let bundle = Bundle::parse(GOOD.replacen("600", hint, 1).as_bytes());
            let refresh = bundle.ok().map(|bundle| bundle.refresh);
            assert_eq!(refresh, Some(Duration::from_secs(seconds)));
        }
    }
}
