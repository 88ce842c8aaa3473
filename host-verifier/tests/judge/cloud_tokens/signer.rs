//! A cloud's issuer that signs whatever it is told to, right or wrong.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::jwt::signer::b64;

/// A private key.
pub(crate) enum Key {
    Rsa(RsaKeyPair),
    P384(EcdsaKeyPair),
}

impl Key {
    /// The cloud's own.
    pub(crate) fn rsa() -> &'static Self {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// Somebody else's.
    pub(crate) fn other() -> &'static Self {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// The cloud's other one.
    pub(crate) fn p384() -> &'static Self {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(|| {
            Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
        })
    }

    /// The JWK under a name, as clouds publish it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
                    "n": b64(n.big_endian_without_leading_zero()),
                    "e": b64(e.big_endian_without_leading_zero())})
            }
            Self::P384(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-384", "kid": kid, "use": "sig", "alg": "ES384",
                    "x": b64(&point[1..49]), "y": b64(&point[49..])})
            }
        }
    }

    /// Signs two texts as header and claims, whatever they are, by the key's own algorithm.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = match self {
            Self::Rsa(key) => rsa(key, &RSA_PKCS1_SHA256, signed.as_bytes()),
            Self::P384(key) => {
                let random = SystemRandom::new();
                key.sign(&random, signed.as_bytes())
                    .unwrap()
                    .as_ref()
                    .to_vec()
            }
        };
        format!("{signed}.{}", b64(signature))
    }

    /// As [`Self::sign`], with SHA-512.
    pub(crate) fn sign_rs512(&self, header: &str, claims: &str) -> String {
        let Self::Rsa(key) = self else {
            panic!("no RSA key");
        };
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = rsa(key, &RSA_PKCS1_SHA512, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    /// A token with these claims and the header that clouds write.
    pub(crate) fn token(&self, kid: &str, claims: &Value) -> String {
        let algorithm = match self {
            Self::Rsa(_) => "RS256",
            Self::P384(_) => "ES384",
        };
        let header = json!({"alg": algorithm, "kid": kid, "typ": "JWT"});
        self.sign(&header.to_string(), &claims.to_string())
    }
}

fn rsa(key: &RsaKeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    let random = SystemRandom::new();
    key.sign(encoding, &random, message, &mut signature)
        .unwrap();
    signature
}
