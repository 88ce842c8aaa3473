//! Methods whose proof is a signed token of an issuer: whoever has it can show it.

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::issuer::payload::MAX_PAYLOAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::conformance::{Method, Sent, World};
use crate::jwt::signer::{NOW, Signer, now};

const KEYS: &str = "https://keys.example.org/jwks.json";
const ELSEWHERE: &str = "https://keys.example.com/jwks.json";
const ISSUER: &str = "https://issuer.example.org";

/// Another second than the usual leeway before, and behind the end.
pub(super) fn not_valid() -> Vec<Timestamp> {
    [-10 - 61, 600 + 61]
        .map(|seconds| now() + SignedDuration::from_secs(seconds))
        .to_vec()
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER,
        "aud": "urn:assay:example.org:server",
        "sub": "node-7",
        "iat": NOW - 10,
        "nbf": NOW - 10,
        "exp": NOW + 600,
    });
    let more = more.as_object().unwrap().clone();
    claims.as_object_mut().unwrap().extend(more);
    claims
}

fn sent(signer: u8, claims: &Value) -> Sent {
    let token = Signer::new(signer).token(claims);
    Sent::payload(json!({ "token": token }).to_string())
}

/// The issuer's key in the settings.
fn inline() -> Value {
    let set = json!({"keys": [Signer::new(1).jwk()]});
    json!({"jwks": set.to_string()})
}

/// What lets anybody in who has it, and is too long to come about by chance: the signature's beginning.
fn signature(sent: &Sent) -> String {
    let payload: Value = serde_json::from_slice(&sent.payload).unwrap();
    let token = payload["token"].as_str().unwrap();
    let (_, signature) = token.rsplit_once('.').unwrap();
    signature[..16].to_owned()
}

/// The key is the issuer's to publish, or in the settings.
pub(super) enum CustomJwt {
    Published,
    Inline,
}

impl CustomJwt {
    fn claims() -> Value {
        claims(&json!({"environment": "staging", "groups": ["a", "b"]}))
    }

    fn settings(keys: &Value) -> Value {
        let mut config = json!({
            "issuer": ISSUER,
            "requiredClaims": {"environment": "staging"},
            "attributeClaims": ["sub", "environment", "groups"],
        });
        let keys = keys.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(keys);
        config
    }
}

impl Method for CustomJwt {
    fn kind(&self) -> AttestorKind {
        AttestorKind::CUSTOM_JWT
    }

    fn way(&self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Inline => "inline",
        }
    }

    fn config(&self) -> Value {
        Self::settings(&match self {
            Self::Published => json!({"jwksURI": KEYS}),
            Self::Inline => inline(),
        })
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        not_valid()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, _: &Transcript) -> Sent {
        sent(1, &Self::claims())
    }

    fn forge(&self, _: &Transcript) -> Sent {
        sent(2, &Self::claims())
    }

    fn world(&self, _: &Transcript) -> World {
        let jwk = Signer::new(1).jwk().to_string();
        World::default().key(KEYS, jwk.as_bytes())
    }

    fn asking_elsewhere(&self) -> Option<Value> {
        Some(Self::settings(&json!({"jwksURI": ELSEWHERE})))
    }

    fn secrets(&self) -> Vec<String> {
        vec![signature(&sent(1, &Self::claims()))]
    }
}

/// As [`CustomJwt`].
pub(super) enum K8sToken {
    Published,
    Inline,
}

impl K8sToken {
    fn claims() -> Value {
        let subject = "system:serviceaccount:assay:assay-agent";
        claims(&json!({
            "sub": subject,
            "kubernetes.io": {
                "namespace": "assay",
                "serviceaccount": {"name": "assay-agent", "uid": "0a"},
                "pod": {"name": "assay-agent-x", "uid": "0b"},
                "node": {"name": "worker-7", "uid": "0c"},
            },
        }))
    }

    fn settings(keys: &Value) -> Value {
        let mut config = json!({
            "issuerURL": ISSUER,
            "serviceAccountNamespace": "assay",
            "serviceAccountName": "assay-agent",
        });
        let keys = keys.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(keys);
        config
    }
}

impl Method for K8sToken {
    fn kind(&self) -> AttestorKind {
        AttestorKind::K8S_TOKEN
    }

    fn way(&self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Inline => "inline",
        }
    }

    fn config(&self) -> Value {
        Self::settings(&match self {
            Self::Published => json!({"jwksURI": KEYS}),
            Self::Inline => inline(),
        })
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        not_valid()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, _: &Transcript) -> Sent {
        sent(1, &Self::claims())
    }

    fn forge(&self, _: &Transcript) -> Sent {
        sent(2, &Self::claims())
    }

    fn world(&self, _: &Transcript) -> World {
        let jwk = Signer::new(1).jwk().to_string();
        World::default().key(KEYS, jwk.as_bytes())
    }

    fn asking_elsewhere(&self) -> Option<Value> {
        Some(Self::settings(&json!({"jwksURI": ELSEWHERE})))
    }

    fn secrets(&self) -> Vec<String> {
        vec![signature(&sent(1, &Self::claims()))]
    }
}
