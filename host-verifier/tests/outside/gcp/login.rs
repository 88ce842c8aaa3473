//! `gcp_iit` from the token to the claims, over the verifier's own client, its cache of keys and its answers.

use std::sync::Arc;

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::{
    AttestError, Claims, ErrandContext, Facts, Judged, LoginContext,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::cloud::Clouds;
use assay_host_verifier::document::{Files, Provided};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Verifier;
use super::api::Api;

/// Google, as far as it signs tokens.
struct Google(RsaKeyPair);

impl Google {
    fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn set(&self) -> String {
        let public = self.0.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{"kty": "RSA", "kid": "6a8b", "alg": "RS256", "use": "sig",
            "n": b64(n.big_endian_without_leading_zero()),
            "e": b64(e.big_endian_without_leading_zero())}]})
        .to_string()
    }

    fn token(&self, claims: &Value) -> Vec<u8> {
        let header = json!({"alg": "RS256", "kid": "6a8b", "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        json!({"token": token}).to_string().into_bytes()
    }
}

fn claims(id: &str) -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": "https://accounts.google.com",
        "aud": "urn:assay:example.org:server",
        "sub": "107517467455664443766",
        "azp": "107517467455664443766",
        "email": "agent@my-project-prod.iam.gserviceaccount.com",
        "email_verified": true,
        "iat": now,
        "exp": now + 3600,
        "google": {"compute_engine": {
            "project_id": "my-project-prod",
            "project_number": 739_419_398_126_u64,
            "zone": "us-central1-a",
            "instance_id": id,
            "instance_name": "node-7",
            "instance_creation_timestamp": 1_616_000_000,
        }},
    })
}

async fn login(verifier: &Verifier, payload: &[u8]) -> Result<Claims, AttestError> {
    let config = json!({
        "allowedProjectIDs": "my-project-prod",
        "useInstanceMetadata": true,
        "instanceLabelWhitelist": {"environment": ["prod"]},
        "attributeMetadataKeys": ["rack"],
    });
    let config = deserialize_config(AttestorKind::GCP_IIT, config).unwrap();
    let mut clouds = Clouds::default();
    clouds.gcp = verifier.settings.clone();
    let provided = Provided {
        clouds: Arc::new(clouds),
        ..Provided::default()
    };
    let files = Files::beside(std::path::Path::new("/nonexistent"));
    let files = files.provided_by(&provided).in_trust_domain("example.org");
    let attestor = config.build_in(files).unwrap();
    let transcript = Transcript::new();
    let keys = LoginKeys::new([0; 32]);
    let cx = LoginContext {
        now: Timestamp::now(),
        transcript: &transcript,
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &keys,
    };
    let errand = match attestor.judge(&cx, payload)? {
        Judged::Errand(errand) => errand,
        other => panic!("{other:?}"),
    };
    let errand_cx = ErrandContext {
        now: cx.now,
        login_id: "login".to_owned(),
        cluster: "cluster".to_owned(),
        trust_domain: "example.org".to_owned(),
        policy: "policy".to_owned(),
        proven: Vec::new(),
        proof_nonce: [0; 32],
    };
    let answer = errand.run(&verifier.world, &errand_cx).await?;
    // What is kept with the evidence tells nothing of what was not asked for, and no token.
    let kept = String::from_utf8(answer.clone()).unwrap();
    assert!(
        !kept.contains("c4n4ry") && !kept.contains("platform"),
        "{kept}"
    );
    errand.judge(&cx, &answer)
}

async fn google(verifier: &mut Verifier, api: &Api) -> Google {
    let google = Google::new();
    let page = ("GET /oauth2/v3/certs ".to_owned(), google.set());
    api.pages.lock().unwrap().push(page);
    verifier.settings.keys_url = format!("{}/oauth2/v3/certs", api.url());
    google
}

#[tokio::test]
async fn a_token_is_judged_by_published_keys_and_the_instance_that_is_there() {
    let api = Api::start().await;
    let mut verifier = Verifier::of(&api);
    let google = google(&mut verifier, &api).await;
    let own = google.token(&claims("2589221140676718026"));
    for _ in 0..3 {
        let proven = login(&verifier, &own).await.unwrap();
        let has = |name: &str, value: &str| {
            proven
                .attributes
                .iter()
                .any(|a| a.name == name && a.value == value)
        };
        assert!(has("gcp_iit.machine_type", "e2-standard-2"));
        assert!(has("gcp_iit.metadata.rack", "7"));
    }
    // Three logins: one question for the keys, one for a token, one for the instance.
    let calls = ["GET /oauth2", "POST /token", "GET /compute"].map(|to| api.calls(to));
    assert_eq!(calls, [1, 1, 1]);
    // The token of an instance that had the name before.
    let stale = google.token(&claims("2589221140676718025"));
    let error = login(&verifier, &stale).await.unwrap_err();
    assert_eq!(error.check, "instance-id");
}

#[tokio::test]
async fn an_api_that_is_out_of_order_lets_nobody_in() {
    let api = Api::start().await;
    let mut verifier = Verifier::of(&api);
    let google = google(&mut verifier, &api).await;
    api.fault("GET /compute", super::api::google_error(403, "forbidden"));
    let own = google.token(&claims("2589221140676718026"));
    let error = login(&verifier, &own).await.unwrap_err();
    assert_eq!(error.check, "instance");
    assert!(
        error.detail.contains("not permitted (forbidden)"),
        "{error}"
    );
}
