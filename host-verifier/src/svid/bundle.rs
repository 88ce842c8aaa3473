//! What others need to verify SVIDs: the trust domain's authorities, in the formats that they read.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Value, json};

use super::authority::split;
use super::keys::KeyType;
use crate::crypto::PublicKey;
use crate::store::{Authorities, AuthorityKind, AuthorityRecord};
use crate::x509::{Certificate, spki};

/// How often a consumer should fetch the bundle again, seconds. An authority is in the bundle for twice as long, or for a
/// third of a short life, before it signs ([`super::rotation`]).
pub const REFRESH_HINT: u64 = 300;

/// The trust bundle at one moment, in all of its forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    trust_domain: String,
    sequence: u64,
    spiffe: String,
    jwks: String,
    pem: String,
    algorithms: Vec<&'static str>,
    unreadable: Vec<String>,
}

/// A JWK, RFC 7517; the members that are set depend on its use.
#[derive(Debug, Serialize)]
struct Jwk {
    #[serde(flatten)]
    key: Value,
    #[serde(rename = "use")]
    usage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<[String; 1]>,
}

impl Bundle {
    /// The bundle of these authorities. One that cannot be read is left out, and named by [`Bundle::unreadable`].
    #[must_use]
    pub fn new(trust_domain: &str, authorities: &Authorities) -> Self {
        let mut bundle = Self {
            trust_domain: trust_domain.to_owned(),
            sequence: authorities.sequence,
            spiffe: String::new(),
            jwks: String::new(),
            pem: String::new(),
            algorithms: Vec::new(),
            unreadable: Vec::new(),
        };
        let (mut x509, mut jwt) = (Vec::new(), Vec::new());
        for record in &authorities.records {
            let read = match record.kind {
                AuthorityKind::X509 => roots(record).map(|roots| x509.extend(roots)),
                AuthorityKind::Jwt => jwt_key(record).map(|key| jwt.push((record, key))),
            };
            if read.is_none() {
                bundle.unreadable.push(record.id.clone());
            }
        }
        // Authorities below one upstream authority share its roots.
        x509.sort_by(|(a, _), (b, _)| a.cmp(b));
        x509.dedup_by(|(a, _), (b, _)| a == b);
        let mut keys: Vec<_> = x509
            .iter()
            .map(|(der, key)| Jwk {
                key: jwk(key),
                usage: "x509-svid",
                kid: None,
                alg: None,
                x5c: Some([STANDARD.encode(der)]),
            })
            .collect();
        keys.extend(jwt.iter().map(|(record, key)| Jwk {
            key: jwk(key),
            usage: "jwt-svid",
            kid: Some(record.id.clone()),
            alg: None,
            x5c: None,
        }));
        let signing: Vec<_> = jwt
            .iter()
            .map(|(record, key)| {
                let alg = KeyType::of(key).map(KeyType::jws_algorithm);
                bundle.algorithms.extend(alg);
                Jwk {
                    key: jwk(key),
                    usage: "sig",
                    kid: Some(record.id.clone()),
                    alg,
                    x5c: None,
                }
            })
            .collect();
        bundle.algorithms.sort_unstable();
        bundle.algorithms.dedup();
        let spiffe = json!({
            "spiffe_sequence": bundle.sequence,
            "spiffe_refresh_hint": REFRESH_HINT,
            "keys": keys,
        });
        bundle.spiffe = format!("{spiffe:#}");
        bundle.jwks = format!("{:#}", json!({ "keys": signing }));
        bundle.pem = x509.iter().map(|(der, _)| pem(der)).collect();
        bundle
    }

    /// Whose bundle it is.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Rises with every change.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The SPIFFE bundle document (SPIFFE Trust Domain and Bundle, section 4): JSON.
    #[must_use]
    pub fn spiffe(&self) -> &str {
        &self.spiffe
    }

    /// The JWKS of the JWT authorities for consumers that know nothing of SPIFFE (RFC 7517): JSON.
    #[must_use]
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// The X.509 authorities as certificates in PEM, without any other text.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Names of authorities whose records are damaged.
    #[must_use]
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// The OIDC discovery document (OpenID Connect Discovery 1.0, section 3) of an issuer whose keys are at `jwks_uri`: JSON.
    #[must_use]
    pub fn discovery(&self, issuer: &str, jwks_uri: &str) -> String {
        let document = json!({
            "issuer": issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self.algorithms,
        });
        format!("{document:#}")
    }
}

/// The certificates that a record puts into the bundle, with their keys.
fn roots(record: &AuthorityRecord) -> Option<Vec<(Vec<u8>, PublicKey)>> {
    let all = split(&record.roots).ok().filter(|all| !all.is_empty())?;
    all.into_iter()
        .map(|der| {
            let certificate = Certificate::from_der(&der).ok()?;
            let key = certificate.key().ok()?.clone();
            certificate.is_ca().then_some((der, key))
        })
        .collect()
}

fn jwt_key(record: &AuthorityRecord) -> Option<PublicKey> {
    let key = spki::from_der(&record.public).ok()?;
    KeyType::of(&key).map(|_| key)
}

/// The members of RFC 7518 section 6 for a key.
fn jwk(key: &PublicKey) -> Value {
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key {
        PublicKey::Ec(ec) => json!({
            "kty": "EC",
            "crv": match ec.curve() {
                crate::crypto::Curve::P256 => "P-256",
                crate::crypto::Curve::P384 => "P-384",
                crate::crypto::Curve::P521 => "P-521",
            },
            "x": number(ec.x()),
            "y": number(ec.y()),
        }),
        PublicKey::Rsa(rsa) => {
            let exponent = rsa.exponent().to_be_bytes();
            json!({
                "kty": "RSA",
                "n": number(rsa.modulus()),
                "e": number(crate::crypto::encode::trim_leading_zeros(&exponent)),
            })
        }
        // RFC 8037 section 2. No authority has such a key (`jwt_key`).
        PublicKey::Ed25519(point) => json!({"kty": "OKP", "crv": "Ed25519", "x": number(point)}),
    }
}

/// RFC 7468: lines of 64 characters.
/// The certificates of a SPIFFE bundle's X.509 authorities, as PEM. `None` for what is no such document.
#[must_use]
pub fn pem_of(document: &str) -> Option<String> {
    let bundle: Value = serde_json::from_str(document).ok()?;
    let mut found = String::new();
    for key in bundle.get("keys")?.as_array()? {
        if key.get("use").and_then(Value::as_str) == Some("x509-svid") {
            let certificate = key.get("x5c")?.get(0)?.as_str()?;
            found += &pem(&STANDARD.decode(certificate).ok()?);
        }
    }
    Some(found)
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}
