//! Keys of issuers, and the tokens (JWT) that they sign.

use anyhow::{Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What a key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA of 2048 bits, PKCS #1 v1.5, SHA-256.
    RS256,
    /// ECDSA on P-384, SHA-384.
    ES384,
}

enum Key {
    Rsa(RsaKey),
    Ec(EcdsaKeyPair),
}

/// A key with a name.
pub struct Signer {
    key: Key,
    kid: String,
}

impl core::fmt::Debug for Signer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Signer({})", self.kid)
    }
}

fn unspecified(_: aws_lc_rs::error::Unspecified) -> anyhow::Error {
    anyhow!("a key cannot be used")
}

impl Signer {
    /// A new key.
    ///
    /// # Errors
    ///
    /// The library makes none.
    pub fn generate(algorithm: Algorithm, kid: &str) -> Result<Self> {
        let key = match algorithm {
            Algorithm::RS256 => Key::Rsa(RsaKey::generate(KeySize::Rsa2048).map_err(unspecified)?),
            Algorithm::ES384 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING);
                Key::Ec(key.map_err(unspecified)?)
            }
        };
        Ok(Self {
            key,
            kid: kid.to_owned(),
        })
    }

    /// Its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::Ec(_) => "ES384",
        }
    }

    /// Its public half as a JWK (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.key {
            Key::Rsa(key) => json!({
                "kty": "RSA",
                "n": text(key.public_key().modulus().big_endian_without_leading_zero()),
                "e": text(key.public_key().exponent().big_endian_without_leading_zero()),
            }),
            Key::Ec(key) => {
                // The form of a point that is not compressed: 4, x, y.
                let (x, y) = key.public_key().as_ref().split_at(1).1.split_at(48);
                json!({"kty": "EC", "crv": "P-384", "x": text(x), "y": text(y)})
            }
        };
        if let Some(jwk) = jwk.as_object_mut() {
            jwk.insert("kid".to_owned(), self.kid.clone().into());
            jwk.insert("use".to_owned(), "sig".into());
            jwk.insert("alg".to_owned(), self.algorithm().into());
        }
        jwk
    }

    /// A token with these claims.
    ///
    /// # Errors
    ///
    /// The library does not sign.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": self.algorithm(), "kid": self.kid, "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(claims));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    signed.as_bytes(),
                    &mut signature,
                )
                .map_err(unspecified)?;
                signature
            }
            Key::Ec(key) => {
                let signature = key.sign(&random, signed.as_bytes());
                signature.map_err(unspecified)?.as_ref().to_vec()
            }
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
