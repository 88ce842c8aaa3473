//! Methods whose proof somebody outside decides, over an answer as a login records it.

use assay_common::method::join_token::signed_message;
use assay_common::policy::AttestorKind;
use assay_host_verifier::crypto::sha256;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::case::{Case, Login};
use crate::keys::{Form, Key, Kind};

/// The token's key signs; the store has said that the token is this login's.
pub(crate) fn join_token() -> Case {
    let login = Login::new(AttestorKind::JOIN_TOKEN);
    let key = Key::new(Kind::Ed25519);
    let signature = key.sign(Form::Token, &signed_message(&login.nonce()).concat());
    let payload = json!({
        "publicKey": STANDARD.encode(key.public()),
        "signature": STANDARD.encode(&signature.signature),
    });
    let now = Timestamp::now();
    let token = json!({
        "id": "7f3a9c2e5b1d4860",
        "cluster": "lab",
        "spiffeId": "spiffe://example.org/node/17",
        "bound": {"tpm_ek.public_hash": "3f"},
        "expiresAt": now + SignedDuration::from_secs(600),
        "usedAt": now,
    });
    let answer = json!({
        "digest": hex::encode(sha256(&[key.public()])),
        "outcome": {"taken": token},
        "cluster": "lab",
        "trustDomain": "example.org",
        "proven": {"tpm_ek.public_hash": ["3f"]},
    });
    Case::new(login, json!({}), payload.to_string())
        .then(answer.to_string())
        .fresh([signature])
}

/// The API server has verified the token, and named pod and node.
pub(crate) fn k8s_psat() -> Case {
    const SERVER: &str = "https://api.example.org:6443";
    let config = json!({"clusters": {"lab": {
        "serviceAccountAllowList": ["spire:spire-agent"],
        "audience": ["assay-bench"],
        "allowedNodeLabelKeys": ["topology.kubernetes.io/zone"],
        "allowedPodLabelKeys": ["app"],
        "apiServer": SERVER,
        "tokenFile": "/run/secrets/token",
    }}});
    let token = "e".repeat(1200);
    let payload = json!({"cluster": "lab", "token": token});
    let (pod, node) = (
        "0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9",
        "e5d9a8b7-6f5e-4d3c-8b2a-190817263544",
    );
    let answer = json!({
        "cluster": "lab",
        "server": SERVER,
        "review": {
            "authenticated": true,
            "failed": false,
            "username": "system:serviceaccount:spire:spire-agent",
            "audiences": ["assay-bench"],
            "bound": {
                "pod-name": ["spire-agent-x7k2p"],
                "pod-uid": [pod],
                "node-name": ["node-17"],
                "node-uid": [node],
            },
        },
        "pod": {
            "name": "spire-agent-x7k2p",
            "namespace": "spire",
            "uid": pod,
            "nodeName": "node-17",
            "serviceAccount": "spire-agent",
            "hostIp": "10.0.0.17",
            "labels": {"app": "spire-agent"},
        },
        "node": {
            "name": "node-17",
            "uid": node,
            "labels": {"topology.kubernetes.io/zone": "a"},
        },
    });
    let login = Login::new(AttestorKind::K8S_PSAT);
    Case::new(login, config, payload.to_string()).then(answer.to_string())
}

/// The host has served the nonce.
pub(crate) fn http_dns() -> Case {
    let login = Login::new(AttestorKind::HTTP_DNS);
    let place = json!({"hostname": "node-17.example.org", "agentname": "default", "port": 80});
    let mut answer = place.clone();
    answer["nonce"] = URL_SAFE.encode(login.nonce()).into();
    let config = json!({"allowedHostnames": ["*.example.org"], "allowedPorts": [80]});
    Case::new(login, config, place.to_string()).then(answer.to_string())
}

/// The webhook has said yes.
pub(crate) fn extension() -> Case {
    const WEBHOOK: &str = "https://webhook.example.org/attest";
    let login = Login::new(AttestorKind::EXTENSION);
    let answer = json!({
        "webhookURL": WEBHOOK,
        "answer": {
            "allow": true,
            "attributes": {"rack": "7", "role": "storage"},
            "identity": "node-17",
        },
    });
    Case::new(
        login,
        json!({"webhookURL": WEBHOOK}),
        b"a proof of ours".repeat(16),
    )
    .then(answer.to_string())
}
