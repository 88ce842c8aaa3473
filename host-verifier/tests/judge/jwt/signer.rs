//! An issuer that signs whatever it is told to, right or wrong.

use assay_host_verifier::jwt::{Claims, Expectations, JwkProblem, JwtError, Prepared, judge};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// When the tokens of these tests are judged: 2026-11-22 12:00 UTC.
pub(crate) const NOW: i64 = 1_795_348_800;

pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(NOW).unwrap()
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An Ed25519 key.
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    pub(crate) fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": b64(self.0.public_key())})
    }

    /// Signs two texts as header and claims, whatever they are.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_parts(&b64(header), &b64(claims))
    }

    /// Signs two encoded parts, whatever they are.
    pub(crate) fn sign_parts(&self, header: &str, claims: &str) -> String {
        let signed = format!("{header}.{claims}");
        let signature = b64(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A token with these claims and an ordinary header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(r#"{"alg":"EdDSA","typ":"JWT"}"#, &claims.to_string())
    }
}

/// Claims that are all right.
pub(crate) fn good() -> Value {
    json!({
        "iss": "https://issuer.example.org",
        "aud": "assay",
        "sub": "node-7",
        "iat": NOW - 10,
        "nbf": NOW - 10,
        "exp": NOW + 600,
    })
}

/// The claims that are all right, but for one, which is another or, as `null`, absent.
pub(crate) fn but(name: &str, value: Value) -> Value {
    let mut claims = good();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

/// What the tests expect of a token; `audiences` is `["assay"]` where nothing else is said.
pub(crate) fn expected(audiences: &[String]) -> Expectations<'_> {
    Expectations {
        issuer: "https://issuer.example.org",
        audiences,
        subject: None,
        typ: None,
        algorithms: None,
        leeway: core::time::Duration::from_secs(30),
        max_lifetime: None,
    }
}

pub(crate) fn audience() -> Vec<String> {
    vec!["assay".to_owned()]
}

/// Judges a token by a key, with the ordinary expectations.
pub(crate) fn judged(token: &str, jwk: &Value) -> Result<Claims<'static>, JwkProblem> {
    judge(
        token.as_bytes(),
        jwk.to_string().as_bytes(),
        &Prepared::default(),
        &expected(&audience()),
        now(),
    )
}

/// The token's fault.
pub(crate) fn fault(token: &str, jwk: &Value) -> JwtError {
    match judged(token, jwk) {
        Err(JwkProblem::Token(error)) => error,
        other => panic!("{other:?}"),
    }
}
