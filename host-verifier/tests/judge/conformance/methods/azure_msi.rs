//! `azure_msi`: whoever has the token can show it.

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::issuer::payload::MAX_PAYLOAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::azure::Entra;
use crate::azure::entra::{KEYS, PRINCIPAL, TENANT, claims};
use crate::conformance::{Method, Sent, World};
use crate::jwt::signer::now;

/// The key is Entra's to publish.
pub(super) struct Msi;

fn settings(more: &Value) -> Value {
    let mut tenant = json!({"tenantID": TENANT, "principalID": PRINCIPAL});
    let more = more.as_object().unwrap().clone();
    tenant.as_object_mut().unwrap().extend(more);
    json!({"tenants": [tenant], "resourceGroups": ["rg-spire-prod"]})
}

fn sent(token: &str) -> Sent {
    Sent::payload(json!({"token": token}).to_string())
}

impl Method for Msi {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AZURE_MSI
    }

    fn config(&self) -> Value {
        settings(&json!({}))
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        [-10 - 301, 86_390 + 301]
            .map(|seconds| now() + SignedDuration::from_secs(seconds))
            .to_vec()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, _: &Transcript) -> Sent {
        sent(&Entra::own().token(&claims()))
    }

    fn forge(&self, _: &Transcript) -> Sent {
        sent(&Entra::somebody_elses().token(&claims()))
    }

    fn world(&self, _: &Transcript) -> World {
        World::default().key(KEYS, Entra::own().jwk().to_string().as_bytes())
    }

    /// The issuer that is asked has the same name, and another host publishes its keys.
    fn asking_elsewhere(&self) -> Option<Value> {
        let mut config = self.config();
        config["azureEnvironment"] = "AzureGovernmentCloud".into();
        Some(config)
    }

    fn secrets(&self) -> Vec<String> {
        let token = Entra::own().token(&claims());
        let (_, signature) = token.rsplit_once('.').unwrap();
        vec![signature[..16].to_owned()]
    }
}
