//! `azure_imds`: a document with the login's nonce, signed as Azure signs.

use std::sync::Arc;

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::azure_imds::payload::MAX_PAYLOAD;
use assay_host_verifier::cloud::azure::Environment;
use assay_host_verifier::document::Provided;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::azure::arm::machine_in_the_cloud;
use crate::azure::documents::{self, Azure, config, document, payload};
use crate::azure::entra::{SUBSCRIPTION, TENANT};
use crate::conformance::world::ok;
use crate::conformance::{Method, Sent, World};

/// The intermediate is the service's, or Microsoft's to publish.
pub(super) enum Imds {
    Alone,
    Fetched,
    /// And the resource manager knows the machine.
    Asked,
}

fn signed(name: &str, login: &Transcript) -> Sent {
    let content = document(login).to_string();
    let signed = Azure::own().sign(name, content.as_bytes(), "sha256");
    let payload = payload(&signed, json!({}));
    // Hints may be anything, or absent.
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    payload.as_object_mut().unwrap().remove("metadata");
    Sent::payload(payload.to_string())
}

impl Method for Imds {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AZURE_IMDS
    }

    fn way(&self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Fetched => "fetched",
            Self::Asked => "asked",
        }
    }

    fn config(&self) -> Value {
        match self {
            Self::Alone => config(),
            Self::Fetched => {
                json!({"tenants": [{"tenantID": TENANT}], "subscriptionIds": [SUBSCRIPTION]})
            }
            Self::Asked => json!({
                "tenants": [{"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION], "useComputeAPI": true}],
                "attributeVMTagKeys": ["Team"],
            }),
        }
    }

    fn provided(&self) -> Provided {
        let intermediates: &[&str] = match self {
            Self::Alone | Self::Asked => &["issuing"],
            Self::Fetched => &[],
        };
        documents::provided(intermediates)
    }

    fn now(&self) -> Timestamp {
        documents::now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        [-306, 6 * 3600 + 301]
            .map(|seconds| documents::now() + SignedDuration::from_secs(seconds))
            .to_vec()
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, login: &Transcript) -> Sent {
        signed("leaf", login)
    }

    fn forge(&self, login: &Transcript) -> Sent {
        signed("strange", login)
    }

    fn asking_elsewhere(&self) -> Option<Value> {
        let mut config = self.config();
        config["azureEnvironment"] = "AzureGovernmentCloud".into();
        matches!(self, Self::Asked).then_some(config)
    }

    /// The operator has the tenant there as well: nobody is asked otherwise.
    fn provided_elsewhere(&self) -> Provided {
        let mut provided = self.provided();
        let mut clouds = (*provided.clouds).clone();
        for tenant in clouds.azure.tenants.values_mut() {
            Arc::make_mut(tenant).environment = Environment::Government;
        }
        provided.clouds = Arc::new(clouds);
        provided
    }

    fn world(&self, _: &Transcript) -> World {
        let arm = machine_in_the_cloud();
        let world = World::default().page(move |request| arm.answer(request)?.ok());
        world.page(|request| {
            let issuing = Azure::own().certificate("issuing");
            let here = request.url.ends_with("/pkiops/certs/issuing.crt");
            here.then(|| ok(issuing.der()))
        })
    }
}
