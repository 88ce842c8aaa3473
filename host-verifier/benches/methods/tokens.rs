//! `custom_jwt` with the issuer's keys in the policy, and `k8s_token` with those that a cluster publishes, over the recorded
//! answer: the two ways that a token's key is come by.

use assay_common::policy::AttestorKind;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::case::{Case, Login};
use crate::keys::{Bare, Form, Key, Kind};

const KEY: &str = "2026-11";

pub(crate) fn custom(kind: Kind) -> Case {
    const ISSUER: &str = "https://issuer.example.org";
    let login = Login::new(AttestorKind::CUSTOM_JWT);
    let key = Key::new(kind);
    let claims = json!({
        "iss": ISSUER,
        "aud": "assay-bench",
        "sub": "node-17",
        "iat": login.now() - 10,
        "nbf": login.now() - 10,
        "exp": login.now() + 600,
        "rack": "7",
        "role": ["storage", "compute"],
    });
    let (token, signature) = token(&key, &claims);
    let config = json!({
        "issuer": ISSUER,
        "audience": "assay-bench",
        "jwks": json!({"keys": [jwk(&key)]}).to_string(),
        "attributeClaims": ["rack", "role"],
    });
    Case::new(login, config, token).fresh([signature])
}

pub(crate) fn kubernetes(kind: Kind) -> Case {
    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
    const KEYS: &str = "https://keys.example.org/openid/v1/jwks";
    let login = Login::new(AttestorKind::K8S_TOKEN);
    let key = Key::new(kind);
    let claims = json!({
        "aud": ["assay-bench"],
        "exp": login.now() + 3600,
        "iat": login.now() - 10,
        "iss": ISSUER,
        "jti": "3f1b2c0f-0d6e-4c5a-9b8d-7e6f5a4b3c2d",
        "kubernetes.io": {
            "namespace": "spirl-system",
            "node": {"name": "node-17", "uid": "e5d9a8b7-6f5e-4d3c-8b2a-190817263544"},
            "pod": {"name": "spirl-agent-x7k2p", "uid": "0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9"},
            "serviceaccount": {"name": "spirl-agent", "uid": "c0ffee00-1234-4567-89ab-cdef01234567"},
        },
        "nbf": login.now() - 10,
        "sub": "system:serviceaccount:spirl-system:spirl-agent",
    });
    let (token, signature) = token(&key, &claims);
    let config = json!({"issuerURL": ISSUER, "audience": "assay-bench", "jwksURI": KEYS, "requireBound": "node"});
    let answer = json!({"source": KEYS, "jwk": jwk(&key).to_string()});
    Case::new(login, config, json!({"token": token}).to_string())
        .then(answer.to_string())
        .fresh([signature])
}

pub(crate) fn jwk(key: &Key) -> Value {
    match key.kind {
        Kind::Rsa2048 => {
            let (modulus, exponent) = key.numbers();
            json!({"kty": "RSA", "kid": KEY, "n": b64(modulus), "e": b64(exponent)})
        }
        Kind::P256 => {
            let (x, y) = key.public()[1..].split_at(32);
            json!({"kty": "EC", "kid": KEY, "crv": "P-256", "x": b64(x), "y": b64(y)})
        }
        Kind::Ed25519 => {
            json!({"kty": "OKP", "kid": KEY, "crv": "Ed25519", "x": b64(key.public())})
        }
    }
}

pub(crate) fn token(key: &Key, claims: &Value) -> (String, Bare) {
    let algorithm = match key.kind {
        Kind::Rsa2048 => "RS256",
        Kind::P256 => "ES256",
        Kind::Ed25519 => "EdDSA",
    };
    let header = json!({"alg": algorithm, "kid": KEY, "typ": "JWT"});
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = key.sign(Form::Token, signed.as_bytes());
    (format!("{signed}.{}", b64(&signature.signature)), signature)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
