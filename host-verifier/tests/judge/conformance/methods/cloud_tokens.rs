//! Methods whose proof is a token that a cloud signs.

use assay_common::login::{Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::issuer::payload::MAX_PAYLOAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cloud_tokens::Bench;
use crate::cloud_tokens::aws::Aws;
use crate::cloud_tokens::gcp::Gcp;
use crate::cloud_tokens::signer::Key;
use crate::conformance::world::ok;
use crate::conformance::{Method, Sent, World};
use crate::jwt::signer::now;

/// What lets anybody in who has it, and is too long to come about by chance: the signature's beginning.
fn signature(token: &str) -> String {
    let (_, signature) = token.rsplit_once('.').unwrap();
    signature[..16].to_owned()
}

/// Seconds from [`now`] at which the adapters' tokens are not valid: more than a minute before `iat`, and behind `exp`.
fn not_valid(claims: &Value) -> Vec<Timestamp> {
    let at = |name: &str| claims[name].as_i64().unwrap() - now().as_second();
    [at("iat") - 61, at("exp") + 61]
        .map(|seconds| now() + SignedDuration::from_secs(seconds))
        .to_vec()
}

fn half_nonce(kind: AttestorKind, login: &Transcript) -> String {
    hex::encode(&proof_nonce(kind, login)[..16])
}

/// A token as it is, or one that is made for the login.
pub(super) enum AwsToken {
    Bearer,
    Fresh,
}

impl AwsToken {
    fn token(&self, key: &Key, login: &Transcript) -> String {
        let mut claims = Aws::claims();
        if matches!(self, Self::Fresh) {
            let nonce = half_nonce(Aws::KIND, login);
            claims["aud"] = json!([claims["aud"], format!("urn:assay:nonce:{nonce}")]);
        }
        key.token("k1", &claims)
    }

    fn settings(&self, issuer: &str) -> Value {
        let nonce = matches!(self, Self::Fresh);
        json!({"issuerURLs": [issuer], "nonceInAudience": nonce})
    }
}

impl Method for AwsToken {
    fn kind(&self) -> AttestorKind {
        Aws::KIND
    }

    fn way(&self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Fresh => "fresh",
        }
    }

    fn config(&self) -> Value {
        self.settings(Aws::source())
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        not_valid(&Aws::claims())
    }

    /// A token has no room for blanks.
    fn limit(&self) -> Option<usize> {
        None
    }

    fn prove(&self, login: &Transcript) -> Sent {
        Sent::payload(self.token(Key::rsa(), login))
    }

    fn forge(&self, login: &Transcript) -> Sent {
        Sent::payload(self.token(Key::other(), login))
    }

    fn world(&self, _: &Transcript) -> World {
        let jwk = Key::rsa().jwk("k1").to_string();
        World::default().key(Aws::source(), jwk.as_bytes())
    }

    fn asking_elsewhere(&self) -> Option<Value> {
        Some(self.settings("https://other.tokens.sts.global.api.aws"))
    }

    fn secrets(&self) -> Vec<String> {
        vec![signature(&self.token(Key::rsa(), &Transcript::new()))]
    }
}

/// A token as it is; one that is made for the login; one whose instance is asked for.
pub(super) enum GcpIit {
    Bearer,
    Fresh,
    Asked,
}

/// Where the API is, and where an access token is to be had.
const API: &str = "https://compute.googleapis.com/compute/v1/projects/my-project-prod/zones/us-central1-a/instances/node-7";

impl GcpIit {
    fn token(&self, key: &Key, login: &Transcript) -> String {
        let mut claims = Gcp::claims();
        if matches!(self, Self::Fresh) {
            let audience = claims["aud"].as_str().unwrap();
            let nonce = half_nonce(Gcp::KIND, login);
            claims["aud"] = format!("{audience}:{nonce}").into();
        }
        key.token("k1", &claims)
    }
}

impl Method for GcpIit {
    fn kind(&self) -> AttestorKind {
        Gcp::KIND
    }

    fn way(&self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Fresh => "fresh",
            Self::Asked => "asked",
        }
    }

    fn config(&self) -> Value {
        let mut config = Gcp::config();
        let more = match self {
            Self::Bearer => json!({}),
            Self::Fresh => json!({"nonceInAudience": true}),
            Self::Asked => json!({
                "useInstanceMetadata": true,
                "instanceLabelWhitelist": {"team": "platform"},
                "attributeLabelKeys": ["team"],
                "attributeMetadataKeys": ["rack"],
            }),
        };
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        config
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn wrong_times(&self) -> Vec<Timestamp> {
        not_valid(&Gcp::claims())
    }

    fn limit(&self) -> Option<usize> {
        Some(MAX_PAYLOAD)
    }

    fn prove(&self, login: &Transcript) -> Sent {
        Sent::payload(Gcp::payload(&self.token(Key::rsa(), login)))
    }

    fn forge(&self, login: &Transcript) -> Sent {
        Sent::payload(Gcp::payload(&self.token(Key::other(), login)))
    }

    fn world(&self, _: &Transcript) -> World {
        let jwk = Key::rsa().jwk("k1").to_string();
        let world = World::default().key(Gcp::source(), jwk.as_bytes());
        world.page(|request| {
            if request.url.ends_with("/service-accounts/default/token") {
                let token =
                    json!({"access_token": "ya29.c.x", "expires_in": 3599, "token_type": "Bearer"});
                return Some(ok(token.to_string()));
            }
            let project = "https://www.googleapis.com/compute/v1/projects/my-project-prod";
            let instance = json!({
                "id": "2589221140676718026",
                "name": "node-7",
                "status": "RUNNING",
                "machineType": format!("{project}/zones/us-central1-a/machineTypes/e2-standard-2"),
                "labels": {"team": "platform"},
                "metadata": {"items": [{"key": "rack", "value": "7"}]},
                "tags": {"items": ["spire"]},
                "networkInterfaces": [{
                    "network": format!("{project}/global/networks/vpc-prod"),
                    "subnetwork": format!("{project}/regions/us-central1/subnetworks/subnet-k8s"),
                }],
            });
            (request.url == API).then(|| ok(instance.to_string()))
        })
    }

    fn secrets(&self) -> Vec<String> {
        let token = self.token(Key::rsa(), &Transcript::new());
        vec![signature(&token), "ya29.c.x".to_owned()]
    }
}
